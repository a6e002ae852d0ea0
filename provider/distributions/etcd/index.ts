import { attemptDirectory } from "../../plan/server-directory";
import { API_SERVER_UNIT, type Distribution } from "../distribution";
import { backupDirectory, backupSetting } from "./backup-settings";
import { scheduledBackups } from "./backups";
import type { EtcdFacts } from "./facts";
import { finishServer, leaveServer } from "./finish-server";
import { inspect } from "./inspect";
import { describeRestore } from "./describe-restore";
import { restoreFindings } from "./restore-findings";
import { restorePlaces } from "./restore-places";
import { startApiServer } from "./restore-services";
import { restoreStages } from "./restore-stages";
import { saveSnapshot, snapshotDirectory } from "./save-snapshot";
import { settle } from "./settle";
import { readSnapshotName } from "./snapshot-name";
import { describeSnapshot } from "./snapshot-status";

/** etcd as a systemd unit. */
export const etcd: Distribution<EtcdFacts> = {
  name: "etcd",
  inspect: (host, cluster) => inspect(host, cluster),
  backups: scheduledBackups,
  snapshots: {
    directories: (cluster, facts) => {
      const ours = snapshotDirectory(cluster.name);
      return [ours, ...backupDirectory(facts).filter((directory) => directory !== ours)];
    },
    save: saveSnapshot,
    describe: describeSnapshot,
    scheduledName: (facts) => backupSetting(facts, "snapshot_name") ?? "etcd-snapshot",
    readName: readSnapshotName,
  },
  restores: {
    findings: restoreFindings,
    describe: describeRestore,
    stages: restoreStages,
    settle,
    setAside: (facts, attempt) => {
      const { aside, asideWal } = restorePlaces("", facts, attempt);
      return [aside, ...(asideWal === undefined ? [] : [asideWal])];
    },
    finish: finishServer,
    leave: leaveServer,
    leaveApiServer: (cluster, { unit = API_SERVER_UNIT }, attempt) =>
      startApiServer(unit, attemptDirectory(cluster, attempt)),
  },
};
