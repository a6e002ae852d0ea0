import * as pulumi from "@pulumi/pulumi";
import type { ClusterArgs } from "./cluster";
import { propertiesOf, resourceType } from "./dynamic-resource";
import type { S3Args } from "./s3";

export interface SnapshotArgs {
  /** The cluster, as `etcd()`, `k3s()` or `rke2()` makes it. */
  readonly cluster: pulumi.Input<ClusterArgs>;
  /**
   * Beginning of the file's name: letters, digits, dots, dashes and underscores; server and time are added. Not what
   * begins with a `BackupConfig`'s `snapshotName`: its runs would prune it. @default the resource's name
   */
  readonly name?: pulumi.Input<string | undefined>;
  /** Where it is put. @default it stays on the server that took it */
  readonly s3?: pulumi.Input<S3Args> | undefined;
  /** Any values: when one changes, a new snapshot is taken. */
  readonly triggers?: pulumi.Input<pulumi.Input<unknown>[] | undefined>;
  /** What destroying, or taking a new one, does with the file. @default "retain" */
  readonly deletionPolicy?: pulumi.Input<"retain" | "delete" | undefined>;
}

/** Takes a snapshot when it is created, and keeps an eye on its file. */
export class Snapshot extends pulumi.CustomResource {
  declare readonly fileName: pulumi.Output<string>;
  /** `s3://bucket/key`, or `file://server/path` without a store: the `snapshot` of a `SnapshotRestore`. */
  declare readonly location: pulumi.Output<string>;
  /** Everywhere the file was put. */
  declare readonly locations: pulumi.Output<readonly string[]>;
  declare readonly sizeBytes: pulumi.Output<number>;
  /** SHA-256 of the whole file, in hex. */
  declare readonly sha256: pulumi.Output<string>;
  /** etcd's revision in the snapshot, as its own tool says, or the file itself; absent where neither can be asked, as of a zip. */
  declare readonly revision: pulumi.Output<number | undefined>;
  declare readonly totalKeys: pulumi.Output<number | undefined>;
  declare readonly etcdVersion: pulumi.Output<string>;
  /** K3s's or RKE2's own version; absent for plain etcd. */
  declare readonly distributionVersion: pulumi.Output<string | undefined>;
  /** Which server token a restore will need, never the token; absent for plain etcd. */
  declare readonly tokenHash: pulumi.Output<string | undefined>;
  /** The server that took it. */
  declare readonly server: pulumi.Output<string>;
  /** ISO 8601. */
  declare readonly takenAt: pulumi.Output<string>;
  declare readonly durationMs: pulumi.Output<number>;
  /** Whether the file was there when last looked. It is never taken again by itself: only `triggers` do that. */
  declare readonly exists: pulumi.Output<boolean>;

  constructor(name: string, args: SnapshotArgs, opts?: pulumi.CustomResourceOptions) {
    const inputs = { ...args, name: pulumi.output(args.name).apply((given) => given ?? name) };
    super(resourceType("Snapshot"), name, propertiesOf("Snapshot", name, inputs, outputs, opts), opts);
  }
}

const outputs = [
  "fileName",
  "location",
  "locations",
  "sizeBytes",
  "sha256",
  "revision",
  "totalKeys",
  "etcdVersion",
  "distributionVersion",
  "tokenHash",
  "server",
  "takenAt",
  "durationMs",
  "exists",
];
