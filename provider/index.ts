export { BackupConfig } from "./resources/backup-config";
export { etcd } from "./resources/cluster";
export { Snapshot } from "./resources/snapshot";
export { SnapshotRestore } from "./resources/snapshot-restore";

export type { BackedUpServer, BackupConfigArgs } from "./resources/backup-config";
export type {
  ApiServerArgs,
  ClusterArgs,
  ConnectionArgs,
  EtcdArgs,
  ProxyConnectionArgs,
  ServerArgs,
} from "./resources/cluster";
export type { S3Args } from "./resources/s3";
export type { SnapshotArgs } from "./resources/snapshot";
export type { RestoredMember, RestoredSnapshot, RestoreStep, SnapshotRestoreArgs } from "./resources/snapshot-restore";
