import * as pulumi from "@pulumi/pulumi";
import { BackupConfig, type BackupConfigArgs, type ClusterArgs, Snapshot, SnapshotRestore } from "pulumi-etcd-backup";
import type { EtcdArgs, K3sArgs, Rke2Args, S3Args } from "pulumi-etcd-backup";

// Everything comes from the stack's configuration: see `config` in Pulumi.yaml, and Pulumi.example.yaml beside this file.
// Credentials stay out of it: `pulumi config set --secret sshPrivateKey -- "$(cat ~/.ssh/id_ed25519)"`.
interface ClusterConfig extends EtcdArgs, K3sArgs, Rke2Args {
  readonly name: string;
  /** @default "etcd" */
  readonly distribution?: ClusterArgs["distribution"];
  readonly backups?: Omit<BackupConfigArgs, "cluster" | "s3">;
}

const config = new pulumi.Config();
const clusters = config.getObject<ClusterConfig[]>("clusters") ?? [];
const store = config.getObject<Partial<S3Args>>("s3") ?? {};
const snapshot = config.get("snapshot");
const restore = config.getObject<Record<string, string>>("restore") ?? {};

const s3 = store.bucket === undefined ? undefined : { ...store, bucket: store.bucket };

for (const name of Object.keys(restore)) {
  if (!clusters.some((known) => known.name === name)) throw new Error(`restore.${name}: no cluster has this name`);
}

/** What each server does about backups, by cluster. */
export const servers: Record<string, BackupConfig["servers"]> = {};

for (const { backups: settings, distribution = "etcd", ...args } of clusters) {
  const { name } = args;
  // What `etcd()`, `k3s()` and `rke2()` make: what is wrong with it, the resources say.
  const cluster: ClusterArgs = { ...args, distribution };
  const backups = new BackupConfig(name, { ...settings, cluster, s3 });
  if (snapshot) new Snapshot(`${name}-snapshot`, { cluster, s3: backups.s3, triggers: [snapshot] });
  new SnapshotRestore(`${name}-restore`, { cluster, s3: backups.s3, snapshot: restore[name] });
  servers[name] = backups.servers;
}
