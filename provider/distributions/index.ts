import type { Cluster, DistributionName } from "../model";
import type { Distribution } from "./distribution";
import { k3s } from "./embedded-etcd/k3s";
import { rke2 } from "./embedded-etcd/rke2";
import { etcd } from "./etcd";

/** A new name in `DistributionName` breaks the build here, where it belongs. */
const distributions: Readonly<Record<DistributionName, Distribution>> = { etcd, k3s, rke2 };

export function distributionOf(cluster: Cluster): Distribution {
  return distributions[cluster.distribution];
}
