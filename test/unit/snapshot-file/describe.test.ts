import { sourceOf } from "../../../provider/snapshot-file/byte-source";
import { describe as describeSnapshot } from "../../../provider/snapshot-file/describe";
import { countingSource } from "../../support/counting-source";
import { recordedNames, recordedSnapshot, recordedStatuses } from "../../support/snapshots";

test.each(recordedNames)("revision, size and version of %s are what etcd's own status says", async (name) => {
  const bytes = recordedSnapshot(name);
  const { revision, databaseBytes, storageVersion = "" } = await describeSnapshot(sourceOf(name, bytes));
  const { revision: expected, totalSize, version } = recordedStatuses[name]?.["3.6"] ?? {};
  expect({ revision, databaseBytes, storageVersion }).toEqual({
    ...{ revision: expected, databaseBytes: totalSize, storageVersion: version },
  });
});

test("a snapshot of K3s tells of its cluster", async () => {
  expect(await describeSnapshot(sourceOf("", recordedSnapshot("k3s-first")))).toEqual({
    ...{ sizeBytes: 888_864, hasTrailer: true, databaseBytes: 888_832 },
    ...{ revision: 880, compactRevision: undefined, consistentIndex: 943, term: 3 },
    ...{ storageVersion: "3.6.0", clusterVersion: "3.6.0", removedMembers: [], authEnabled: false },
    members: [
      {
        ...{ id: "83612cefde31cdbd", name: "s1-039af834", isLearner: false },
        ...{ peerUrls: ["https://10.78.0.11:2380"], clientUrls: ["https://10.78.0.11:2379"] },
      },
    ],
  });
});

test.each([
  ["3.4", undefined, undefined],
  ["3.5", undefined, 2],
  ["3.6", "3.6.0", 2],
])("etcd %s: what it stores is there, what it does not is undefined", async (version, storageVersion, term) => {
  const found = await describeSnapshot(sourceOf("", recordedSnapshot(`etcd-${version}-compacted`)));
  expect(found).toMatchObject({ revision: 42, compactRevision: 30, clusterVersion: `${version}.0` });
  expect([found.storageVersion, found.term]).toEqual([storageVersion, term]);
});

test("a member that never started has no name, and a learner is one", async () => {
  const { members } = await describeSnapshot(sourceOf("", recordedSnapshot("etcd-3.6-small")));
  expect(members).toHaveLength(2);
  expect(members.find(({ name }) => name === "one")).toMatchObject({ isLearner: false });
  const learner = members.find(({ name }) => name === undefined);
  expect(learner).toMatchObject({ peerUrls: ["http://127.0.0.9:2380"], clientUrls: [], isLearner: true });
});

test.each(["3.4", "3.5", "3.6"])(
  "etcd %s: removed members, and whether users have to log in, are told",
  async (version) => {
    const guarded = await describeSnapshot(sourceOf("", recordedSnapshot(`etcd-${version}-guarded`)));
    expect(guarded).toMatchObject({ members: [{ name: "one" }], authEnabled: true });
    const before = await describeSnapshot(sourceOf("", recordedSnapshot(`etcd-${version}-many`)));
    expect(before).toMatchObject({ removedMembers: [], authEnabled: false });
    const removed = before.members.filter(({ isLearner }) => isLearner).map(({ id }) => id);
    expect(guarded.removedMembers).toEqual(removed);
  },
);

test("a snapshot without revisions is at none", async () => {
  expect(await describeSnapshot(sourceOf("", recordedSnapshot("etcd-3.6-empty")))).toMatchObject({
    ...{ revision: 0, clusterVersion: "3.6.0" },
  });
});

test("a copy of a database, without a trailer, is described too", async () => {
  const bytes = recordedSnapshot("k3s-first").subarray(0, -32);
  expect(await describeSnapshot(sourceOf("", bytes))).toMatchObject({ hasTrailer: false, revision: 880 });
});

// The bound for a large one in S3 is 16 requests and 1 MB.
test.each(["k3s-second", "etcd-3.6-many", "etcd-3.4-many", "etcd-3.5-guarded"])(
  "%s: a few small reads are enough",
  async (name) => {
    const bytes = recordedSnapshot(name);
    const source = countingSource(bytes);
    await describeSnapshot(source);
    expect(source.reads.length).toBeLessThanOrEqual(6);
    expect(source.reads.reduce((sum, { length }) => sum + length, 0)).toBeLessThanOrEqual(100_000);
  },
);

test.each([
  ["nothing", Buffer.alloc(0), "it is empty"],
  ["zeros", Buffer.alloc(8192), "not one of a bbolt database"],
  ["another program's database", recordedSnapshot("bbolt-4096"), "it is not a database of etcd"],
  ["its first half", recordedSnapshot("k3s-first").subarray(0, 400_000), "it is cut off"],
])("%s is refused, with the name of the file", async (_, bytes, reason) => {
  const source = { ...sourceOf("/backups/first", bytes), host: "s1" };
  await expect(describeSnapshot(source)).rejects.toMatchObject({
    ...{ code: "SNAPSHOT_CORRUPT", host: "s1" },
    message: expect.stringMatching(new RegExp(`^s1: /backups/first is not a whole snapshot: .*${reason}`)) as string,
  });
});
