import { readSnapshotName } from "../../../../../provider/distributions/embedded-etcd/snapshots/snapshot-name";

test.each([
  ["before-s1-1767225600", "2026-01-01T00:00:00.000Z", false],
  ["before-s1-1767225600.zip", "2026-01-01T00:00:00.000Z", true],
  ["etcd-snapshot-node.with-dots-999999999", "2001-09-09T01:46:39.000Z", false],
])("%s is a snapshot's name, and tells time and form", (name, takenAt, compressed) => {
  expect(readSnapshotName(name)).toEqual({ takenAt, compressed });
});

test.each([
  ...["before-s1-1767225600.part", "before-s1-1767225600.zip.part", "before-s1-1767225600.db", "1767225600"],
  ...["-1767225600", "before-s1-2026", "before-s1-17672256000000", "before-s1", ""],
])("%j is no snapshot's name", (name) => {
  expect(readSnapshotName(name)).toBeUndefined();
});
