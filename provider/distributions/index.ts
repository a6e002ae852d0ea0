import type { Cluster, DistributionName } from "../model";
import type { Distribution } from "./distribution";
import { etcd } from "./etcd";

/** A new name in `DistributionName` breaks the build here, where it belongs. */
const distributions: Readonly<Record<DistributionName, Distribution>> = { etcd };

export function distributionOf(cluster: Cluster): Distribution {
  return distributions[cluster.distribution];
}
