import * as pulumi from "@pulumi/pulumi";
import type { ClusterArgs } from "./cluster";
import { propertiesOf, resourceType } from "./dynamic-resource";
import type { S3Args } from "./s3";

export interface BackupConfigArgs {
  /** The cluster, as `etcd()`, `k3s()` or `rke2()` makes it. Another name is another cluster: the resource is replaced. */
  readonly cluster: pulumi.Input<ClusterArgs>;
  /** Five-field cron, in the servers' local time. @default "0 *\/12 * * *" */
  readonly schedule?: pulumi.Input<string | undefined>;
  /** Scheduled snapshots kept on each server; 1 or more. @default 5 */
  readonly retention?: pulumi.Input<number | undefined>;
  /** Absolute path where each server keeps its snapshots. @default K3s's or RKE2's own place; for etcd "/var/lib/etcd-backup/<cluster>/snapshots" */
  readonly directory?: pulumi.Input<string | undefined>;
  /** Beginning of the files' names: letters, digits, dots, dashes and underscores. @default "etcd-snapshot" */
  readonly snapshotName?: pulumi.Input<string | undefined>;
  /** False: configured, but nothing is taken by schedule. @default true */
  readonly enabled?: pulumi.Input<boolean | undefined>;
  /** K3s and RKE2 only: snapshots are zipped. @default false */
  readonly compress?: pulumi.Input<boolean | undefined>;
  /**
   * K3s and RKE2 only: they read their settings when they start. `rolling` restarts one server at a time, as long as the
   * others have quorum and the last one is well again; `none` leaves the restart to you. @default "rolling"
   */
  readonly restart?: pulumi.Input<"rolling" | "none" | undefined>;
  /** K3s and RKE2 only: how often Kubernetes' list of snapshots is brought up to date, such as `"30m"`. @default theirs: 10 minutes */
  readonly reconcileInterval?: pulumi.Input<string | undefined>;
  /** Where snapshots are copied to. @default they stay on the servers */
  readonly s3?: pulumi.Input<S3Args> | undefined;
  /** What destroying does with our files on the servers; snapshots stay in any case. @default "remove" */
  readonly onDestroy?: pulumi.Input<"remove" | "retain" | undefined>;
}

/** What one server does about backups. */
export interface BackedUpServer {
  readonly server: string;
  readonly etcdVersion: string;
  /** K3s's or RKE2's own version. */
  readonly version?: string | undefined;
  /** Where it keeps its snapshots. */
  readonly directory: string;
  readonly timer: "active" | "off";
  /** When it runs, in systemd's own words, with every drop-in counted. */
  readonly schedule: readonly string[];
  /** How many scheduled snapshots it keeps; absent while its settings are missing. */
  readonly retention?: number | undefined;
  /** ISO 8601; absent before the first one. */
  readonly lastSnapshotAt?: string | undefined;
}

/** Makes a cluster take the backups described, and shows as drift what does not. */
export class BackupConfig extends pulumi.CustomResource {
  /** What each server does about backups. */
  declare readonly servers: pulumi.Output<readonly BackedUpServer[]>;
  /** Scheduled runs that failed, servers that could not be left in order, a restore that has not ended: a line each. */
  declare readonly warnings: pulumi.Output<readonly string[]>;
  /** What runs and is not what was declared, a line each: `s1: schedule: …`. Empty after an update. */
  declare readonly drift: pulumi.Output<readonly string[]>;
  /**
   * The `s3` input with its folder filled in: the `s3` of this cluster's `Snapshot` and `SnapshotRestore`.
   * Made from the inputs alone, so that a restore neither waits for this resource nor fails with it.
   */
  readonly s3: pulumi.Input<S3Args> | undefined;

  constructor(name: string, args: BackupConfigArgs, opts?: pulumi.CustomResourceOptions) {
    const outputs = ["servers", "warnings", "drift"];
    super(resourceType("BackupConfig"), name, propertiesOf("BackupConfig", name, args, outputs, opts), opts);
    this.s3 = withFolder(args.s3, args.cluster);
  }
}

function withFolder(
  s3: pulumi.Input<S3Args> | undefined,
  cluster: pulumi.Input<ClusterArgs>,
): pulumi.Input<S3Args> | undefined {
  if (s3 === undefined) return undefined;
  const clusterName = pulumi.output(cluster).apply((known) => known.name);
  // Leaf by leaf where that can be: one secret or unknown leaf would hide the whole.
  if (pulumi.Output.isInstance(s3) || s3 instanceof Promise) {
    return pulumi.output(s3).apply((known) => ({ ...known, folder: known.folder ?? clusterName }));
  }
  return { ...s3, folder: s3.folder ?? clusterName };
}
