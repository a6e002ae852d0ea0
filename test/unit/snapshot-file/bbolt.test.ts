import { openDatabase, type Database } from "../../../provider/snapshot-file/bbolt/database";
import { readFreelist } from "../../../provider/snapshot-file/bbolt/freelist";
import { keyAt } from "../../../provider/snapshot-file/bbolt/page";
import {
  type Bucket,
  findBucket,
  findValue,
  findLastKey,
  leavesOf,
  rootBucket,
} from "../../../provider/snapshot-file/bbolt/tree";
import { SPARSE, WHOLE } from "../../../provider/snapshot-file/block-cache";
import { sourceOf } from "../../../provider/snapshot-file/byte-source";
import { checkStructure } from "../../../provider/snapshot-file/bbolt/structure";
import { countingSource } from "../../support/counting-source";
import { recordedSnapshot } from "../../support/snapshots";

const small = recordedSnapshot("bbolt-4096");
const large = recordedSnapshot("bbolt-16384");

// The program that made them deletes the first 300 of each 500 keys.
const left = Array.from({ length: 3000 }, (_, index) => index).filter((index) => index % 500 >= 300);

describe.each([
  ["4 KiB", small, 4096],
  ["16 KiB", large, 16_384],
])("a database of bbolt with pages of %s", (_, bytes, pageSize) => {
  test("has the keys and values that were written, in order, both ways", async () => {
    const database = await open(bytes);
    expect(database.meta.pageSize).toBe(pageSize);
    const outer = await bucketIn(database, rootBucket(database), "outer");
    const keys = left.map((index) => `key-${String(index).padStart(5, "0")}`);
    const found = await keysOf(database, outer, "ascending");
    expect(found).toEqual(["inner", ...keys]);
    expect(await keysOf(database, outer, "descending")).toEqual(found.toReversed());
    expect((await findLastKey(database, outer))?.toString()).toBe("key-02999");
    for (const index of left.filter((one) => one % 7 === 0)) {
      const value = await findValue(database, outer, `key-${String(index).padStart(5, "0")}`);
      expect(value).toEqual(Buffer.alloc(40, index & 0xff));
    }
    for (const absent of ["a", "key-00000", "key-00300x", "zzz"]) {
      expect(await findValue(database, outer, absent)).toBeUndefined();
    }
  });

  test("has buckets in buckets: one with a value over several pages, one without a page of its own", async () => {
    const database = await open(bytes);
    const inner = await bucketIn(database, await bucketIn(database, rootBucket(database), "outer"), "inner");
    expect(await findValue(database, inner, "large")).toEqual(Buffer.from("large".repeat(4000)));
    const inline = await bucketIn(database, inner, "inline");
    expect("inline" in inline).toBe(true);
    expect(await findValue(database, inline, "a")).toEqual(Buffer.from("b"));
    expect(await findBucket(database, inner, "other")).toBeUndefined();
    await expect(findBucket(database, inner, "large")).rejects.toMatchObject({ fault: "bucket" });
  });

  test("has a list of free pages, which together with the used ones are all", async () => {
    const database = await open(bytes);
    const free = await readFreelist(database, await database.readHeader(database.meta.freelist ?? 0));
    expect(free.length).toBeGreaterThan(5);
    await checkStructure(database);
  });
});

test("etcd's databases have no list of free pages, also when defragmented", async () => {
  for (const name of ["etcd-3.4-many", "etcd-3.5-defragmented", "etcd-3.6-defragmented", "k3s-first"]) {
    const { meta } = await open(recordedSnapshot(name));
    expect(meta.freelist).toBeUndefined();
  }
});

test("of two valid meta pages the one of the later transaction counts, of one valid page that one", async () => {
  const { meta } = await open(small);
  const [newer, older] = meta.transaction % 2n === 0n ? [0, 4096] : [4096, 0];
  expect(small.readBigUInt64LE(newer + 64)).toBe(meta.transaction);
  expect(small.readBigUInt64LE(older + 64)).toBe(meta.transaction - 1n);

  const cut = await open(changed(small, newer + 40));
  expect(cut.meta.transaction).toBe(meta.transaction - 1n);
  expect(cut.metaDamage?.message).toBe(`its meta page ${newer / 4096} does not match its checksum`);
  expect((await open(changed(small, older + 40))).meta).toEqual(meta);
});

test("the second meta page is found where the first is lost, whatever the page size is", async () => {
  expect((await open(changed(large, 20))).meta.pageSize).toBe(16_384);
  expect((await open(changed(small, 16))).meta.pageSize).toBe(4096);
});

test.each([
  ["its magic", 16, "its meta page 0 is not one of a bbolt database"],
  ["its format", 20, "its meta page 0 has a format that is not known"],
  ["its checksum", 72, "its meta page 0 does not match its checksum"],
])("a database without a valid meta page is refused: %s", async (_, at, reason) => {
  const damaged = changed(changed(small, at), 4096 + at);
  await expect(open(damaged)).rejects.toMatchObject({
    fault: "meta",
    message: expect.stringContaining(reason) as string,
  });
});

test("a database that is shorter than its pages is refused", async () => {
  const { meta } = await open(small);
  const whole = meta.pages * 4096;
  await expect(open(small.subarray(0, whole))).resolves.toBeDefined();
  await expect(open(small.subarray(0, whole - 1))).rejects.toMatchObject({ fault: "size" });
  await expect(open(small.subarray(0, 100))).rejects.toMatchObject({ fault: "size" });
});

test("a list of more than 65,534 free pages has its length in the first place", async () => {
  const ids = Array.from({ length: 70_000 }, (_, index) => 3 + index);
  const bytes = Buffer.alloc(16 + 8 * (1 + ids.length));
  [BigInt(ids.length), ...ids.map(BigInt)].forEach((id, index) => bytes.writeBigUInt64LE(id, 16 + 8 * index));
  const header = { id: 2, flags: 0x10, count: 0xffff, overflow: 0 };
  const database = await open(small);
  const listed = { ...database, meta: { ...database.meta, pages: 100_000 }, readBytes: () => Promise.resolve(bytes) };
  expect([...(await readFreelist(listed, header))]).toEqual(ids);
  bytes.writeBigUInt64LE(2n ** 60n, 16);
  await expect(readFreelist(listed, header)).rejects.toMatchObject({ fault: "freelist" });
});

test("a tree that leads in circles ends", async () => {
  const bytes = Buffer.from(recordedSnapshot("etcd-3.6-many"));
  const database = await open(bytes);
  const keys = await bucketIn(database, rootBucket(database), "key");
  const root = "page" in keys ? keys.page : 0;
  // The first child of the branch becomes the branch itself.
  bytes.writeBigUInt64LE(BigInt(root), root * 4096 + 16 + 8);
  const circular = await open(bytes);
  await expect(keysOf(circular, keys, "ascending")).rejects.toMatchObject({ name: "Damage" });
  await expect(findValue(circular, keys, Buffer.alloc(17))).rejects.toMatchObject({ name: "Damage" });
});

test("a tree that comes upon the same pages again and again ends", async () => {
  const bytes = Buffer.from(recordedSnapshot("etcd-3.6-many"));
  // Thirty branches, each with the next one twice: a thousand million leaves.
  for (let id = 100; id < 130; id++) {
    const page = bytes.subarray(id * 4096, (id + 1) * 4096);
    page.fill(0, 8);
    page.writeUInt16LE(1, 8);
    page.writeUInt16LE(2, 10);
    for (const [index, key] of ["a", "b"].entries()) {
      page.writeUInt32LE(32 - 15 * index, 16 + 16 * index);
      page.writeUInt32LE(1, 16 + 16 * index + 4);
      page.writeBigUInt64LE(BigInt(id + 1), 16 + 16 * index + 8);
      page.write(key, 48 + index);
    }
  }
  bytes.writeBigUInt64LE(130n, 130 * 4096);
  bytes.fill(0, 130 * 4096 + 8, 131 * 4096).writeUInt16LE(2, 130 * 4096 + 8);
  const reading = keysOf(await open(bytes), { page: 100 }, "ascending");
  await expect(reading).rejects.toMatchObject({ fault: "shared page" });
});

test("a pass through all leaves reads neighbours together, and every byte about once", async () => {
  const bytes = recordedSnapshot("etcd-3.6-many");
  const source = countingSource(bytes);
  const database = await openDatabase(source, bytes.length - 32, WHOLE);
  let entries = 0;
  for await (const leaf of leavesOf(database, await bucketIn(database, rootBucket(database), "key")))
    entries += leaf.count;
  expect(entries).toBe(4603);
  expect(source.reads.length).toBeLessThan(12);
  expect(source.reads.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(bytes.length * 1.1);
});

function open(bytes: Buffer): Promise<Database> {
  return openDatabase(sourceOf("", bytes), bytes.length - (bytes.length % 512), SPARSE);
}

async function bucketIn(database: Database, outer: Bucket, name: string): Promise<Bucket> {
  const found = await findBucket(database, outer, name);
  if (found === undefined) throw new Error(`no bucket ${name}`);
  return found;
}

async function keysOf(database: Database, bucket: Bucket, order: "ascending" | "descending"): Promise<string[]> {
  const keys: string[] = [];
  for await (const leaf of leavesOf(database, bucket, order)) {
    const found = Array.from({ length: leaf.count }, (_, index) => keyAt(leaf, index).toString());
    keys.push(...(order === "ascending" ? found : found.reverse()));
  }
  return keys;
}

function changed(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 0xff;
  return copy;
}
