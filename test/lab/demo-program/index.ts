import { Config } from "@pulumi/pulumi";
import { BackupConfig, etcd, k3s, rke2, Snapshot, SnapshotRestore } from "pulumi-etcd-backup";

const config = new Config();

const distributions = { etcd, k3s, rke2 };

const cluster = distributions[config.require<keyof typeof distributions>("distribution")]({
  name: "demo",
  connection: { privateKey: config.requireSecret("sshKey"), knownHosts: config.require("knownHosts") },
  servers: config
    .requireObject<{ name: string; host: string }[]>("servers")
    .map(({ name, host }) => ({ name, connection: { host } })),
});

const backups = new BackupConfig("demo", {
  cluster,
  schedule: "0 */6 * * *",
  retention: 8,
  s3: {
    bucket: "etcd-backups",
    endpoint: config.require("endpoint"),
    endpointCa: config.require("endpointCa"),
    accessKeyId: config.requireSecret("accessKeyId"),
    secretAccessKey: config.requireSecret("secretAccessKey"),
  },
});

const taken = new Snapshot("before-upgrade", { cluster, s3: backups.s3 });

new SnapshotRestore("restore", { cluster, s3: backups.s3, snapshot: config.get("restore") });

export const snapshot = taken.location;
