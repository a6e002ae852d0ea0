import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Cluster, DistributionName, S3Settings } from "../../provider/model";
import type { Lab } from "../lab/lab";
import type { PulumiProject } from "../lab/pulumi";
import type { S3 } from "../lab/s3";

/** The bucket that every lab with a program has. */
export const BUCKET = "etcd-backups";

/** A program and its stack on the real engine. */
export interface LabProgram extends PulumiProject {
  /** Replaces the program's resources: text of a JavaScript program, see `createLabProgram`. */
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
 * Makes a stack whose program has the given resources. In their text are `pulumi`, `config`, the function that makes the
 * cluster, `BackupConfig`, `Snapshot`, `SnapshotRestore`, `cluster` (as described), `s3` (its bucket `etcd-backups`) and
 * `lab` (what both are made of).
 */
export async function createLabProgram(lab: Lab, s3: S3, cluster: Cluster, resources: string): Promise<LabProgram> {
  const { distribution } = cluster;
  const described = { ...cluster, distribution: undefined, connection: undefined };
  const project = await lab.pulumi({
    files: {
      // JavaScript: a compiler would take longer than all the rest of most runs.
      "Pulumi.yaml": "name: lab\nmain: index.js\nruntime: { name: nodejs, options: { typescript: false } }\n",
      "index.js": programOf(distribution, resources),
      "lab.json": JSON.stringify({
        ...{ cluster: described, servers: cluster.servers, knownHosts: lab.knownHosts, sshKey: lab.sshKey.privateKey },
        ...{ endpoint: s3.endpoint, region: s3.region, endpointCa: s3.caPem },
        ...{ accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey },
      }),
    },
  });
  const print = async (words: readonly string[]): Promise<{ readonly code: number; readonly printed: string }> => {
    const { code, stdout, stderr } = await project.run(words);
    return { code, printed: `${stdout}\n${stderr}` };
  };
  const program: LabProgram = {
    ...project,
    write: (text) => writeFileSync(join(project.directory, "index.js"), programOf(distribution, text)),
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

/** A cluster on machines of the lab, as the operations are given it: for tests that need no engine. */
export function clusterOn(
  lab: Lab,
  { servers = lab.machines.map(({ name }) => name), ...more }: ClusterOnOptions,
): Cluster {
  const at = (name: string): Cluster["servers"][number] => ({
    name,
    connection: { host: lab.machine(name).address },
  });
  return {
    name: "demo",
    connection: { privateKey: lab.sshKey.privateKey, knownHosts: lab.knownHosts },
    servers: servers.map(at),
    ...more,
  };
}

export interface ClusterOnOptions extends Partial<Omit<Cluster, "servers" | "distribution">> {
  readonly distribution: DistributionName;
  /** Names of machines. @default all of the lab */
  readonly servers?: readonly string[];
}

/** The lab's bucket, as the operations are given it; `folder` is what a resource would take by itself: the cluster's name. */
export function bucketOf(s3: S3, folder = "demo"): S3Settings {
  return {
    ...{ bucket: BUCKET, folder, region: s3.region, endpoint: s3.endpoint },
    ...(s3.caPem === undefined ? { insecure: true } : { endpointCa: s3.caPem }),
    ...{ accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey },
  };
}

// Not by the stack's configuration: the engine hands that to the program in its environment, secrets and all.
function programOf(distribution: DistributionName, resources: string): string {
  return `"use strict";
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const pulumi = require("@pulumi/pulumi");
const { BackupConfig, ${distribution}, Snapshot, SnapshotRestore } = require("pulumi-etcd-backup");

const config = new pulumi.Config();
const lab = JSON.parse(readFileSync(join(__dirname, "lab.json"), "utf8"));
const cluster = ${distribution}({
  ...lab.cluster,
  connection: { privateKey: pulumi.secret(lab.sshKey), knownHosts: lab.knownHosts },
});
const s3 = {
  bucket: "${BUCKET}",
  endpoint: lab.endpoint,
  region: lab.region,
  accessKeyId: lab.accessKeyId,
  secretAccessKey: pulumi.secret(lab.secretAccessKey),
  ...(lab.endpointCa === undefined ? { insecure: true } : { endpointCa: lab.endpointCa }),
};

${resources}
`;
}
