import { runtime } from "@pulumi/pulumi";
import { backupConfig } from "../../../provider/lifecycle/backup-config";
import type { CheckFailure, LifecycleCall } from "../../../provider/lifecycle/lifecycle";
import { snapshot } from "../../../provider/lifecycle/snapshot";
import { snapshotRestore } from "../../../provider/lifecycle/snapshot-restore";
import { unknownValue } from "../../../provider/lifecycle/unknown";
import { silent } from "../../../provider/operations/call";
import { previewRestore } from "../../../provider/operations/preview-restore";

jest.mock("../../../provider/operations/preview-restore");

const call = { progress: silent, credentials: {} };
const key = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n";
const cluster = {
  distribution: "etcd",
  name: "prod",
  connection: { user: "ubuntu", privateKey: key },
  servers: [
    { name: "s1", connection: { host: "10.0.0.11" } },
    { name: "s2", connection: { host: "10.0.0.12" } },
  ],
};
const s3 = { bucket: "backups" };

test("a cluster, a schedule and a store that are right have no failures, and get their defaults", async () => {
  const { inputs, failures } = await backupConfig.check({ cluster, s3 }, undefined, call);
  expect(failures).toEqual([]);
  expect(inputs).toEqual({
    cluster,
    schedule: "0 */12 * * *",
    retention: 5,
    snapshotName: "etcd-snapshot",
    enabled: true,
    onDestroy: "remove",
    s3: { bucket: "backups", folder: "prod" },
  });
});

test("everything that is wrong is reported at once, by its path", async () => {
  const servers = [{ name: "-s1", connection: { host: "ssh://10.0.0.11", port: 0 } }, { connection: {} }];
  const given = {
    cluster: { distribution: "rke", name: "", servers },
    schedule: "every day",
    retention: 0,
    s3: { bucket: "", folder: "/a", endpoint: "https://s3.example", accessKeyId: "AKID" },
    onDestroy: "keep",
  };
  expect(await paths(backupConfig, given)).toEqual([
    "cluster.distribution",
    "cluster.name",
    "cluster.servers[0].connection.host",
    "cluster.servers[0].connection.port",
    "cluster.servers[0].name",
    "cluster.servers[1].connection.host",
    "cluster.servers[1].name",
    "onDestroy",
    "retention",
    "s3.bucket",
    "s3.endpoint",
    "s3.folder",
    "s3.secretAccessKey",
    "schedule",
  ]);
});

test.each([
  ["no server", { servers: [] }, "cluster.servers"],
  ["no servers at all", { servers: undefined }, "cluster.servers"],
  ["a name twice", { servers: [server("a", "h1"), server("a", "h2")] }, "cluster.servers[1].name"],
  ["a machine twice", { servers: [server("a", "h1"), server("b", "h1")] }, "cluster.servers[1].connection.host"],
  [
    "local with two servers",
    { connection: { local: true }, servers: [{ name: "a" }, { name: "b" }] },
    "cluster.servers[0].connection.local",
  ],
  [
    "local with a host",
    { connection: { local: true }, servers: [server("a", "h1")] },
    "cluster.servers[0].connection.host",
  ],
  ["a key given as its path", { connection: { privateKey: "~/.ssh/id_ed25519" } }, "cluster.connection.privateKey"],
  ["a host key of no known form", { connection: { hostKey: "SHA256:abc" } }, "cluster.connection.hostKey"],
  ["a bastion without a host", { connection: { proxy: { user: "u" } } }, "cluster.connection.proxy.host"],
  [
    "sudo on a bastion",
    { connection: { proxy: { host: "b", sudoPassword: "x" } } },
    "cluster.connection.proxy.sudoPassword",
  ],
  ["a misspelt key in a connection", { connection: { privatekey: "x" } }, "cluster.connection.privatekey"],
  ["a misspelt key in a server", { servers: [{ ...server("a", "h1"), hots: "x" }] }, "cluster.servers[0].hots"],
  ["a hidden key below the top", { __x: 1 }, "cluster.__x"],
  ["a certificate as text", { cacert: "-----BEGIN CERTIFICATE-----" }, "cluster.cacert"],
  ["a certificate without its key", { cert: "/etc/etcd/c.pem" }, "cluster.key"],
  ["a password without a user name", { password: "x" }, "cluster.username"],
  ["a token", { token: "x" }, "cluster.token"],
  ["static pods", { manifestsDir: "/etc/kubernetes/manifests" }, "cluster.manifestsDir"],
  ["an API server with a server's name", { apiServers: [server("s1", "h9")] }, "cluster.apiServers[0].name"],
])("refused in a cluster: %s", async (_, part, path) => {
  expect(await paths(backupConfig, { cluster: { ...cluster, ...part } })).toEqual([path]);
});

test.each([
  ["an empty folder", { folder: "" }, "s3.folder"],
  ["a folder that ends with a slash", { folder: "a/" }, "s3.folder"],
  ["a CA together with skipTlsVerify", { endpointCa: pem(), skipTlsVerify: true }, "s3.endpointCa"],
  ["a CA together with plain HTTP", { endpointCa: pem(), insecure: true }, "s3.insecure"],
  ["a secret key without its id", { secretAccessKey: "x" }, "s3.accessKeyId"],
  ["a session token alone", { sessionToken: "x" }, "s3.accessKeyId"],
  ["both retentions", { retention: 3, keepRounds: 3 }, "s3.retention"],
  ["a retention of nothing", { retention: 0 }, "s3.retention"],
  ["half a round", { keepRounds: 1.5 }, "s3.keepRounds"],
  ["a deadline without a unit", { timeout: "300" }, "s3.timeout"],
  ["an endpoint with a path", { endpoint: "s3.example/a" }, "s3.endpoint"],
  ["a bucket's URL", { bucket: "s3://backups" }, "s3.bucket"],
  ["another distribution's input", { configSecret: "x" }, "s3.configSecret"],
])("refused in a store: %s", async (_, part, path) => {
  expect(await paths(backupConfig, { cluster, s3: { ...s3, ...part } })).toEqual([path]);
});

interface Checks {
  check(given: unknown, old: undefined, call: LifecycleCall): Promise<{ failures: readonly CheckFailure[] }>;
}

const kinds: Readonly<Record<string, Checks>> = {
  BackupConfig: backupConfig,
  Snapshot: snapshot,
  SnapshotRestore: snapshotRestore,
};

test.each([
  ["BackupConfig", ["compress", "restart", "reconcileInterval", "safeTimestamp", "configSecret", "anythingElse"]],
  ["Snapshot", ["manifest", "recoveryKit", "retention", "anythingElse"]],
  ["SnapshotRestore", ["survivor", "accept", "restoreMode", "token", "manifest", "recoveryKit", "anythingElse"]],
])("%s refuses by name every input that it does not act on: %j", async (kind, inputs) => {
  const [lifecycle, name] = [kinds[kind], kind === "Snapshot" ? { name: "n" } : {}];
  const unwanted = Object.fromEntries(inputs.map((input) => [input, "x"]));
  expect(lifecycle && (await paths(lifecycle, { cluster, ...name, ...unwanted }))).toEqual([...inputs].sort());
});

test("no reason shows a value: it may hold a secret", async () => {
  const hush = "hunter2";
  const given = {
    cluster: {
      distribution: "etcd",
      name: hush + " ",
      token: hush,
      connection: { host: hush, privateKey: hush, hostKey: hush, port: hush, passwrod: hush },
      servers: [{ name: "a", connection: { proxy: hush } }, hush],
    },
    s3: { bucket: `s3://${hush}`, endpoint: `http://${hush}`, endpointCa: hush, proxy: hush, timeout: hush },
    compress: hush,
  };
  const { failures } = await backupConfig.check(given, undefined, call);
  expect(failures.length).toBeGreaterThan(10);
  expect(JSON.stringify(failures)).not.toContain(hush);
});

test("what a preview does not know yet is never wrong, wherever it stands and whatever its type", async () => {
  expect(unknownValue).toBe(runtime.unknownValue);
  for (const unknown of everyPlaceIn({
    cluster: { ...cluster, apiServers: [] },
    s3: fullS3(),
    schedule: "0 0 * * *",
    retention: 3,
  })) {
    expect({ unknown, failures: (await backupConfig.check(unknown, undefined, call)).failures }).toEqual({
      unknown,
      failures: [],
    });
  }
  const restore = { cluster, snapshot: unknownValue, deadline: unknownValue, triggers: [unknownValue] };
  expect((await snapshotRestore.check(restore, undefined, call)).failures).toEqual([]);
  expect(previewRestore).not.toHaveBeenCalled();
});

test.each(["", " ", "a b", "../x", "/var/lib/x", "http://bucket/key", "file://s9/var/x"])(
  "a restore refuses the snapshot %j without looking",
  async (name) => {
    expect(await paths(snapshotRestore, { cluster, snapshot: name })).toEqual(["snapshot"]);
    expect(previewRestore).not.toHaveBeenCalled();
  },
);

test("null, as configuration files spell it, is absent", async () => {
  const { inputs, failures } = await backupConfig.check({ cluster, s3: null, retention: null }, undefined, call);
  expect(failures).toEqual([]);
  expect(inputs).toMatchObject({ retention: 5 });
  expect(inputs).not.toHaveProperty("s3");
});

test("a store shared with BackupConfig has nothing to say about keeping in a Snapshot", async () => {
  const { inputs } = await snapshot.check({ cluster, name: "n", s3: { ...s3, keepRounds: 4 } }, undefined, call);
  expect(inputs.s3).toEqual({ bucket: "backups", folder: "prod" });
});

async function paths(kind: Checks, given: unknown): Promise<string[]> {
  const { failures } = await kind.check(given, undefined, call);
  return failures.map(({ property }) => property).sort();
}

function server(name: string, host: string): object {
  return { name, connection: { host } };
}

function pem(): string {
  return "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n";
}

function fullS3(): object {
  return {
    ...s3,
    folder: "f",
    endpoint: "e",
    accessKeyId: "a",
    secretAccessKey: "s",
    endpointCa: pem(),
    keepRounds: 3,
  };
}

/** The same value once for every place in it, with that place unknown. */
function everyPlaceIn(value: unknown): unknown[] {
  if (typeof value !== "object" || value === null) return [unknownValue];
  const parts = Object.entries(value).flatMap(([key, part]) =>
    everyPlaceIn(part).map((changed) =>
      Array.isArray(value)
        ? value.map((item: unknown, index) => (String(index) === key ? changed : item))
        : { ...value, [key]: changed },
    ),
  );
  return [
    ...parts,
    ...Object.keys(value).map((key) => (Array.isArray(value) ? unknownValue : { ...value, [key]: unknownValue })),
  ];
}
