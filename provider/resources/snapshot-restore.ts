import * as pulumi from "@pulumi/pulumi";
import type { ClusterArgs } from "./cluster";
import { propertiesOf, resourceType } from "./dynamic-resource";
import type { S3Args } from "./s3";

export interface SnapshotRestoreArgs {
  /** The cluster, as `etcd()`, `k3s()` or `rke2()` makes it. */
  readonly cluster: pulumi.Input<ClusterArgs>;
  /**
   * What to restore: `s3://bucket/key`, `file://server/path`, a file's name, or `latest`. Naming one, or another one,
   * replaces this resource, and the replacement restores; taking the name away does nothing. An empty name is an error.
   * @default nothing is contacted and nothing happens
   */
  readonly snapshot?: pulumi.Input<string | undefined>;
  /** The store to find it in. Without one, names are looked for on the servers. */
  readonly s3?: pulumi.Input<S3Args> | undefined;
  /** Any values: when one changes, the snapshot is restored again. */
  readonly triggers?: pulumi.Input<pulumi.Input<unknown>[] | undefined>;
  /** Save the members that still answer before anything is stopped, each on its own server. @default true */
  readonly safetySnapshot?: pulumi.Input<boolean | undefined>;
  /** Raise etcd's revision beyond the old one, so that watchers notice; where etcd's tools can. Not for K3s and RKE2, whose own restore decides. @default true for etcd */
  readonly bumpRevision?: pulumi.Input<boolean | undefined>;
  /** K3s and RKE2 only: the text of the server token that the snapshot was taken with, where the servers have another one by now. Kept as a secret. @default the cluster's */
  readonly token?: pulumi.Input<string | undefined>;
  /** K3s and RKE2 only: codes of findings that refuse this restore and are to be overruled, as the refusal names them. @default [] */
  readonly accept?: pulumi.Input<pulumi.Input<string>[] | undefined>;
  /** No step that can still be put back begins later than this after the start, such as `"30m"` or `"1h30m"`. @default "30m", or `customTimeouts` */
  readonly deadline?: pulumi.Input<string | undefined>;
}

/** The snapshot that a restore used. */
export interface RestoredSnapshot {
  /** `s3://bucket/key` or `file://server/path`. */
  readonly location: string;
  readonly sizeBytes: number;
  /** ISO 8601. */
  readonly takenAt: string;
}

export interface RestoredMember {
  readonly name: string;
  /** etcd's own id of it, in decimal; etcdctl shows it in hex. */
  readonly id: string;
  readonly peerUrls: readonly string[];
}

/** One step of a restore, as it was done. */
export interface RestoreStep {
  readonly id: string;
  readonly title: string;
  readonly durationMs: number;
}

/** Brings a cluster back to a snapshot, once. `pulumi preview` shows the plan. Outputs are absent until it has restored. */
export class SnapshotRestore extends pulumi.CustomResource {
  /** ISO 8601. */
  declare readonly restoredAt: pulumi.Output<string | undefined>;
  /** The snapshot that was restored. */
  declare readonly restored: pulumi.Output<RestoredSnapshot | undefined>;
  /** etcd's revision before, where it could still be asked. */
  declare readonly revisionBefore: pulumi.Output<number | undefined>;
  declare readonly revisionAfter: pulumi.Output<number | undefined>;
  /** Locations of the snapshots that living members took first: each is a `snapshot` to go back to. */
  declare readonly safetySnapshots: pulumi.Output<readonly string[] | undefined>;
  declare readonly members: pulumi.Output<readonly RestoredMember[] | undefined>;
  /** Where the old data lies, `server:path`. It is never deleted by us. */
  declare readonly setAside: pulumi.Output<readonly string[] | undefined>;
  declare readonly steps: pulumi.Output<readonly RestoreStep[] | undefined>;
  declare readonly durationMs: pulumi.Output<number | undefined>;
  /** What was done, in words. */
  declare readonly report: pulumi.Output<string | undefined>;

  constructor(name: string, args: SnapshotRestoreArgs, opts?: pulumi.CustomResourceOptions) {
    super(resourceType("SnapshotRestore"), name, propertiesOf("SnapshotRestore", name, args, outputs, opts), opts);
  }
}

const outputs = [
  "restoredAt",
  "restored",
  "revisionBefore",
  "revisionAfter",
  "safetySnapshots",
  "members",
  "setAside",
  "steps",
  "durationMs",
  "report",
];
