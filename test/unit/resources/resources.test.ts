import * as pulumi from "@pulumi/pulumi";
import {
  BackupConfig,
  type ClusterArgs,
  etcd,
  k3s,
  rke2,
  type S3Args,
  Snapshot,
  SnapshotRestore,
} from "../../../provider/index";

interface Registered {
  readonly type: string;
  readonly name: string;
  readonly inputs: Record<string, unknown>;
}

const registered: Registered[] = [];

beforeAll(() =>
  pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs }) => {
        registered.push({ type, name, inputs: inputs as Record<string, unknown> });
        return { id: name, state: inputs as Record<string, unknown> };
      },
      call: () => ({}),
    },
    "project",
    "stack",
  ),
);

const cluster = etcd({
  name: "prod",
  connection: { user: "ubuntu", privateKey: pulumi.secret("KEY") },
  servers: [{ name: "s1", connection: { host: "10.0.0.11" } }],
});

test("the provider's source and the kinds' names never change: they are in the state of every resource ever made", async () => {
  new BackupConfig("a", { cluster });
  new Snapshot("b", { cluster });
  new SnapshotRestore("c", { cluster }, { customTimeouts: { create: "1h" } });
  const found = await inputsOf("a", "b", "c");
  expect(found.map(({ type, inputs }) => [type, inputs.__provider])).toMatchInlineSnapshot(`
   [
     [
       "pulumi-nodejs:dynamic/etcd-backup:BackupConfig",
       "exports.handler=()=>{try{require.resolve("pulumi-etcd-backup/provider")}catch(e){throw new Error("pulumi-etcd-backup is not installed here: add it to the dependencies of this project's package.json")}return require("pulumi-etcd-backup/provider").BackupConfig}",
     ],
     [
       "pulumi-nodejs:dynamic/etcd-backup:Snapshot",
       "exports.handler=()=>{try{require.resolve("pulumi-etcd-backup/provider")}catch(e){throw new Error("pulumi-etcd-backup is not installed here: add it to the dependencies of this project's package.json")}return require("pulumi-etcd-backup/provider").Snapshot}",
     ],
     [
       "pulumi-nodejs:dynamic/etcd-backup:SnapshotRestore",
       "exports.handler=()=>{try{require.resolve("pulumi-etcd-backup/provider")}catch(e){throw new Error("pulumi-etcd-backup is not installed here: add it to the dependencies of this project's package.json")}return require("pulumi-etcd-backup/provider").SnapshotRestore}",
     ],
   ]
  `);
  expect(found[2]?.inputs.__opts).toEqual({
    urn: "urn:pulumi:stack::project::pulumi-nodejs:dynamic/etcd-backup:SnapshotRestore::c",
    timeouts: { create: "1h" },
  });
});

test("a snapshot is named after its resource, unless it is named", async () => {
  new Snapshot("before", { cluster });
  new Snapshot("after", { cluster, name: "x" });
  expect((await inputsOf("before", "after")).map(({ inputs }) => inputs.name)).toEqual(["before", "x"]);
});

test("a secret in a cluster stays one, alone", () => {
  const { connection, name } = cluster as { connection: { privateKey: unknown }; name: unknown };
  expect(name).toBe("prod");
  expect(pulumi.Output.isInstance(connection.privateKey)).toBe(true);
});

test("each builder makes a plain value that says what it is; a secret token stays one, alone", () => {
  const args = { name: "prod", servers: [{ name: "s1" }], token: pulumi.secret("TOKEN"), agents: [{ name: "a1" }] };
  expect([k3s(args), rke2(args)]).toEqual([
    { ...args, distribution: "k3s" },
    { ...args, distribution: "rke2" },
  ]);
  const { name, token } = k3s(args) as { name: unknown; token: unknown };
  expect([name, pulumi.Output.isInstance(token)]).toEqual(["prod", true]);
});

test("every cluster is one for every resource, now or later", async () => {
  const args = { name: "prod", servers: [] };
  const clusters: readonly ClusterArgs[] = [etcd(args), k3s(args), rke2(args)];
  for (const one of clusters) {
    const backups = new BackupConfig(one.distribution, { cluster: pulumi.output(one), s3: { bucket: "b" } });
    expect(await plain(backups.s3)).toEqual({ bucket: "b", folder: "prod" });
  }
});

test("the store of a BackupConfig has its folder, and what is known of it is known in a preview", async () => {
  const backups = new BackupConfig("known", { cluster, s3: { bucket: "b", secretAccessKey: pulumi.secret("S") } });
  const s3 = backups.s3 as S3Args;
  expect(s3.bucket).toBe("b");
  expect(await plain(s3)).toEqual({ bucket: "b", secretAccessKey: "S", folder: "prod" });
  const given = new BackupConfig("given", { cluster, s3: pulumi.output({ bucket: "b", folder: "f" }) });
  expect(await plain(given.s3)).toEqual({ bucket: "b", folder: "f" });
  expect(new BackupConfig("none", { cluster }).s3).toBeUndefined();
});

async function inputsOf(...names: string[]): Promise<Registered[]> {
  await pulumi.runtime.disconnect();
  return names.flatMap((name) => registered.filter((one) => one.name === name));
}

function plain(value: pulumi.Input<S3Args> | undefined): Promise<unknown> {
  return new Promise((resolve) => pulumi.output(value).apply((known) => resolve(known)));
}
