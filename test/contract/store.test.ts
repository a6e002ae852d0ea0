import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { directoryStore } from "../../provider/stores/directory";
import { openStore } from "../../provider/stores/open-store";
import type { SnapshotStore } from "../../provider/stores/store";
import { connect, type ConnectedHost } from "../../provider/transport/connect";
import { type S3Gateway, startS3Gateway } from "../support/s3-gateway";
import { snapshotBytes } from "../support/snapshot-bytes";
import { changed, deflatedByPython, recordedZip } from "../support/zips";

let gateway: S3Gateway;
let scratch: string;
let s1: ConnectedHost;

beforeAll(async () => {
  s1 = await connect("s1", { local: true });
  gateway = await startS3Gateway();
  await gateway.makeBucket("backups");
});

afterAll(() => gateway.stop());

beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "store-"));
});

afterEach(() => rm(scratch, { recursive: true, force: true }));

interface Kept {
  readonly store: SnapshotStore;
  /** Puts bytes where the store looks, without asking it. */
  readonly plant: (name: string, bytes: Buffer) => Promise<void>;
}

let folders = 0;

const stores: readonly [string, () => Promise<Kept>][] = [
  [
    "a directory on a server",
    async () => {
      const directory = join(scratch, "kept snapshots");
      await mkdir(join(directory, ".metadata"), { recursive: true });
      return {
        store: directoryStore(new Map([["s1", s1]]), "s1", directory),
        plant: (name, bytes) => writeFile(join(directory, name), bytes),
      };
    },
  ],
  [
    "a folder in S3",
    () => {
      const folder = `cluster ${folders++}`;
      const settings = gateway.settings("backups");
      return Promise.resolve({
        store: openStore({ ...settings, folder }, "prod", undefined, { pageSize: 2 }),
        plant: (name, bytes) => gateway.put("backups", `${folder}/${name}`, bytes),
      });
    },
  ],
];

describe.each(stores)("%s", (_, open) => {
  let store: SnapshotStore;
  let plant: Kept["plant"];

  beforeEach(async () => {
    ({ store, plant } = await open());
  });

  async function onServer(name: string, bytes: Buffer): Promise<string> {
    const path = join(scratch, name);
    await writeFile(path, bytes);
    return path;
  }

  test.each(["nightly-s1-1700000000", "with space and 'quote'", "Schnappschuß-夜-$HOME", "[a]{b,c}*?%41+&"])(
    "%s: what was put is there, and comes back byte by byte, 0600",
    async (name) => {
      const bytes = snapshotBytes(64, name);
      const saved = await store.put(s1, await onServer("taken", bytes), name);
      expect(saved).toMatchObject({ name, sizeBytes: bytes.length, location: store.locate(name) });
      expect(Date.now() - Date.parse(saved.takenAt)).toBeLessThan(60_000);
      expect(await store.stat(name)).toEqual(saved);
      expect(await store.list()).toEqual([saved]);
      const target = join(scratch, "fetched here", "snapshot db");
      await store.fetch(s1, name, target);
      expect(await readFile(target)).toEqual(bytes);
      expect((await stat(target)).mode & 0o777).toBe(0o600);
      expect(await readdir(join(scratch, "fetched here"))).toEqual(["snapshot db"]);
    },
  );

  test("a snapshot that is not there: stat is undefined, fetch and readRange name those that are", async () => {
    await store.put(s1, await onServer("taken", snapshotBytes(1)), "present");
    expect(await store.stat("absent")).toBeUndefined();
    const refusal = { code: "SNAPSHOT_NOT_FOUND", message: expect.stringContaining("It has present.") as string };
    const target = join(scratch, "target");
    await expect(store.fetch(s1, "absent", target)).rejects.toMatchObject(refusal);
    await expect(store.readRange("absent", 0, 10)).rejects.toMatchObject(refusal);
    expect(await readdir(scratch)).not.toContain("target");
  });

  test("nothing is there at first", async () => {
    expect(await store.list()).toEqual([]);
  });

  test.each([
    ["empty", Buffer.alloc(0), "it is empty"],
    ["cut off", snapshotBytes(4).subarray(0, 1000), "no SHA-256 trailer"],
    ["a bare database", Buffer.alloc(1024), "no SHA-256 trailer"],
  ])("a file that is %s is not a snapshot, in the store or on the way into it", async (name, bytes, why) => {
    await plant(name, bytes);
    const refusal = { code: "SNAPSHOT_CORRUPT", message: expect.stringContaining(why) as string };
    await expect(store.stat(name)).rejects.toMatchObject(refusal);
    await expect(store.put(s1, await onServer("taken", bytes), "new")).rejects.toMatchObject(refusal);
    expect((await store.list()).map((file) => file.name)).toEqual([name]);
  });

  test("a trailer that does not match is refused on the way in", async () => {
    const bytes = snapshotBytes(4);
    bytes.writeUInt8(bytes.readUInt8(700) ^ 1, 700);
    await expect(store.put(s1, await onServer("taken", bytes), "new")).rejects.toMatchObject({
      code: "SNAPSHOT_CORRUPT",
    });
    expect(await store.list()).toEqual([]);
  });

  test("a compressed snapshot is put, and comes back byte by byte", async () => {
    const { name, bytes } = recordedZip;
    const saved = await store.put(s1, await onServer("taken", bytes), name);
    expect(saved).toMatchObject({ name, sizeBytes: bytes.length });
    expect(await store.stat(name)).toEqual(saved);
    const target = join(scratch, "fetched");
    await store.fetch(s1, name, target);
    expect((await readFile(target)).equals(bytes)).toBe(true);
  });

  test.each([
    ["cut off", deflatedByPython.name, deflatedByPython.bytes.subarray(0, 200), "it has no directory"],
    ["empty", deflatedByPython.name, Buffer.alloc(0), "it is empty"],
    ["named otherwise", "other-s1-1700000000.zip", deflatedByPython.bytes, "not other-s1-1700000000"],
  ])(
    "a compressed one that is %s is not a snapshot, in the store or on the way into it",
    async (_, name, bytes, why) => {
      await plant(name, bytes);
      const refusal = { code: "SNAPSHOT_CORRUPT", message: expect.stringContaining(why) as string };
      await expect(store.stat(name)).rejects.toMatchObject(refusal);
      await expect(store.put(s1, await onServer("taken", bytes), name)).rejects.toMatchObject(refusal);
    },
  );

  test("a compressed one that is damaged is refused on the way in", async () => {
    const { name, bytes } = deflatedByPython;
    const damaged = await onServer("taken", changed(bytes, 80, 0x55));
    await expect(store.put(s1, damaged, name)).rejects.toMatchObject({ code: "SNAPSHOT_CORRUPT" });
    expect(await store.list()).toEqual([]);
  });

  test("what is still being written is not listed, nor what a distribution keeps beside its snapshots", async () => {
    for (const name of ["whole-s1-1700000000", "half-s1-1700000000.part", "half.db.saving"]) {
      await plant(name, snapshotBytes(1));
    }
    await plant(".metadata/whole-s1-1700000000", Buffer.from("{}"));
    expect((await store.list()).map((file) => file.name)).toEqual(["whole-s1-1700000000"]);
  });

  test("a file that is not on the server cannot be put", async () => {
    await expect(store.put(s1, join(scratch, "absent"), "new")).rejects.toMatchObject({ code: "SNAPSHOT_NOT_FOUND" });
  });

  test("delete takes one away, and a second time is not an error", async () => {
    await store.put(s1, await onServer("taken", snapshotBytes(1)), "one");
    await store.put(s1, await onServer("taken", snapshotBytes(2)), "two");
    await store.delete("one");
    await store.delete("one");
    expect((await store.list()).map((file) => file.name)).toEqual(["two"]);
  });

  test("list has every page, newest first, and nothing from folders inside", async () => {
    for (const name of ["a", "b", "c", "d", "e"]) await plant(name, snapshotBytes(1));
    const listed = await store.list();
    expect(listed.map((file) => file.name).sort()).toEqual(["a", "b", "c", "d", "e"]);
    const times = listed.map((file) => file.takenAt);
    expect(times).toEqual([...times].sort().reverse());
  });

  test("readRange reads the middle, stops where the snapshot ends, and is empty behind it", async () => {
    const bytes = snapshotBytes(3);
    await store.put(s1, await onServer("taken", bytes), "one");
    expect(Buffer.from(await store.readRange("one", 100, 50))).toEqual(bytes.subarray(100, 150));
    expect(Buffer.from(await store.readRange("one", bytes.length - 10, 50))).toEqual(bytes.subarray(-10));
    expect(Buffer.from(await store.readRange("one", bytes.length, 50))).toHaveLength(0);
  });

  test.each(["", ".", "..", "a/b", "a\nb"])("%j is not a name", async (name) => {
    await expect((async () => store.stat(name))()).rejects.toMatchObject({ code: "INVALID_INPUT" });
  });
});

describe("a directory on another server", () => {
  let s2: ConnectedHost;
  let store: SnapshotStore;

  beforeEach(async () => {
    s2 = await connect("s2", { local: true });
    const hosts = new Map([
      ["s1", s1],
      ["s2", s2],
    ]);
    store = directoryStore(hosts, "s2", join(scratch, "on s2"));
  });

  test("what one server took is put there, and a third one fetches it", async () => {
    const bytes = snapshotBytes(5000);
    await writeFile(join(scratch, "taken"), bytes);
    const saved = await store.put(s1, join(scratch, "taken"), "one");
    expect(saved.location).toEqual({ kind: "file", server: "s2", path: join(scratch, "on s2", "one") });
    await store.fetch(s1, "one", join(scratch, "fetched"));
    expect((await readFile(join(scratch, "fetched"))).equals(bytes)).toBe(true);
    expect((await stat(join(scratch, "fetched"))).mode & 0o777).toBe(0o600);
  });

  test("a file that lies in the directory already is not copied", async () => {
    await mkdir(join(scratch, "on s2"));
    const path = join(scratch, "on s2", "one");
    await writeFile(path, snapshotBytes(1));
    const { ino } = await stat(path);
    await store.put(s2, path, "one");
    expect((await stat(path)).ino).toBe(ino);
  });

  test("a location on a server that is not in the cluster is refused, with those that are", async () => {
    const store = directoryStore(new Map([["s1", s1]]), "s9", "/var/backups");
    await expect(store.list()).rejects.toMatchObject({
      code: "SNAPSHOT_NOT_FOUND",
      message: expect.stringContaining("The cluster has s1.") as string,
    });
  });
});
