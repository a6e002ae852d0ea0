import { API_SERVER_UNIT, type Distribution } from "../distribution";
import { backupDirectory, backupSetting } from "./backup-settings";
import { scheduledBackups } from "./backups";
import { finishServer, leaveServer } from "./finish-server";
import { inspect } from "./inspect";
import { membersOf } from "./members";
import { restorePlaces, workDirectory } from "./restore-places";
import { startApiServer } from "./restore-services";
import { restoreStages } from "./restore-stages";
import { saveSnapshot, snapshotDirectory } from "./save-snapshot";
import { settle } from "./settle";
import { describeSnapshot } from "./snapshot-status";

/** etcd as a systemd unit. */
export const etcd: Distribution = {
  name: "etcd",
  inspect: (host, cluster) => inspect(host, cluster),
  members: membersOf,
  backups: scheduledBackups,
  snapshots: {
    directories: (cluster, facts) => {
      const ours = snapshotDirectory(cluster.name);
      return [ours, ...backupDirectory(facts).filter((directory) => directory !== ours)];
    },
    save: saveSnapshot,
    describe: describeSnapshot,
    scheduledName: (facts) => backupSetting(facts, "snapshot_name") ?? "etcd-snapshot",
  },
  restores: {
    stages: restoreStages,
    settle,
    places: restorePlaces,
    workDirectory,
    finish: finishServer,
    leave: leaveServer,
    leaveApiServer: (cluster, { unit = API_SERVER_UNIT }, attempt) =>
      startApiServer(unit, workDirectory(cluster, attempt)),
  },
};
