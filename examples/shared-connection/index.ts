import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { BackupConfig, etcd } from "pulumi-etcd-backup";

const config = new pulumi.Config();

// One object says how a server is reached, to @pulumi/command and to the cluster alike.
const connection = {
  host: config.require("host"),
  user: "ubuntu",
  privateKey: config.requireSecret("sshKey"),
  hostKey: config.require("hostKey"),
};

const disk = new remote.Command("disk", { connection, create: "df -h /var/lib" });

// `sudoPassword`, `knownHosts`, `acceptNewHostKey` and `local` are ours alone: @pulumi/command does not know them.
const cluster = etcd({
  name: "single",
  servers: [{ name: "s1", connection: { ...connection, sudoPassword: config.getSecret("sudoPassword") } }],
});

new BackupConfig("single", { cluster });

export const free = disk.stdout;
