import * as pulumi from "@pulumi/pulumi";
import { BackupConfig, rke2, Snapshot, SnapshotRestore } from "pulumi-etcd-backup";

const config = new pulumi.Config();

const prod = rke2({
  name: "prod",
  connection: { user: "ubuntu", privateKey: config.requireSecret("sshKey") }, // what the servers share
  servers: [
    { name: "s1", connection: { host: "10.0.0.11" } },
    { name: "s2", connection: { host: "10.0.0.12" } },
    { name: "s3", connection: { host: "10.0.0.13" } },
  ],
});

const backups = new BackupConfig("prod", {
  cluster: prod,
  schedule: "0 */6 * * *",
  retention: 8, // on each server
  s3: {
    bucket: config.require("bucket"),
    region: "eu-central-1",
    accessKeyId: config.require("accessKeyId"),
    secretAccessKey: config.requireSecret("secretAccessKey"),
    keepRounds: 28,
  },
});

// Change the trigger to take another one.
const before = new Snapshot("before-upgrade", { cluster: prod, s3: backups.s3, triggers: ["1.35"] });

// `pulumi config set restore s3://…` and `pulumi up` restore; without it, nothing happens.
new SnapshotRestore("restore", {
  cluster: prod,
  s3: backups.s3,
  snapshot: config.get("restore"),
  token: config.getSecret("tokenThen"), // only for a snapshot that was taken with another server token
});

export const snapshot = before.location;
export const servers = backups.servers;
