import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Cluster, S3Settings } from "../../provider/model";
import type { EtcdCluster, EtcdOptions } from "../lab/etcd";
import { type Lab, startLab } from "../lab/lab";
import type { PulumiProject } from "../lab/pulumi";
import type { S3, S3Options } from "../lab/s3";

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
    await startedS3.createBucket("etcd-backups");
    return {
      ...{ lab, etcd: startedEtcd, s3: startedS3 },
      cluster: {
        ...{ distribution: "etcd", name: "demo" },
        connection: { privateKey: lab.sshKey.privateKey, knownHosts: lab.knownHosts },
        servers: lab.machines.map(({ name, address }) => ({ name, connection: { host: address } })),
      },
      s3Settings: {
        ...{ bucket: "etcd-backups", folder: "demo", region: startedS3.region, endpoint: startedS3.endpoint },
        ...(startedS3.caPem === undefined ? { insecure: true } : { endpointCa: startedS3.caPem }),
        ...{ accessKeyId: startedS3.accessKeyId, secretAccessKey: startedS3.secretAccessKey },
      },
    };
  } catch (error) {
    await lab.down();
    throw error;
  }
}

/** A program and its stack on the real engine. */
export interface EtcdProgram extends PulumiProject {
  /** Replaces the program's resources: text of a JavaScript program, see `createEtcdProgram`. */
  write(resources: string): void;
  /** Sets values of the stack's configuration, as secrets where the name is among `secrets`. */
  configure(values: Readonly<Record<string, string>>, secrets?: readonly string[]): Promise<void>;
  /** Runs `pulumi` and returns all it printed, stdout before stderr. Rejects unless it exits 0. */
  pulumi(...words: readonly string[]): Promise<string>;
  /** The same for one that has to fail. Rejects when it exits 0. */
  pulumiFails(...words: readonly string[]): Promise<string>;
  /** `pulumi up` with these options, without a preview before it. */
  up(...options: readonly string[]): Promise<string>;
  /** An output of the stack, secrets shown. */
  output(name: string): Promise<string>;
}

/**
 * Makes a stack whose program has the given resources. In their text are `pulumi`, `config`, `etcd`, `BackupConfig`,
 * `Snapshot`, `SnapshotRestore`, `cluster` (the lab's, named `demo`), `s3` (its bucket `etcd-backups`) and `lab` (what both are made of).
 */
export async function createEtcdProgram({ lab, s3 }: EtcdLab, resources: string): Promise<EtcdProgram> {
  const project = await lab.pulumi({
    files: {
      // JavaScript: a compiler would take longer than all the rest of most runs.
      "Pulumi.yaml": "name: lab\nmain: index.js\nruntime: { name: nodejs, options: { typescript: false } }\n",
      "index.js": programOf(resources),
      "lab.json": JSON.stringify({
        servers: lab.machines.map(({ name, address }) => ({ name, connection: { host: address } })),
        ...{ knownHosts: lab.knownHosts, sshKey: lab.sshKey.privateKey },
        ...{ endpoint: s3.endpoint, region: s3.region, endpointCa: s3.caPem },
        ...{ accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey },
      }),
    },
  });
  const print = async (words: readonly string[]): Promise<{ readonly code: number; readonly printed: string }> => {
    const { code, stdout, stderr } = await project.run(words);
    return { code, printed: `${stdout}\n${stderr}` };
  };
  const program: EtcdProgram = {
    ...project,
    write: (text) => writeFileSync(join(project.directory, "index.js"), programOf(text)),
    configure: async (values, secrets = []) => {
      const words = Object.entries(values).flatMap(([name, value]) => [
        secrets.includes(name) ? "--secret" : "--plaintext",
        `${name}=${value}`,
      ]);
      await program.pulumi("config", "set-all", ...words);
    },
    pulumi: async (...words) => {
      const { code, printed } = await print(words);
      if (code !== 0) throw new Error(`pulumi ${words.join(" ").slice(0, 200)}: exit code ${code}\n${printed}`);
      return printed;
    },
    pulumiFails: async (...words) => {
      const { code, printed } = await print(words);
      if (code === 0) throw new Error(`pulumi ${words.join(" ").slice(0, 200)} did not fail:\n${printed}`);
      return printed;
    },
    up: (...options) => program.pulumi("up", "--yes", "--skip-preview", ...options),
    output: async (name) => (await project.run(["stack", "output", name, "--show-secrets"])).stdout.trim(),
  };
  return program;
}

// Not by the stack's configuration: the engine hands that to the program in its environment, secrets and all.
function programOf(resources: string): string {
  return `"use strict";
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const pulumi = require("@pulumi/pulumi");
const { BackupConfig, etcd, Snapshot, SnapshotRestore } = require("pulumi-etcd-backup");

const config = new pulumi.Config();
const lab = JSON.parse(readFileSync(join(__dirname, "lab.json"), "utf8"));
const cluster = etcd({
  name: "demo",
  connection: { privateKey: pulumi.secret(lab.sshKey), knownHosts: lab.knownHosts },
  servers: lab.servers,
});
const s3 = {
  bucket: "etcd-backups",
  endpoint: lab.endpoint,
  region: lab.region,
  accessKeyId: lab.accessKeyId,
  secretAccessKey: pulumi.secret(lab.secretAccessKey),
  ...(lab.endpointCa === undefined ? { insecure: true } : { endpointCa: lab.endpointCa }),
};

${resources}
`;
}
