import type { Input } from "@pulumi/pulumi";

/** Where S3 is. Keys given are used everywhere; without keys each server uses its own role. */
export interface S3Args {
  /** The bucket's name. It must exist. */
  readonly bucket: Input<string>;
  /** Prefix of the keys, without slashes around it; never empty. @default the cluster's name */
  readonly folder?: Input<string | undefined>;
  /** @default "us-east-1" */
  readonly region?: Input<string | undefined>;
  /** `host[:port]`, without scheme or path. @default AWS */
  readonly endpoint?: Input<string | undefined>;
  /** Together with `secretAccessKey`. @default the provider configuration's `etcd-backup:s3AccessKeyId`, else the environment's `ETCD_BACKUP_S3_ACCESS_KEY_ID`, else each server's role */
  readonly accessKeyId?: Input<string | undefined>;
  /** Kept as a secret. */
  readonly secretAccessKey?: Input<string | undefined>;
  /** Kept as a secret. */
  readonly sessionToken?: Input<string | undefined>;
  /** A profile of the machine that Pulumi runs on, for what that machine does itself; scheduled backups use each server's role. Not together with keys. */
  readonly profile?: Input<string | undefined>;
  /** PEM text of the endpoint's certificate authority. Not together with `skipTlsVerify`. */
  readonly endpointCa?: Input<string | undefined>;
  /** @default false */
  readonly skipTlsVerify?: Input<boolean | undefined>;
  /** Plain HTTP. Not together with `endpointCa`. @default false */
  readonly insecure?: Input<boolean | undefined>;
  /** @default "auto": path style for an own endpoint, virtual-host style for AWS */
  readonly bucketLookup?: Input<"auto" | "dns" | "path" | undefined>;
  /**
   * K3s and RKE2 only: name of a Secret in `kube-system` that is made to hold these settings, keys included, and that the
   * servers read. Concerns `BackupConfig` alone. @default a file of 0600 on each server
   */
  readonly configSecret?: Input<string | undefined>;
  /** Deadline of one transfer, such as `"5m"`. @default "5m" */
  readonly timeout?: Input<string | undefined>;
  /** URL of an HTTP proxy between the servers and S3. */
  readonly proxy?: Input<string | undefined>;
  /** Scheduled snapshots kept in the folder, all servers' together; 1 or more. Not together with `keepRounds`. Concerns `BackupConfig` alone. */
  readonly retention?: Input<number | undefined>;
  /** Rounds of scheduled snapshots kept in the folder: times the number of servers; 1 or more. Concerns `BackupConfig` alone. @default the local `retention` */
  readonly keepRounds?: Input<number | undefined>;
}
