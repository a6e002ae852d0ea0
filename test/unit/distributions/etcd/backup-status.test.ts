import { parseBackupStatus } from "../../../../provider/distributions/etcd/backup-status";

const status = {
  ...{
    version: 1,
    cluster: "prod",
    server: "s1",
    startedAt: "2026-01-01T00:00:00Z",
    finishedAt: "2026-01-01T00:00:01Z",
  },
  ...{ ok: true, step: "done", error: null, fileName: "etcd-snapshot-s1-1767225600.db", sizeBytes: 1056, sha256: "00" },
  ...{ revisionAtLeast: 7, s3: null, lastSuccessAt: "2026-01-01T00:00:01Z" },
};

test("a status is read as the script writes it", () => {
  expect(parseBackupStatus(JSON.stringify(status))).toEqual(status);
});

test.each(["", "{", "null", "[]", "3", "{}", '{"ok":true}'])("%j is no status", (text) => {
  expect(parseBackupStatus(text)).toBeUndefined();
});
