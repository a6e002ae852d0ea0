import { BackupError } from "../../../provider/errors";
import { Interrupted, type LifecycleCall } from "../../../provider/lifecycle/lifecycle";
import {
  snapshotRestore,
  type SnapshotRestoreInputs,
  type SnapshotRestoreState,
} from "../../../provider/lifecycle/snapshot-restore";
import { unknownValue } from "../../../provider/lifecycle/unknown";
import type { Cluster } from "../../../provider/model";
import * as backups from "../../../provider/operations/configure-backups";
import * as previews from "../../../provider/operations/preview-restore";
import * as operations from "../../../provider/operations/restore";

jest.mock("../../../provider/operations/configure-backups");
jest.mock("../../../provider/operations/preview-restore");
jest.mock("../../../provider/operations/restore");
const { previewRestore } = jest.mocked(previews);
const { restoreSnapshot } = jest.mocked(operations);
const { verifyConnections } = jest.mocked(backups);

const cluster: Cluster = {
  distribution: "etcd",
  name: "prod",
  servers: [{ name: "s1", connection: { host: "10.0.0.11" } }],
};
const idle: SnapshotRestoreInputs = { cluster, triggers: [], safetySnapshot: true, bumpRevision: true };
const inputs: SnapshotRestoreInputs = { ...idle, snapshot: "latest" };
const report: operations.RestoreReport = {
  restoredAt: "2026-01-01T00:00:00Z",
  restored: { location: "s3://b/prod/x", sizeBytes: 1, takenAt: "2025-12-31T00:00:00Z" },
  revisionAfter: 7,
  safetySnapshots: [],
  members: [],
  setAside: [],
  steps: [],
  durationMs: 3,
  report: "done",
};
const done: SnapshotRestoreState = { ...inputs, ...report };
const other: Cluster = { ...cluster, connection: { user: "admin" } };
const progress = { status: jest.fn(), info: jest.fn(), warn: jest.fn() };
const call: LifecycleCall = { progress, credentials: {} };

beforeEach(() => jest.resetAllMocks());
afterEach(() => jest.useRealTimers());

describe("what is a difference", () => {
  test.each([
    ["naming one", idle, inputs, ["snapshot"]],
    ["naming another", done, { ...inputs, snapshot: "x" }, ["snapshot"]],
    ["another trigger", done, { ...inputs, triggers: ["2"] }, ["triggers"]],
    ["another cluster", done, { ...inputs, cluster: { ...cluster, name: "stage" } }, ["cluster.name"]],
    ["taking the name away", done, idle, []],
    ["another trigger without a name", idle, { ...idle, triggers: ["2"] }, []],
    ["another connection", done, { ...inputs, cluster: other }, []],
    ["another token", done, { ...inputs, token: "then" }, []],
    ["a finding that is overruled", done, { ...inputs, accept: ["MEMBER_LOST"] }, []],
    ["an interrupted restore, even when a refresh forgot it", inputs, inputs, []],
  ])("%s", (_, state, wanted, replaces) => {
    expect(snapshotRestore.diff(state, wanted)).toEqual({ changes: true, replaces });
  });

  test.each([
    ["a restore that is done", done, inputs],
    ["none named", idle, idle],
  ])("not %s", (_, state, wanted) => {
    expect(snapshotRestore.diff(state, wanted)).toEqual({ changes: false, replaces: [] });
  });
});

describe("making it so", () => {
  test("without a name nothing is contacted", async () => {
    expect(await snapshotRestore.reconcile(idle, undefined, call)).toEqual({ id: "prod", state: idle });
    expect(restoreSnapshot).not.toHaveBeenCalled();
    expect(verifyConnections).not.toHaveBeenCalled();
  });

  test("a named one is restored, within 30 minutes where nothing else is said", async () => {
    jest.useFakeTimers({ now: 0 });
    restoreSnapshot.mockResolvedValue(report);
    expect(await snapshotRestore.reconcile(inputs, undefined, call)).toEqual({ id: "prod/latest", state: done });
    await snapshotRestore.reconcile({ ...inputs, deadline: "1h" }, undefined, { ...call, deadline: 5000 });
    await snapshotRestore.reconcile(inputs, undefined, { ...call, deadline: 7_200_000 });
    expect(restoreSnapshot.mock.calls.map(([, , { deadline }]) => deadline)).toEqual([1_800_000, 5000, 7_200_000]);
  });

  test("taking the name away does nothing, and the report stays", async () => {
    const { state } = await snapshotRestore.reconcile(idle, done, call);
    expect(state).toEqual({ ...idle, ...report });
    expect(restoreSnapshot).not.toHaveBeenCalled();
  });

  test("another connection of a restore that is done is verified and stored: nothing is restored again", async () => {
    const { state } = await snapshotRestore.reconcile({ ...inputs, cluster: other }, done, call);
    expect(state).toEqual({ ...done, cluster: other });
    expect(verifyConnections).toHaveBeenCalledTimes(1);
    expect(restoreSnapshot).not.toHaveBeenCalled();
  });

  test("interrupted: the resource is kept, and the next update goes on", async () => {
    const cause = new BackupError("RESTORE_INTERRUPTED", "s2 does not come back", { host: "s2" });
    restoreSnapshot.mockRejectedValueOnce(cause);
    const interrupted: unknown = await snapshotRestore.reconcile(inputs, undefined, call).catch((e: unknown) => e);
    expect(interrupted).toBeInstanceOf(Interrupted);
    expect(interrupted).toMatchObject({ id: "prod/latest", state: inputs, message: cause.message });
    restoreSnapshot.mockResolvedValueOnce(report);
    expect((await snapshotRestore.reconcile(inputs, inputs, call)).state).toEqual(done);
  });

  test("abandoned: the cluster is as it was, and so is the resource", async () => {
    const abandoned = new BackupError("RESTORE_ABANDONED", "put back");
    restoreSnapshot.mockRejectedValueOnce(abandoned);
    await expect(snapshotRestore.reconcile(inputs, undefined, call)).rejects.toBe(abandoned);
  });

  test("the name taken away from an interrupted restore, or the resource: it is said not to be finished", async () => {
    await snapshotRestore.reconcile(idle, inputs, call);
    await snapshotRestore.delete(inputs, call);
    expect(progress.warn).toHaveBeenCalledTimes(2);
    expect(progress.warn).toHaveBeenCalledWith(expect.stringContaining("is not finished"));
    await snapshotRestore.delete(done, call);
    expect(progress.warn).toHaveBeenCalledTimes(2);
  });
});

describe("looking ahead in a check", () => {
  let serial = 0;
  const fresh = (): SnapshotRestoreInputs => ({ ...inputs, snapshot: `file-${serial++}` });
  const preview = { snapshot: "s3://b/x", lines: ["restore x", "  revision 9 now, 7 then"], refusals: [], done: false };

  test("a restore that is due is looked at once per process, and its plan is shown once", async () => {
    previewRestore.mockResolvedValue(preview);
    const due = fresh();
    expect((await snapshotRestore.check(due, idle, call)).failures).toEqual([]);
    expect((await snapshotRestore.check(due, undefined, call)).failures).toEqual([]);
    expect(previewRestore).toHaveBeenCalledTimes(1);
    expect(progress.info.mock.calls).toEqual([["restore x"], ["  revision 9 now, 7 then"]]);
  });

  test("a cluster that a preview does not know is not looked at, with credentials at hand", async () => {
    const unknown = { ...fresh(), cluster: { ...cluster, servers: unknownValue } };
    const credentials = { sshPassword: "W", s3AccessKeyId: "A", s3SecretAccessKey: "B" };
    for (const given of [unknown, { ...fresh(), s3: unknownValue }, { ...fresh(), cluster: unknownValue }]) {
      expect((await snapshotRestore.check(given, undefined, { ...call, credentials })).failures).toEqual([]);
    }
    expect(previewRestore).not.toHaveBeenCalled();
    expect(progress.info).toHaveBeenCalledWith(expect.stringContaining("once everything it depends on is known"));
  });

  test.each([
    ["none is named", idle, undefined],
    ["the name is taken away", idle, inputs],
    ["nothing that decides it changed", { ...inputs, cluster: other }, inputs],
  ])("nothing is contacted when %s", async (_, wanted, old) => {
    expect((await snapshotRestore.check(wanted, old, call)).failures).toEqual([]);
    expect(previewRestore).not.toHaveBeenCalled();
  });

  test("refusals are failures, each time", async () => {
    previewRestore.mockResolvedValue({ ...preview, refusals: ["s1: no space"] });
    const due = fresh();
    for (const old of [idle, undefined]) {
      const { failures } = await snapshotRestore.check(due, old, call);
      expect(failures).toEqual([{ property: "", reason: "s1: no space" }]);
    }
  });

  test("a snapshot that cannot be found is a failure", async () => {
    previewRestore.mockRejectedValue(new BackupError("SNAPSHOT_NOT_FOUND", "no snapshot named x"));
    const { failures } = await snapshotRestore.check(fresh(), undefined, call);
    expect(failures).toEqual([{ property: "", reason: "SNAPSHOT_NOT_FOUND: no snapshot named x" }]);
  });

  test("being unable to look is a warning", async () => {
    previewRestore.mockRejectedValue(new BackupError("HOST_UNREACHABLE", "no answer", { host: "s1" }));
    expect((await snapshotRestore.check(fresh(), undefined, call)).failures).toEqual([]);
    expect(progress.warn).toHaveBeenCalledWith("could not look what this restore would do: s1: no answer");
  });

  test("looking that takes too long is a warning, after a minute", async () => {
    jest.useFakeTimers();
    previewRestore.mockReturnValue(new Promise(() => undefined));
    const checking = snapshotRestore.check(fresh(), undefined, call);
    await jest.advanceTimersByTimeAsync(60_000);
    expect((await checking).failures).toEqual([]);
    expect(progress.warn).toHaveBeenCalledWith(expect.stringContaining("not done after 60 s"));
  });
});
