import type { SavedFile } from "../../../provider/distributions/distribution";
import { BackupError } from "../../../provider/errors";
import type { SnapshotFile } from "../../../provider/model";
import { sendSnapshot } from "../../../provider/operations/send-snapshot";
import type { SnapshotStore } from "../../../provider/stores/store";
import { fakeHost } from "../../support/fake-host";

const name = "before-s1-1767225600";
const saved: SavedFile = {
  ...{ name, path: `/snapshots/${name}`, sizeBytes: 2080, sha256: "a".repeat(64), takenAt: "2026-01-01T00:00:00.000Z" },
  metadata: { "k3s-token-hash": "544ad39d2d5a" },
};
const object = (sizeBytes: number): SnapshotFile => ({
  ...{ name, sizeBytes, takenAt: saved.takenAt, location: { kind: "s3", bucket: "b", key: `prod/${name}` } },
});
const corrupt = new BackupError("SNAPSHOT_CORRUPT", "it is cut off");

async function send(
  there: SnapshotFile | Error | undefined,
  report: Partial<SavedFile> = {},
): Promise<{ sent: unknown[]; warnings: string[] }> {
  const [sent, warnings]: [unknown[], string[]] = [[], []];
  const store: Partial<SnapshotStore> = {
    title: "s3://b/prod",
    stat: () => (there instanceof Error ? Promise.reject(there) : Promise.resolve(there)),
    put: (_, path, given, options) => {
      sent.push([path, given, options]);
      return Promise.resolve(object(2080));
    },
  };
  const progress = { status: () => undefined, info: () => undefined, warn: (text: string) => void warnings.push(text) };
  const file = await sendSnapshot(store as SnapshotStore, fakeHost("s1"), { ...saved, ...report }, progress);
  expect(file).toEqual(object(2080));
  return { sent, warnings };
}

test("what is there, whole, is not sent again, whoever sent it", async () => {
  for (const report of [{}, { uploaded: true }]) {
    expect(await send(object(2080), report)).toEqual({ sent: [], warnings: [] });
  }
});

test("what no server sends is sent, with what the distribution writes on it", async () => {
  expect(await send(undefined)).toEqual({
    sent: [[saved.path, name, { metadata: { "k3s-token-hash": "544ad39d2d5a" } }]],
    warnings: [],
  });
});

test("where the server's own upload failed, it is sent from here, and said", async () => {
  const { sent, warnings } = await send(undefined, { uploadFailure: "Access Denied." });
  expect(sent).toHaveLength(1);
  expect(warnings).toEqual([
    `s1: the server could not send ${name} to s3://b/prod by itself (Access Denied.). It was sent once more, and is there.`,
  ]);
});

test.each([
  ["not there", undefined],
  ["cut off", corrupt],
  ["of another size", object(2592)],
])("what the server says it has sent, and is %s, is sent from here, and said", async (_, there) => {
  const { sent, warnings } = await send(there, { uploaded: true });
  expect(sent).toHaveLength(1);
  expect(warnings).toEqual([expect.stringContaining("the server says that it sent")]);
});

test("something else of the same name is not written over", async () => {
  await expect(send(object(2592))).rejects.toMatchObject({ code: "SNAPSHOT_FAILED", host: "s1" });
});

test("a store that does not answer is told as such", async () => {
  const denied = new BackupError("STORE_DENIED", "no");
  await expect(send(denied, { uploaded: true })).rejects.toBe(denied);
});
