import type { Distribution } from "../distribution";
import { wakeAgent } from "./restore/agents";
import { scheduledBackups } from "./backups/backups";
import { describeRestore } from "./restore/describe-restore";
import type { EmbeddedFacts } from "./facts";
import { finishServer, leaveServer } from "./restore/finish-server";
import { inspect } from "./inspect";
import type { Program } from "./program";
import { restoreFindings } from "./restore/restore-findings";
import { firstServer, placesOfOldData } from "./restore/restore-places";
import { restoreStages } from "./restore/restore-stages";
import { saveSnapshot } from "./snapshots/save-snapshot";
import { settle } from "./restore/settle";
import { describeSnapshot } from "./snapshots/describe-snapshot";
import { forgetSnapshot } from "./snapshots/forget-snapshot";
import { readSnapshotName, scheduledName } from "./snapshots/snapshot-name";
import { clusterId, objectOwner } from "./snapshots/snapshot-objects";

/** etcd inside K3s or RKE2. */
export function embeddedEtcd(program: Program): Distribution<EmbeddedFacts> {
  return {
    name: program.name,
    inspect: (host, cluster) => inspect(program, host, cluster),
    backups: scheduledBackups(program),
    snapshots: {
      directories: (_, facts) => [facts.snapshotDirectory],
      save: saveSnapshot,
      describe: describeSnapshot,
      forget: (host, cluster, name) => forgetSnapshot(program, host, cluster, name),
      scheduledName,
      clusterId,
      objectOwner: (file) => objectOwner(program, file),
      readName: readSnapshotName,
    },
    restores: {
      findings: restoreFindings,
      describe: describeRestore,
      stages: restoreStages,
      settle,
      setAside: (facts, attempt) => Object.values(placesOfOldData(facts, attempt)),
      finish: finishServer,
      leave: leaveServer,
      wakeAgent: async (agent, unit, servers, readers) => {
        const first = firstServer(servers);
        const reader = first === undefined ? undefined : readers.get(first.server);
        return first !== undefined && reader !== undefined && (await wakeAgent(agent, unit, first, reader));
      },
    },
  };
}
