export { BackupConfig } from "./resources/backup-config";
export { k3s, rke2 } from "./resources/embedded-etcd";
export { etcd } from "./resources/etcd";
export { Snapshot } from "./resources/snapshot";
export { SnapshotRestore } from "./resources/snapshot-restore";

export type { BackedUpServer, BackupConfigArgs } from "./resources/backup-config";
export type { ClusterArgs } from "./resources/cluster";
export type { AgentArgs, K3sArgs, K3sClusterArgs, Rke2Args, Rke2ClusterArgs } from "./resources/embedded-etcd";
export type { ApiServerArgs, EtcdArgs, EtcdClusterArgs } from "./resources/etcd";
export type { S3Args } from "./resources/s3";
export type { ConnectionArgs, ProxyConnectionArgs, ServerArgs } from "./resources/server";
export type { SnapshotArgs } from "./resources/snapshot";
export type { RestoredMember, RestoredSnapshot, RestoreStep, SnapshotRestoreArgs } from "./resources/snapshot-restore";
