import { sourceOf } from "../../../provider/snapshot-file/byte-source";
import { check } from "../../../provider/snapshot-file/check";
import { count, startCount } from "../../../provider/snapshot-file/count";
import { keySet } from "../../../provider/snapshot-file/key-set";
import { statusHash } from "../../../provider/snapshot-file/status-hash";
import { recordedNames, recordedSnapshot, recordedStatuses } from "../../support/snapshots";

test.each(recordedNames)("the figures of %s are those of etcd's own status: 3.4, 3.5 and 3.6", async (name) => {
  const source = sourceOf(name, recordedSnapshot(name));
  const found = await count(source);
  const hash = await statusHash(source);
  for (const version of ["3.4", "3.5", "3.6"] as const) {
    const totalKey = version === "3.6" ? found.totalKeys : found.totalEntries;
    expect({ hash, revision: found.revision, totalKey }).toEqual({
      hash: recordedStatuses[name]?.[version].hash,
      revision: recordedStatuses[name]?.[version].revision,
      totalKey: recordedStatuses[name]?.[version].totalKey,
    });
  }
});

test.each(recordedNames)("a check counts %s in the same pass", async (name) => {
  const source = sourceOf(name, recordedSnapshot(name));
  const counting = startCount();
  expect(await check(source, counting.visit)).toMatchObject({ kind: "sound" });
  expect(counting.finish()).toEqual(await count(source));
});

test("live keys are grouped by what stands before their last slash, deleted ones are not counted", async () => {
  const { groups, ...found } = await count(sourceOf("", recordedSnapshot("etcd-3.6-small")), { largest: 2 });
  expect(groups).toEqual([
    { prefix: "/registry/secrets/prod", keys: 2, bytes: 2 * ("/registry/secrets/prod/one".length + 102_000) },
    { prefix: "/registry/namespaces", keys: 5, bytes: 5 * "/registry/namespaces/anamespace".length },
    { prefix: "/registry/pods/default", keys: 4, bytes: 4 * "/registry/pods/default/apod a".length },
    { prefix: "/registry/leases/kube-system", keys: 1, bytes: "/registry/leases/kube-system/leaderturn 19".length },
    { prefix: "/registry/pods/prod", keys: 1, bytes: "/registry/pods/prod/bagain".length },
  ]);
  expect(found).toMatchObject({ revisions: 44, tombstones: 6, totalKeys: 13, ungrouped: 0 });
  expect(found.liveBytes).toBe(groups.reduce((sum, { bytes }) => sum + bytes, 0));
  expect(found.largest.map(({ key }) => key).sort()).toEqual([
    "/registry/secrets/prod/one",
    "/registry/secrets/prod/two",
  ]);
});

test("a cluster's objects are counted by resource and namespace", async () => {
  const groupsOf = async (name: string): Promise<Map<string, number>> => {
    const { groups } = await count(sourceOf(name, recordedSnapshot(name)));
    return new Map(groups.map(({ prefix, keys }) => [prefix, keys]));
  };
  const [first, second] = [await groupsOf("k3s-first"), await groupsOf("k3s-second")];
  // Between the two, `web` was scaled from one replica to three and the namespace `staging` was added.
  expect([first.get("/registry/pods/prod"), second.get("/registry/pods/prod")]).toEqual([1, 3]);
  expect((second.get("/registry/namespaces") ?? 0) - (first.get("/registry/namespaces") ?? 0)).toBe(1);
  expect(second.get("/registry/secrets/prod")).toBe(1);
});

test("the largest keys are named, largest first", async () => {
  const { largest } = await count(sourceOf("", recordedSnapshot("etcd-3.6-many")), { largest: 20 });
  expect(largest).toHaveLength(20);
  expect(largest.map(({ bytes }) => bytes)).toEqual(largest.map(({ bytes }) => bytes).toSorted((a, b) => b - a));
});

test("what the progress throws ends the pass", async () => {
  const source = sourceOf("", recordedSnapshot("etcd-3.6-many"));
  const seen: number[] = [];
  const progress = (revisions: number): void => {
    seen.push(revisions);
    if (revisions > 1000) throw new Error("time is up");
  };
  await expect(count(source, { progress })).rejects.toThrow("time is up");
  expect(seen.at(-1)).toBeLessThan(1200);
});

test("a set of keys knows which were there, while it grows", () => {
  const seen = keySet();
  const keys = Array.from({ length: 50_000 }, (_, index) =>
    Buffer.from(`/registry/pods/ns-${index % 100}/pod-${index}`),
  );
  expect(keys.every((key) => seen.add(key))).toBe(true);
  expect(keys.some((key) => seen.add(key))).toBe(false);
});
