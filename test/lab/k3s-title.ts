import type { K3sCluster } from "./k3s";

/** What runs, with its version: a stand-in is called so. */
export async function titleOf({ distribution, isStandIn, servers: [first] }: K3sCluster): Promise<string> {
  const [, version = "of no known version"] =
    /\b(v\d\S*)/.exec((await first?.exec(`${distribution} --version`)) ?? "") ?? [];
  return `${nameOf[distribution]} ${version}${isStandIn ? " (stand-in)" : ""}`;
}

/** What has to be known of results on a stand-in. */
export function noticeOf({ distribution, isStandIn }: K3sCluster): string | undefined {
  if (!isStandIn) return undefined;
  return `${nameOf[distribution]} is played by a stand-in: a program of this repository around a real etcd.${
    distribution === "k3s" ? " With K3S_BIN=/path/to/k3s it is the real one." : ""
  }`;
}

export const nameOf = { k3s: "K3s", rke2: "RKE2" } as const;
