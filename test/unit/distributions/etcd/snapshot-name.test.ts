import { readSnapshotName } from "../../../../provider/distributions/etcd/snapshot-name";

test.each([
  ["before-s1-1767225600.db", "2026-01-01T00:00:00.000Z"],
  ["etcd-snapshot-s1-999999999.db", "2001-09-09T01:46:39.000Z"],
  // Names of others, and numbers that are no time.
  ["mine.db", undefined],
  ["before-s1-2026.db", undefined],
  ["1767225600.db", undefined],
])("%s is a snapshot's name, and tells the time %s", (name, takenAt) => {
  expect(readSnapshotName(name)).toEqual({ takenAt, compressed: false });
});

test.each(["before-s1-1767225600.db.part", "before-s1-1767225600.zip", "before-s1-1767225600", ""])(
  "%j is no snapshot's name",
  (name) => {
    expect(readSnapshotName(name)).toBeUndefined();
  },
);
