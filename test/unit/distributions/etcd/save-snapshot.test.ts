import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SaveRequest } from "../../../../provider/distributions/distribution";
import type { Members } from "../../../../provider/distributions/members";
import { saveSnapshot } from "../../../../provider/distributions/etcd/save-snapshot";
import { describeSnapshot } from "../../../../provider/distributions/etcd/snapshot-status";
import type { Cluster } from "../../../../provider/model";
import { etcdFacts } from "../../../support/etcd-facts";
import { fakeHost } from "../../../support/fake-host";
import { type ScriptHost, scriptHost } from "../../../support/script-host";
import { snapshotBytes } from "../../../support/snapshot-bytes";

const cluster: Cluster = { distribution: "etcd", name: "prod", servers: [{ name: "s1" }] };
const request: SaveRequest = { cluster, members: {} as Members, base: "before" };
const bytes = snapshotBytes(4);
const name = "before-s1-1767225600.db";

let host: ScriptHost;
beforeEach(() => {
  host = scriptHost();
  writeFileSync(join(host.root, "snapshot"), bytes);
  host.stub(
    "etcdctl",
    `printf '%s\\n' "$@" >"$ROOT/words"; env >"$ROOT/env"; cat >"$ROOT/stdin"
for last; do :; done
cp "$ROOT/snapshot" "$last"
[ ! -e "$ROOT/fails" ] || { echo 'first line' >&2; echo 'Error: context deadline exceeded' >&2; exit 1; }`,
  );
});
afterEach(() => host.remove());

test("a snapshot is saved under a name that tells server and time, and verified", async () => {
  const saved = await saveSnapshot(host, facts(), request);
  expect(saved).toMatchObject({
    ...{ name, path: `/var/lib/etcd-backup/prod/snapshots/${name}`, sizeBytes: bytes.length },
    ...{ takenAt: "2026-01-01T00:00:00.000Z", sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string },
  });
  expect(statSync(join(folder(), name)).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder())).toEqual([name]);
});

test("the password goes by standard input: no argument and no environment holds it", async () => {
  await saveSnapshot(host, facts(), {
    ...request,
    cluster: { ...cluster, username: "root", password: "etcd-secret" },
  });
  const read = (file: string): string => readFileSync(join(host.root, file), "utf8");
  expect(read("stdin")).toBe("etcd-secret\n");
  expect(read("words") + read("env")).not.toContain("etcd-secret");
  expect(read("words").split("\n")).toContain("--user=root");
});

test("what etcdctl says of its failure is the error's, and nothing is left behind", async () => {
  writeFileSync(join(host.root, "fails"), "");
  await expect(saveSnapshot(host, facts(), request)).rejects.toMatchObject({
    ...{ code: "SNAPSHOT_FAILED", host: "s1", message: expect.stringContaining("context deadline exceeded") as string },
  });
  expect(readdirSync(folder())).toEqual([]);
});

test("an exit code is not believed: what is not whole is no snapshot", async () => {
  writeFileSync(join(host.root, "snapshot"), bytes.subarray(0, 1500));
  await expect(saveSnapshot(host, facts(), request)).rejects.toMatchObject({
    code: "SNAPSHOT_CORRUPT",
  });
});

test("a lost lock is told as such, not as a failure of etcd's", async () => {
  const lost = new Error("the lock is lost");
  const guarded = { ...host, run: () => Promise.reject(lost) };
  await expect(saveSnapshot(guarded, facts(), request)).rejects.toBe(lost);
});

test("without etcdctl it comes through the connection, and gets its name last", async () => {
  const members = {
    ...request.members,
    saveSnapshot: async (_: unknown, path: string) => {
      expect(path).toBe(`/var/lib/etcd-backup/prod/snapshots/${name}.saving`);
      await host.run({
        text: `mkdir -p /var/lib/etcd-backup/prod/snapshots; cp "$ROOT/snapshot" ${path}`,
        secrets: [],
      });
    },
  };
  await saveSnapshot(host, { ...facts(), etcdctl: undefined }, { ...request, members });
  expect(readdirSync(folder())).toEqual([name]);
  expect(existsSync(join(host.root, "words"))).toBe(false);
});

describe("what etcd's own tool says of a snapshot", () => {
  const say = (stdout: string): ReturnType<typeof describeSnapshot> =>
    describeSnapshot(fakeHost("s1", [{ to: "snapshot status", reply: stdout }]), facts(), "/x.db");

  test.each([
    ['{"hash":1,"revision":77,"totalKey":12,"totalSize":999,"version":"3.6.0"}'],
    ['{ "hash": 1, "revision": 77, "totalKey": 12 }\n'],
  ])("%s", async (stdout) => {
    expect(await say(stdout)).toEqual({ revision: 77, totalKeys: 12 });
  });

  test("is nothing where there is no tool", async () => {
    expect(await describeSnapshot(fakeHost("s1"), { ...facts(), restoreTool: undefined }, "/x.db")).toEqual({});
  });
});

function facts(): ReturnType<typeof etcdFacts> {
  return etcdFacts({ etcdctl: join(host.root, "bin/etcdctl") });
}

function folder(): string {
  return join(host.root, "state/prod/snapshots");
}
