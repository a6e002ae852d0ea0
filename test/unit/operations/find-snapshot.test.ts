import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Cluster } from "../../../provider/model";
import { findSnapshot, type FoundSnapshot } from "../../../provider/operations/find-snapshot";
import type { ConnectedHost } from "../../../provider/transport/connect";
import { etcdFacts } from "../../support/etcd-facts";
import { type ScriptHost, scriptHost } from "../../support/script-host";
import { snapshotBytes } from "../../support/snapshot-bytes";

const cluster: Cluster = { distribution: "etcd", name: "prod", servers: [{ name: "s1" }, { name: "s2" }] };
const whole = snapshotBytes(4);
const corrupt = Buffer.concat([Buffer.alloc(32), whole.subarray(32)]);
const noon = Date.parse("2026-01-01T12:00:00Z") / 1000;

let hosts: ReadonlyMap<string, ScriptHost>;
beforeEach(() => (hosts = new Map(["s1", "s2"].map((name) => [name, scriptHost(name)]))));
afterEach(() => {
  for (const host of hosts.values()) host.remove();
});

describe("latest", () => {
  test("is the newest of all servers", async () => {
    put("s1", "a.db", whole, noon);
    put("s2", "b.db", whole, noon + 60);
    put("s1", "c.db", whole, noon - 60);
    expect((await find("latest")).file).toMatchObject({
      name: "b.db",
      sizeBytes: whole.length,
      takenAt: "2026-01-01T12:01:00.000Z",
    });
  });

  test("goes by the time in a name of ours, not by when the file was put there", async () => {
    put("s1", `etcd-s1-${noon}.db`, whole, noon + 999);
    put("s2", `etcd-s2-${noon + 60}.db`, whole, noon + 61);
    const { file } = await find("latest");
    expect(file).toMatchObject({ name: `etcd-s2-${noon + 60}.db`, takenAt: "2026-01-01T12:01:00.000Z" });
  });

  test("is never what a restore saved of the data it replaced, nor another file", async () => {
    put("s1", "a.db", whole, noon);
    put("s1", `safety-x-s1-${noon + 60}.db`, whole, noon + 60);
    put("s1", "b.db.part", whole, noon + 60);
    mkdirSync(join(folder("s1"), "c.db"));
    expect((await find("latest")).file.name).toBe("a.db");
  });

  test.each([
    ["whose content was changed", corrupt],
    ["that was cut off", whole.subarray(0, 1000)],
    ["that is empty", Buffer.alloc(0)],
  ])("passes over a newer one %s", async (_, bytes) => {
    put("s1", "a.db", whole, noon);
    put("s2", "newer.db", bytes, noon + 60);
    expect((await find("latest")).file.name).toBe("a.db");
  });

  test("with none that is whole, names what there is", async () => {
    put("s1", "broken.db", corrupt, noon);
    await expect(find("latest")).rejects.toMatchObject({
      ...{ code: "SNAPSHOT_NOT_FOUND", hint: expect.stringContaining("broken.db") as string },
      message: expect.stringMatching(/no whole snapshot in file:\/\/s1\/.*, file:\/\/s2\//) as string,
    });
  });

  test("with none at all, says so", async () => {
    await expect(find("latest")).rejects.toMatchObject({ code: "SNAPSHOT_NOT_FOUND", hint: "It has none." });
  });

  test("a server that cannot look is not passed over", async () => {
    put("s1", "a.db", whole, noon);
    put("s2", "b.db", whole, noon + 1);
    one("s2").stub("sha256sum", "exit 5");
    one("s2").stub("openssl", "exit 5");
    await expect(find("latest")).rejects.toThrow();
  });
});

describe("a file name", () => {
  test("is found on whichever server has it", async () => {
    put("s2", "mine.db", whole, noon);
    const { title, file } = await find("mine.db");
    expect([title, file.location]).toEqual([
      "file://s2/var/lib/etcd-backup/prod/snapshots/mine.db",
      { kind: "file", server: "s2", path: "/var/lib/etcd-backup/prod/snapshots/mine.db" },
    ]);
  });

  test("may be that of a safety snapshot", async () => {
    put("s1", "safety-x.db", whole, noon);
    expect((await find("safety-x.db")).file.name).toBe("safety-x.db");
  });

  test("that nobody has: what there is, is named", async () => {
    put("s1", "a.db", whole, noon);
    put("s2", "b.db", whole, noon);
    await expect(find("c.db")).rejects.toMatchObject({ code: "SNAPSHOT_NOT_FOUND", hint: "It has a.db, b.db." });
  });

  test("of a file that is not whole is refused", async () => {
    put("s1", "a.db", corrupt, noon);
    await expect(find("a.db")).rejects.toMatchObject({ code: "SNAPSHOT_CORRUPT" });
  });
});

describe("a location", () => {
  test("is looked for on its server alone", async () => {
    put("s1", "a.db", whole, noon);
    const location = "file://s1/var/lib/etcd-backup/prod/snapshots/a.db";
    expect((await find(location)).title).toBe(location);
    await expect(find(location.replace("s1", "s2"))).rejects.toMatchObject({ code: "SNAPSHOT_NOT_FOUND" });
  });

  test("may be any folder's, with any name", async () => {
    const path = join(one("s1").root, `my "odd" $HOME ü`, "it's.db");
    mkdirSync(join(path, ".."));
    writeFileSync(path, whole);
    expect((await find(`file://s1${path}`)).file.name).toBe("it's.db");
  });

  test("on a server that is not the cluster's is refused, and the servers are named", async () => {
    await expect(find("file://s9/x/a.db")).rejects.toMatchObject({
      code: "SNAPSHOT_NOT_FOUND",
      hint: expect.stringContaining("s1, s2") as string,
    });
  });
});

test("what was found is copied onto a server of the cluster", async () => {
  put("s1", "a.db", whole, noon);
  const found = await find("a.db");
  const target = join(one("s1").root, "staged");
  await found.fetch(one("s1"), target);
  expect(
    (await one("s1").query({ text: `cmp '${target}' '${folder("s1")}/a.db' && echo same`, secrets: [] })).stdout,
  ).toBe("same\n");
});

function find(wanted: string): Promise<FoundSnapshot> {
  const servers = ["s1", "s2"].map((server) => etcdFacts({ server }));
  // Only what streams from server to server needs more of a host than this.
  return findSnapshot(cluster, wanted, undefined, {
    hosts: hosts as unknown as ReadonlyMap<string, ConnectedHost>,
    servers,
  });
}

function one(name: string): ScriptHost {
  const host = hosts.get(name);
  if (host === undefined) throw new Error(`no host ${name}`);
  return host;
}

function folder(server: string): string {
  return join(one(server).root, "state/prod/snapshots");
}

function put(server: string, name: string, bytes: Uint8Array, at: number): void {
  mkdirSync(folder(server), { recursive: true });
  writeFileSync(join(folder(server), name), bytes);
  utimesSync(join(folder(server), name), at, at);
}
