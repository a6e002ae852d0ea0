import type { K3sClusterArgs, Rke2ClusterArgs } from "./embedded-etcd";
import type { EtcdClusterArgs } from "./etcd";

/** A cluster: a plain value that resources share. */
export type ClusterArgs = EtcdClusterArgs | K3sClusterArgs | Rke2ClusterArgs;
