import type { Cluster } from "../../../provider/model";
import type { RestoreReport, RestoreRequest } from "../../../provider/operations/restore";
import {
  isDone,
  readMarker,
  type RestoreMarker,
  restoreIdentity,
  triggersKey,
} from "../../../provider/operations/restore-identity";

const cluster: Cluster = { distribution: "etcd", name: "prod", servers: [{ name: "s1" }] };

function asked(snapshot: string, triggers: readonly unknown[] = []): RestoreRequest {
  return { snapshot, triggers, safetySnapshot: true, bumpRevision: true };
}

/** What a completed restore of this request, which meant that snapshot, leaves on the servers. */
function left(request: RestoreRequest, location: string, restoredAt = "2026-01-01T00:00:00Z"): RestoreMarker {
  const identity = restoreIdentity(cluster, location, request.triggers);
  const report = { restoredAt } as RestoreReport;
  return { identity, requested: request.snapshot, triggers: triggersKey(request), report };
}

/** Whether a request that means this location is done, as an operation asks it. */
function done(marker: RestoreMarker | undefined, request: RestoreRequest, location: string): boolean {
  return isDone(marker, request, restoreIdentity(cluster, location, request.triggers));
}

test("the same cluster, snapshot and triggers are the same restore, however the cluster is reached", () => {
  const moved: Cluster = { ...cluster, connection: { user: "ops" }, servers: [{ name: "s1" }, { name: "s2" }] };
  expect(restoreIdentity(moved, "s3://b/x", ["1"])).toBe(restoreIdentity(cluster, "s3://b/x", ["1"]));
});

test.each<[string, string]>([
  ["another cluster", restoreIdentity({ ...cluster, name: "stage" }, "s3://b/x", ["1"])],
  ["another snapshot", restoreIdentity(cluster, "s3://b/y", ["1"])],
  ["another trigger", restoreIdentity(cluster, "s3://b/x", ["2"])],
  ["a trigger of another type", restoreIdentity(cluster, "s3://b/x", [1])],
])("%s is another restore", (_, identity) => {
  expect(identity).not.toBe(restoreIdentity(cluster, "s3://b/x", ["1"]));
});

test("nothing was done where there is no marker", () => {
  expect(done(undefined, asked("s3://b/x"), "s3://b/x")).toBe(false);
  expect(isDone(undefined, asked("latest"), undefined)).toBe(false);
});

test("A, then B, then A restores three times, and each only once", () => {
  const [a, b] = [asked("s3://b/a"), asked("s3://b/b")];
  let marker: RestoreMarker | undefined;
  for (const request of [a, b, a]) {
    expect(done(marker, request, request.snapshot)).toBe(false);
    marker = left(request, request.snapshot);
    expect(done(marker, request, request.snapshot)).toBe(true);
  }
});

test("a name and the location it means are one restore", () => {
  expect(done(left(asked("x.db"), "s3://b/prod/x.db"), asked("s3://b/prod/x.db"), "s3://b/prod/x.db")).toBe(true);
});

test("latest with the same triggers is done, whatever is newer now", () => {
  const marker = left(asked("latest", ["1"]), "s3://b/x");
  expect(isDone(marker, asked("latest", ["1"]), undefined)).toBe(true);
  expect(isDone(marker, asked("latest", ["2"]), undefined)).toBe(false);
});

test("latest is not done by a restore of something that was named", () => {
  expect(isDone(left(asked("s3://b/x"), "s3://b/x"), asked("latest"), undefined)).toBe(false);
});

test("of the servers' markers the last restore's counts, in whatever order they come", () => {
  const [older, newer] = [left(asked("a"), "a", "2026-01-01T00:00:00Z"), left(asked("b"), "b", "2026-01-02T00:00:00Z")];
  const texts = [older, newer].map((marker) => JSON.stringify(marker));
  expect(readMarker(["", ...texts])).toEqual(newer);
  expect(readMarker([...texts].reverse())).toEqual(newer);
});

test("servers without a marker remember nothing", () => {
  expect(readMarker(["", "\n"])).toBeUndefined();
});

test("a record that no server has whole is no answer: a restore must not be done again because of it", () => {
  const whole = JSON.stringify(left(asked("x"), "s3://b/x"));
  expect(readMarker(["{", whole])?.requested).toBe("x");
  expect(() => readMarker(["{", "[]", ""])).toThrow("cannot be read on any server");
});
