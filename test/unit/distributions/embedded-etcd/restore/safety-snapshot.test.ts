import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RestoreStagesRequest } from "../../../../../provider/distributions/distribution";
import { saveSafetySnapshot } from "../../../../../provider/distributions/embedded-etcd/restore/safety-snapshot";
import * as saving from "../../../../../provider/distributions/embedded-etcd/snapshots/save-snapshot";
import type { Members } from "../../../../../provider/distributions/members";
import { BackupError } from "../../../../../provider/errors";
import type { Cluster } from "../../../../../provider/model";
import { embeddedFacts } from "../../../../support/embedded-facts";
import { type ScriptHost, scriptHost } from "../../../../support/script-host";
import { snapshotBytes } from "../../../../support/snapshot-bytes";

jest.mock("../../../../../provider/distributions/embedded-etcd/snapshots/save-snapshot");
const { saveSnapshot } = jest.mocked(saving);

const cluster: Cluster = { distribution: "k3s", name: "prod", servers: [] };
let host: ScriptHost;
beforeEach(() => {
  jest.resetAllMocks();
  host = scriptHost();
  host.stub("sync", "");
  mkdirSync(folder());
});
afterEach(() => host.remove());

test("with a quorum, the distribution's own command saves the present data, under a name of ours", async () => {
  await save(true);
  expect(saveSnapshot).toHaveBeenCalledWith(host, facts(), expect.objectContaining({ base: "safety-a1" }));
  expect(readdirSync(folder())).toEqual([]);
});

test("without one, etcd itself is asked; the file is whole before it has its name", async () => {
  await save(false, snapshotBytes(4));
  expect(saveSnapshot).not.toHaveBeenCalled();
  expect(readdirSync(folder())).toEqual([`safety-a1-s1-${facts().clock}`]);
});

test("where the distribution's own command fails, etcd itself is asked too", async () => {
  saveSnapshot.mockRejectedValue(new BackupError("SNAPSHOT_FAILED", "the supervisor does not answer"));
  await save(true, snapshotBytes(4));
  expect(readdirSync(folder())).toEqual([`safety-a1-s1-${facts().clock}`]);
});

test("what else goes wrong, a lock that is lost above all, stops the restore", async () => {
  saveSnapshot.mockRejectedValue(new BackupError("LOCK_LOST", "the lock is lost"));
  await expect(save(true, snapshotBytes(4))).rejects.toMatchObject({ code: "LOCK_LOST" });
  expect(readdirSync(folder())).toEqual([]);
});

test("one that is not whole stops the restore before anything else stops", async () => {
  await expect(save(false, snapshotBytes(4).subarray(0, 1000))).rejects.toBeInstanceOf(Error);
  // Nobody takes it for a snapshot.
  expect(readdirSync(folder())).toEqual([`safety-a1-s1-${facts().clock}.part`]);
});

async function save(quorum: boolean, bytes?: Buffer): Promise<void> {
  const members = {
    saveSnapshot: (_: unknown, path: string) => {
      if (bytes !== undefined) writeFileSync(path, bytes);
      return Promise.resolve();
    },
  } as unknown as Members;
  const request = { cluster, members, attempt: "a1", quorum } as unknown as RestoreStagesRequest;
  await saveSafetySnapshot(host, facts(), request);
}

function facts(): ReturnType<typeof embeddedFacts> {
  return embeddedFacts({ snapshotDirectory: folder() });
}

function folder(): string {
  return join(host.root, "my snapshots");
}
