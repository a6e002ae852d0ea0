import { runtime } from "@pulumi/pulumi";
import * as provider from "../../provider/dynamic-provider";
import { BackupError } from "../../provider/errors";
import * as backups from "../../provider/operations/configure-backups";
import * as restore from "../../provider/operations/restore";

jest.mock("../../provider/operations/configure-backups");
jest.mock("../../provider/operations/preview-restore");
jest.mock("../../provider/operations/restore");
const { configureBackups, readBackups } = jest.mocked(backups);
const { restoreSnapshot } = jest.mocked(restore);

const key = "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----\n";
const cluster = {
  distribution: "etcd",
  name: "prod",
  connection: { privateKey: key },
  servers: [{ name: "s1", connection: { host: "10.0.0.11", sudoPassword: "hunter2" } }],
};
const hidden = { __provider: "source", __opts: { timeouts: { create: "7m" } } };
const secretKey = "4dabf18193072939515e22adb298388d";

beforeEach(() => {
  jest.resetAllMocks();
  jest.spyOn(console, "error").mockReturnValue();
  const server = {
    server: "s1",
    etcdVersion: "3.6.1",
    directory: "/d",
    timer: "active" as const,
    schedule: [],
    drift: [],
  };
  configureBackups.mockResolvedValue({ servers: [{ ...server, lastSnapshotAt: undefined }], warnings: [] });
});

test("a check marks what is secret, keeps what is hidden, and leaves the rest to be seen", async () => {
  const { inputs, failures } = await provider.BackupConfig.check({}, { ...hidden, cluster, s3: s3() });
  expect(failures).toEqual([]);
  expect(inputs).toMatchObject({
    ...hidden,
    cluster: {
      name: "prod",
      connection: { privateKey: secret(key) },
      servers: [{ name: "s1", connection: { host: "10.0.0.11", sudoPassword: secret("hunter2") } }],
    },
    s3: { bucket: "b", accessKeyId: "AKID", secretAccessKey: secret("hunter2"), proxy: secret("http://u:p@proxy:1") },
  });
});

test("a server token is marked wherever it stands, and no failure shows it", async () => {
  const k3s = { ...cluster, distribution: "k3s", token: "hunter2" };
  const { inputs } = await provider.SnapshotRestore.check({}, { ...hidden, cluster: k3s, token: "hunter2" });
  expect(inputs).toMatchObject({ cluster: { token: secret("hunter2") }, token: secret("hunter2") });
  const wrong = { ...hidden, cluster: { ...k3s, token: "hunter2 " }, token: "/hunter2/token" };
  const { failures } = await provider.SnapshotRestore.check({}, wrong);
  expect(failures.map(({ property }) => property)).toEqual(["", ""]);
  expect(JSON.stringify(failures)).not.toContain("hunter2");
});

test("our mark of a secret is Pulumi's", () => {
  expect(runtime.specialSigKey).toBe(secretKey);
  expect(runtime.isRpcSecret(secret("x"))).toBe(true);
});

test("a failure names its property only where Pulumi may print the value", async () => {
  const given = { ...hidden, cluster: { ...cluster, tokne: "hunter2" }, retention: 0, password: "hunter2" };
  const { failures } = await provider.BackupConfig.check({}, given);
  expect(failures.map(({ property }) => property).sort()).toEqual(["", "", "retention"]);
  expect(failures.map(({ reason }) => reason).join()).toMatch(/cluster\.tokne: .*password: /);
});

test("what is made can be stored: plain values, no undefined, nothing frozen, inputs at their keys", async () => {
  const inputs = Object.freeze({ ...hidden, ...plainInputs() });
  const { id, outs } = await provider.BackupConfig.create(inputs);
  expect(id).toBe("prod");
  expect(outs).toMatchObject({ ...hidden, schedule: "0 0 * * *", drift: [] });
  expect(outs.servers).toStrictEqual([
    { server: "s1", etcdVersion: "3.6.1", directory: "/d", timer: "active", schedule: [] },
  ]);
  expect(Object.isFrozen(outs)).toBe(false);
  expect(withoutSecrets(outs)).not.toContain("hunter2");
});

test("a custom timeout is the deadline of its own verb", async () => {
  const before = Date.now();
  await provider.BackupConfig.create({ ...hidden, ...plainInputs() });
  const deadline = configureBackups.mock.calls[0]?.[2].deadline ?? 0;
  expect(deadline - before).toBeGreaterThanOrEqual(420_000);
  expect(deadline - before).toBeLessThan(480_000);
  const state = { ...hidden, ...plainInputs(), servers: [], warnings: [], drift: ["s1: timer: off"] };
  await provider.BackupConfig.update("prod", state, { ...hidden, ...plainInputs() });
  expect(configureBackups.mock.calls[1]?.[2].deadline).toBeUndefined();
});

test("credentials of the configuration reach the operation as soon as they are configured", async () => {
  const configuration: Record<string, string> = { "etcd-backup:sshPassword": "configured" };
  provider.BackupConfig.configure({ config: { get: (name) => configuration[name] } });
  const inputs = { ...plainInputs(), cluster: { ...cluster, connection: {} } };
  const { outs } = await provider.BackupConfig.create(inputs);
  expect(configureBackups.mock.calls[0]?.[0].servers[0]?.connection?.password).toBe("configured");
  expect(JSON.stringify(outs)).not.toContain("configured");
});

test("an interrupted restore leaves everything that the next update needs, secrets marked", async () => {
  restoreSnapshot.mockRejectedValue(new BackupError("RESTORE_INTERRUPTED", "s2 does not come back"));
  const inputs = { ...hidden, cluster, snapshot: "x", triggers: [], safetySnapshot: true, bumpRevision: true };
  const thrown: unknown = await provider.SnapshotRestore.create(inputs).catch((error: unknown) => error);
  expect(thrown).toMatchObject({
    id: "prod/x",
    reasons: ["RESTORE_INTERRUPTED: s2 does not come back"],
    properties: { ...hidden, snapshot: "x", cluster: { connection: { privateKey: secret(key) } } },
  });
});

test("an abandoned restore leaves nothing", async () => {
  restoreSnapshot.mockRejectedValue(new BackupError("RESTORE_ABANDONED", "put back"));
  const inputs = { ...hidden, cluster, snapshot: "x", triggers: [], safetySnapshot: true, bumpRevision: true };
  const thrown: unknown = await provider.SnapshotRestore.create(inputs).catch((error: unknown) => error);
  expect(thrown).toMatchObject({ code: "RESTORE_ABANDONED" });
  expect(thrown).not.toHaveProperty("id");
});

test("a server that cannot be read fails the refresh with its own words and no stack", async () => {
  readBackups.mockRejectedValue(new BackupError("HOST_UNREACHABLE", "no answer", { host: "s1" }));
  const thrown: unknown = await provider.BackupConfig.read("prod", plainInputs()).catch((error: unknown) => error);
  expect(thrown).toMatchObject({ message: "HOST_UNREACHABLE: s1: no answer", stack: "" });
});

test("differences ignore what is hidden", () => {
  const state = { ...hidden, ...plainInputs(), servers: [], warnings: [], drift: [] };
  const news = { __provider: "newer source", __opts: {}, ...plainInputs() };
  expect(provider.BackupConfig.diff("prod", state, news)).toEqual({
    changes: false,
    replaces: [],
    deleteBeforeReplace: false,
  });
});

function plainInputs(): Record<string, unknown> {
  return {
    cluster,
    schedule: "0 0 * * *",
    retention: 5,
    snapshotName: "etcd-snapshot",
    enabled: true,
    onDestroy: "remove",
  };
}

function s3(): object {
  return { bucket: "b", accessKeyId: "AKID", secretAccessKey: "hunter2", proxy: "http://u:p@proxy:1" };
}

function secret(value: string): object {
  return { [secretKey]: "1b47061264138c4ac30d75fd1eb44270", value };
}

function withoutSecrets(properties: object): string {
  return JSON.stringify(properties, (_, value: unknown) =>
    typeof value === "object" && value !== null && secretKey in value ? "[secret]" : value,
  );
}
