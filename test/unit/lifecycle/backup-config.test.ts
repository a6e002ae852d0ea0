import { BackupError } from "../../../provider/errors";
import {
  backupConfig,
  type BackupConfigInputs,
  type BackupConfigState,
} from "../../../provider/lifecycle/backup-config";
import type { Cluster } from "../../../provider/model";
import { silent } from "../../../provider/operations/call";
import * as operations from "../../../provider/operations/configure-backups";

jest.mock("../../../provider/operations/configure-backups");
const { configureBackups, readBackups, removeBackups, verifyConnections } = jest.mocked(operations);

const call = { progress: silent, credentials: {} };
const cluster: Cluster = {
  distribution: "etcd",
  name: "prod",
  connection: { user: "ubuntu" },
  servers: [
    { name: "s1", connection: { host: "10.0.0.11" } },
    { name: "s2", connection: { host: "10.0.0.12" } },
  ],
};
const inputs: BackupConfigInputs = {
  cluster,
  schedule: "0 */12 * * *",
  retention: 5,
  snapshotName: "etcd-snapshot",
  enabled: true,
  onDestroy: "remove",
};
const state: BackupConfigState = { ...inputs, servers: [], warnings: [], drift: [] };
const elsewhere: Cluster = { ...cluster, connection: { user: "admin", port: 2222 } };

beforeEach(() => {
  jest.resetAllMocks();
  configureBackups.mockResolvedValue({ servers: [backups("s1"), backups("s2")], warnings: [] });
});

test("nothing changed: no difference", () => {
  expect(backupConfig.diff(state, structuredClone(inputs))).toMatchObject({ changes: false, replaces: [] });
});

test.each([
  { schedule: "0 0 * * *" },
  { retention: 6 },
  { directory: "/backups" },
  { snapshotName: "nightly" },
  { enabled: false },
  { compress: true },
  { restart: "none" as const },
  { reconcileInterval: "30m" },
  { s3: { bucket: "b" } },
  { onDestroy: "retain" as const },
  { cluster: { ...cluster, servers: cluster.servers.slice(1) } },
  { cluster: elsewhere },
])("each input, changed alone, is an update in place: %j", (changed) => {
  expect(backupConfig.diff(state, { ...inputs, ...changed })).toMatchObject({ changes: true, replaces: [] });
});

test("another cluster's name is another resource, made after the old one: both would own the same files", () => {
  const diff = backupConfig.diff(state, { ...inputs, cluster: { ...cluster, name: "stage" } });
  expect(diff).toEqual({ changes: true, replaces: ["cluster.name"], deleteBeforeReplace: true });
});

test("what a server does otherwise is a difference, shown as an input that is not declared", () => {
  const drifted = { ...state, drift: ['s2: schedule: "0 0 * * *"'] };
  expect(backupConfig.diff(drifted, inputs)).toMatchObject({ changes: true, replaces: [] });
  expect(backupConfig.observedInputs?.(drifted)).toEqual({ ...inputs, drift: ['s2: schedule: "0 0 * * *"'] });
  expect(backupConfig.observedInputs?.(state)).toEqual(inputs);
});

test("reading says per server and field what is not as declared", async () => {
  readBackups.mockResolvedValue({ servers: [backups("s1"), backups("s2", "timer: off")], warnings: ["w"] });
  const read = await backupConfig.read(state, call);
  expect(read).toMatchObject({ ...inputs, drift: ["s2: timer: off"], warnings: ["w"] });
  expect(read?.servers).toEqual([
    { server: "s1", etcdVersion: "3.6.1", directory: "/d", timer: "active", schedule: ["hourly"] },
    { server: "s2", etcdVersion: "3.6.1", directory: "/d", timer: "active", schedule: ["hourly"] },
  ]);
});

test("an unreachable server does not make the resource look gone", async () => {
  readBackups.mockRejectedValue(new BackupError("HOST_UNREACHABLE", "no answer", { host: "s1" }));
  await expect(backupConfig.read(state, call)).rejects.toMatchObject({ code: "HOST_UNREACHABLE" });
});

test("other connections, and nothing else: they are verified and stored, no server is configured", async () => {
  const reached = await backupConfig.reconcile({ ...inputs, cluster: elsewhere }, state, call);
  expect(reached.state.cluster).toEqual(elsewhere);
  expect(verifyConnections).toHaveBeenCalledTimes(1);
  expect(configureBackups).not.toHaveBeenCalled();
});

test("other connections together with drift: the servers are configured", async () => {
  await backupConfig.reconcile({ ...inputs, cluster: elsewhere }, { ...state, drift: ["s1: timer: off"] }, call);
  expect(configureBackups).toHaveBeenCalledTimes(1);
});

test("a connection that does not work is not stored", async () => {
  verifyConnections.mockRejectedValue(new BackupError("AUTH_REJECTED", "no key was accepted", { host: "s1" }));
  const reconciling = backupConfig.reconcile({ ...inputs, cluster: elsewhere }, state, call);
  await expect(reconciling).rejects.toMatchObject({ code: "AUTH_REJECTED" });
});

test("a server taken out of the list loses our files; renamed or gone for good, it stops nothing", async () => {
  const [s1, s2] = cluster.servers;
  const renamed = { ...inputs, cluster: { ...cluster, servers: [{ ...s1, name: "a1" }] } } as BackupConfigInputs;
  removeBackups.mockRejectedValue(new BackupError("HOST_UNREACHABLE", "no answer", { host: "s2", hint: "Is it on?" }));
  const { state: left } = await backupConfig.reconcile(renamed, state, call);
  expect(removeBackups.mock.calls.map(([from]) => from.servers.map(({ name }) => name))).toEqual([[s2?.name]]);
  expect(left.warnings).toEqual(["s2 is no longer listed, and its backups could not be removed: s2: no answer"]);
});

test("what is declared reaches the servers, all of it", async () => {
  const more = { directory: "/d", compress: true, restart: "none", reconcileInterval: "30m" } as const;
  await backupConfig.reconcile({ ...inputs, ...more, s3: { bucket: "b", configSecret: "etcd-s3" } }, undefined, call);
  const { schedule, retention, snapshotName, enabled } = inputs;
  const s3 = { bucket: "b", configSecret: "etcd-s3" };
  const expected = { schedule, retention, snapshotName, enabled, ...more, s3 };
  expect(configureBackups.mock.calls[0]?.[1]).toStrictEqual(expected);
});

test("an agent that is reached otherwise concerns no server; a token that is another does", async () => {
  const withAgent = (host: string): Cluster => ({ ...cluster, agents: [{ name: "a1", connection: { host } }] });
  await backupConfig.reconcile({ ...inputs, cluster: withAgent("h2") }, { ...state, cluster: withAgent("h1") }, call);
  expect(configureBackups).not.toHaveBeenCalled();
  const token = { ...cluster, token: "hunter2" };
  expect(backupConfig.diff(state, { ...inputs, cluster: token })).toMatchObject({ changes: true, replaces: [] });
  await backupConfig.reconcile({ ...inputs, cluster: token }, state, call);
  expect(configureBackups).toHaveBeenCalledTimes(1);
});

test("destroying removes our files, unless they are to be retained", async () => {
  await backupConfig.delete({ ...state, onDestroy: "retain" }, call);
  expect(removeBackups).not.toHaveBeenCalled();
  await backupConfig.delete(state, call);
  expect(removeBackups).toHaveBeenCalledTimes(1);
});

test("credentials from outside the inputs are used, and are in no state", async () => {
  const credentials = { sshPrivateKey: "KEY", s3AccessKeyId: "AKID", s3SecretAccessKey: "S3KEY" };
  const made = await backupConfig.reconcile({ ...inputs, s3: { bucket: "b" } }, undefined, { ...call, credentials });
  const [used, settings] = configureBackups.mock.calls[0] ?? [];
  expect(used?.servers[0]?.connection).toEqual({ user: "ubuntu", host: "10.0.0.11", privateKey: "KEY" });
  expect(settings?.s3).toEqual({ bucket: "b", accessKeyId: "AKID", secretAccessKey: "S3KEY" });
  expect(JSON.stringify(made)).not.toMatch(/KEY|AKID/);
});

function backups(server: string, ...drift: string[]): operations.ServerBackups {
  return { server, etcdVersion: "3.6.1", directory: "/d", timer: "active", schedule: ["hourly"], drift };
}
