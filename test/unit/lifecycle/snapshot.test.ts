import type { LifecycleCall } from "../../../provider/lifecycle/lifecycle";
import { snapshot, type SnapshotInputs, type SnapshotState } from "../../../provider/lifecycle/snapshot";
import type { Cluster } from "../../../provider/model";
import * as backups from "../../../provider/operations/configure-backups";
import * as operations from "../../../provider/operations/take-snapshot";

jest.mock("../../../provider/operations/configure-backups");
jest.mock("../../../provider/operations/take-snapshot");
const { takeSnapshot, snapshotExists, deleteSnapshot } = jest.mocked(operations);
const { verifyConnections } = jest.mocked(backups);

const cluster: Cluster = {
  distribution: "etcd",
  name: "prod",
  servers: [{ name: "s1", connection: { host: "10.0.0.11" } }],
};
const inputs: SnapshotInputs = {
  cluster,
  name: "before",
  s3: { bucket: "b", folder: "prod" },
  triggers: ["1"],
  deletionPolicy: "retain",
};
const taken: operations.TakenSnapshot = {
  fileName: "before-s1-1",
  location: "s3://b/prod/before-s1-1",
  locations: ["s3://b/prod/before-s1-1"],
  sizeBytes: 10,
  sha256: "ab",
  revision: 7,
  totalKeys: 3,
  etcdVersion: "3.6.1",
  ...{ distributionVersion: "v1.35.4+k3s1", tokenHash: "0123456789ab" },
  server: "s1",
  takenAt: "2026-01-01T00:00:00Z",
  durationMs: 5,
};
const state: SnapshotState = { ...inputs, ...taken, exists: true };
const progress = { status: jest.fn(), info: jest.fn(), warn: jest.fn() };
const call: LifecycleCall = { progress, credentials: {} };

beforeEach(() => jest.resetAllMocks());

test("creating takes one, and its location is its id", async () => {
  takeSnapshot.mockResolvedValue(taken);
  expect(await snapshot.reconcile(inputs, undefined, call)).toEqual({ id: taken.location, state });
  expect(takeSnapshot.mock.calls[0]?.[1]).toEqual({ name: "before", s3: { bucket: "b", folder: "prod" } });
});

test.each([
  [{ triggers: ["2"] }, ["triggers"]],
  [{ name: "after" }, ["name"]],
  [{ cluster: { ...cluster, name: "stage" } }, ["cluster.name"]],
  [{ cluster: { ...cluster, connection: { user: "admin" } } }, []],
  [{ s3: { bucket: "b", folder: "prod", secretAccessKey: "x", accessKeyId: "y" } }, []],
  [{ s3: { bucket: "other", folder: "prod" } }, []],
  [{ deletionPolicy: "delete" as const }, []],
])("what takes a new one, and what is only stored: %j", (changed, replaces) => {
  expect(snapshot.diff(state, { ...inputs, ...changed })).toEqual({ changes: true, replaces });
});

test("nothing changed, and a file that is gone: no difference, it is never taken again by itself", () => {
  expect(snapshot.diff({ ...state, exists: false }, inputs)).toEqual({ changes: false, replaces: [] });
});

test("a file that is gone is said to be gone", async () => {
  snapshotExists.mockResolvedValue(false);
  expect(await snapshot.read(state, call)).toEqual({ ...state, exists: false });
  expect(progress.warn).toHaveBeenCalledWith(expect.stringContaining(taken.location));
  expect(takeSnapshot).not.toHaveBeenCalled();
});

test("another connection is verified and stored; another bucket is stored, and the snapshot stays where it is", async () => {
  const moved = { ...inputs, cluster: { ...cluster, connection: { user: "admin" } }, s3: { bucket: "other" } };
  const updated = await snapshot.reconcile(moved, state, call);
  expect(updated.state).toEqual({ ...state, ...moved });
  expect(verifyConnections).toHaveBeenCalledTimes(1);
  expect(takeSnapshot).not.toHaveBeenCalled();
  expect(progress.warn).toHaveBeenCalledWith(expect.stringContaining("stays at s3://b/prod/before-s1-1"));
  snapshotExists.mockResolvedValue(true);
  await snapshot.read(updated.state, call);
  expect(snapshotExists.mock.calls[0]?.[2]).toEqual({ bucket: "b", folder: "prod" });
});

test("destroying keeps the file, unless it is to be deleted", async () => {
  await snapshot.delete(state, call);
  expect(deleteSnapshot).not.toHaveBeenCalled();
  await snapshot.delete({ ...state, deletionPolicy: "delete" }, call);
  expect(deleteSnapshot.mock.calls[0]?.[1]).toEqual(taken);
});

test("a snapshot cannot be adopted by its id", async () => {
  const adopted = { ...inputs } as SnapshotState;
  await expect(snapshot.read(adopted, call)).rejects.toMatchObject({ code: "INVALID_INPUT" });
});
