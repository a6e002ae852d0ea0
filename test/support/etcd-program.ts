import type { Cluster, S3Settings } from "../../provider/model";
import type { EtcdCluster, EtcdOptions } from "../lab/etcd";
import { type Lab, startLab } from "../lab/lab";
import type { S3, S3Options } from "../lab/s3";
import { BUCKET, bucketOf, clusterOn, createLabProgram, type LabProgram } from "./lab-program";

export interface EtcdLabOptions {
  /** @default ["s1", "s2", "s3"] */
  readonly machines?: readonly string[];
  readonly etcd?: EtcdOptions;
  readonly s3?: S3Options;
}

/** Machines with an etcd that is healthy, and an S3 with the empty bucket `etcd-backups`. */
export interface EtcdLab {
  readonly lab: Lab;
  readonly etcd: EtcdCluster;
  readonly s3: S3;
  /** The cluster `demo`, as the operations are given it: for tests that need no engine. */
  readonly cluster: Cluster;
  readonly s3Settings: S3Settings;
}

/** Boots a lab with etcd and S3. Take it down with `lab.down()`. */
export async function startEtcdLab({ machines, etcd, s3 }: EtcdLabOptions = {}): Promise<EtcdLab> {
  const lab = await startLab(machines === undefined ? {} : { machines });
  try {
    const [startedEtcd, startedS3] = await Promise.all([lab.startEtcd(etcd), lab.startS3(s3)]);
    await startedS3.createBucket(BUCKET);
    return {
      ...{ lab, etcd: startedEtcd, s3: startedS3 },
      ...{ cluster: clusterOn(lab, { distribution: "etcd" }), s3Settings: bucketOf(startedS3) },
    };
  } catch (error) {
    await lab.down();
    throw error;
  }
}

export type EtcdProgram = LabProgram;

/** Makes a stack whose program has the given resources, see `createLabProgram`; `cluster` is the lab's, named `demo`. */
export function createEtcdProgram({ lab, s3, cluster }: EtcdLab, resources: string): Promise<EtcdProgram> {
  return createLabProgram(lab, s3, cluster, resources);
}
