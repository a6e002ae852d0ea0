import type { Cluster, S3Settings } from "../../provider/model";
import type { K3sCluster, K3sOptions } from "../lab/k3s";
import { type Lab, startLab } from "../lab/lab";
import type { S3, S3Options } from "../lab/s3";
import { BUCKET, bucketOf, clusterOn, createLabProgram, type LabProgram } from "./lab-program";

export interface K3sLabOptions {
  /** @default ["s1", "s2", "s3"] */
  readonly machines?: readonly string[];
  /** May depend on the S3 that is there by then: its address, for one. */
  readonly k3s?: K3sOptions | ((s3: S3) => K3sOptions);
  readonly s3?: S3Options;
}

/** Machines with a K3s or RKE2 that is healthy, and an S3 with the empty bucket `etcd-backups`. */
export interface K3sLab {
  readonly lab: Lab;
  readonly k3s: K3sCluster;
  readonly s3: S3;
  /** The cluster `demo`, as the operations are given it: for tests that need no engine. */
  readonly cluster: Cluster;
  readonly s3Settings: S3Settings;
}

/** Boots a lab with K3s or RKE2, and S3. Take it down with `lab.down()`. */
export async function startK3sLab({ machines, k3s, s3 }: K3sLabOptions = {}): Promise<K3sLab> {
  const lab = await startLab(machines === undefined ? {} : { machines });
  try {
    const startedS3 = await lab.startS3(s3);
    await startedS3.createBucket(BUCKET);
    const options = typeof k3s === "function" ? k3s(startedS3) : k3s;
    const started = await lab.startK3s(options);
    const { agents = [] } = options ?? {};
    const cluster = clusterOn(lab, {
      distribution: started.distribution,
      servers: started.servers.map(({ name }) => name),
      ...(agents.length === 0
        ? {}
        : { agents: agents.map((name) => ({ name, connection: { host: lab.machine(name).address } })) }),
    });
    return { ...{ lab, k3s: started, s3: startedS3, cluster }, s3Settings: bucketOf(startedS3) };
  } catch (error) {
    await lab.down();
    throw error;
  }
}

/** Makes a stack whose program has the given resources, see `createLabProgram`; `cluster` is the lab's, named `demo`. */
export function createK3sProgram({ lab, s3, cluster }: K3sLab, resources: string): Promise<LabProgram> {
  return createLabProgram(lab, s3, cluster, resources);
}

/** How a result is named: what was seen on the stand-in was not seen on the real one. */
export function labelOf(distribution: "k3s" | "rke2"): string {
  const real = distribution === "k3s" && process.env["K3S_BIN"] !== undefined;
  return `${distribution}${real ? "" : " (stand-in)"}`;
}
