import { checkStructure } from "../../../provider/snapshot-file/bbolt/structure";
import { WHOLE } from "../../../provider/snapshot-file/block-cache";
import { sourceOf } from "../../../provider/snapshot-file/byte-source";
import { check, checkDatabase } from "../../../provider/snapshot-file/check";
import { Damage } from "../../../provider/snapshot-file/damage";
import { keyAt, type Page, valueAt } from "../../../provider/snapshot-file/bbolt/page";
import { leavesOf } from "../../../provider/snapshot-file/bbolt/tree";
import { findKeys, openSnapshot } from "../../../provider/snapshot-file/snapshot-database";
import { createHash } from "node:crypto";
import { damage, structuralDamages, withTrailer } from "../../support/damaged-snapshots";
import { type Random, randomFrom } from "../../support/random";
import { recordedNames, recordedSnapshot } from "../../support/snapshots";

const snapshot = recordedSnapshot("k3s-first");

test.each(recordedNames)("%s is sound", async (name) => {
  const bytes = recordedSnapshot(name);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  expect(await check(sourceOf(name, bytes))).toEqual({ kind: "sound", sha256 });
});

const small = recordedSnapshot("etcd-3.6-small");
const accidents: Readonly<Record<string, (random: Random) => Buffer>> = {
  "a flipped bit": (random) => {
    const bytes = Buffer.from(small);
    const at = random(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
    return bytes;
  },
  "cut off": (random) => small.subarray(0, random(small.length)),
  "cut off behind a sector, with 32 bytes more": (random) => small.subarray(0, 512 * random(small.length / 512) + 32),
  "without its trailer": () => small.subarray(0, -32),
  "zeros somewhere": (random) => {
    const bytes = Buffer.from(small);
    const at = small.length - 32 - random(2000);
    return bytes.fill(0, at - 4096, at + 33);
  },
  "zeros only": (random) => Buffer.alloc(512 * random(100) + 32),
  "another kind of file": (random) => Buffer.from(`{"kind":"Config","n":${random(1000)}}`.padEnd(544)),
  "the trailer of another snapshot": () => Buffer.concat([small.subarray(0, -32), snapshot.subarray(-32)]),
  "the beginning of another snapshot": (random) =>
    Buffer.concat([snapshot.subarray(0, 4096 * (1 + random(20))), small.subarray(4096 * 21)]),
};

test.each(Object.entries(accidents))("no snapshot with %s is accepted", async (_, make) => {
  const random = randomFrom(1);
  const faults = new Set<string>();
  for (let turn = 0; turn < 120; turn++) {
    const found = await check(sourceOf("", make(random)));
    faults.add(found.kind === "corrupt" ? found.fault : "accepted");
  }
  expect([...faults].filter((fault) => !["size", "trailer"].includes(fault))).toEqual([]);
});

// The trailer was made after the damage: what is left is the structure.
const databases = ["k3s-first", "k3s-second", "etcd-3.4-many", "etcd-3.6-many", "etcd-3.5-small"];
const expected: Readonly<Record<string, readonly string[]>> = {
  "meta checksum": ["meta"],
  "page id": ["page"],
  "page kind": ["page", "elements"],
  "element count": ["elements", "page", "overflow"],
  element: ["elements", "records"],
  "order of keys": ["order"],
  "order between pages": ["order"],
  overflow: ["overflow", "elements", "shared page"],
  "page used twice": ["shared page", "order", "page"],
  "page outside": ["page"],
};

test.each(Object.keys(expected))("damage under a right trailer is found: %s", async (kind) => {
  const random = randomFrom(2);
  const faults = new Set<string>();
  for (let turn = 0; turn < 40; turn++) {
    const bytes = damage(recordedSnapshot(databases[turn % databases.length] ?? ""), kind, random);
    if (bytes === undefined) continue;
    const found = await check(sourceOf("", bytes));
    faults.add(found.kind === "corrupt" ? found.fault : "accepted");
  }
  expect(expected[kind]).toEqual(expect.arrayContaining([...faults]));
  expect([...faults]).toContain(expected[kind]?.[0]);
});

test("all classes of damage are tested", () => {
  expect([...Object.keys(expected), "freelist"].sort()).toEqual(Object.keys(structuralDamages).sort());
});

test("damage of the list of free pages is found", async () => {
  const random = randomFrom(3);
  const faults = new Set<string>();
  for (let turn = 0; turn < 200; turn++) {
    const name = turn % 2 === 0 ? "bbolt-4096" : "bbolt-16384";
    const bytes = damage(recordedSnapshot(name), "freelist", random) ?? Buffer.of();
    faults.add(await structureOf(bytes));
  }
  expect([...faults].sort()).toEqual(["free page in use", "freelist", "lost page"]);
});

test("a page that is twice in the list of free pages is found", async () => {
  const bytes = Buffer.from(recordedSnapshot("bbolt-4096"));
  const { freelist = 0 } = (await openSnapshot(sourceOf("", bytes), WHOLE)).meta;
  bytes.copy(bytes, freelist * 4096 + 24, freelist * 4096 + 16, freelist * 4096 + 24);
  expect(await structureOf(bytes)).toBe("freelist");
});

test("two buckets that are one are found", async () => {
  const bytes = Buffer.from(recordedSnapshot("etcd-3.6-many"));
  const database = await openSnapshot(sourceOf("", bytes), WHOLE);
  const keys = await findKeys(database);
  const root = await database.readPage(database.meta.root);
  // The value of a bucket without a page of its own becomes a reference to that of the keys.
  const alarm = valueAt(root, namesIn(root).indexOf("alarm"));
  const at = root.id * 4096 + alarm.byteOffset - root.bytes.byteOffset;
  bytes.writeBigUInt64LE(BigInt("page" in keys ? keys.page : 0), at);
  expect(await structureOf(bytes)).toBe("shared page");
});

// Each of these is one that no other rule finds.
test.each<[string, string, (bytes: Buffer, leaf: Page) => void]>([
  ["a leaf whose last key belongs to a later page", "order", (_, leaf) => keyAt(leaf, leaf.count - 1).fill(0x7f, 0, 8)],
  ["a leaf whose first key belongs to an earlier page", "order", (_, leaf) => keyAt(leaf, 0).fill(0, 0, 8)],
  ["a leaf without keys", "page", (bytes, leaf) => bytes.writeUInt16LE(0, leaf.id * 4096 + 10)],
])("%s is found", async (_, fault, change) => {
  const bytes = Buffer.from(recordedSnapshot("etcd-3.6-many"));
  const database = await openSnapshot(sourceOf("", bytes), WHOLE);
  const leaves: Page[] = [];
  for await (const leaf of leavesOf(database, await findKeys(database))) leaves.push(leaf);
  const { id, count } = leaves[leaves.length >> 1] ?? { id: 0, count: 0 };
  change(bytes, { id, count, kind: "leaf", bytes: bytes.subarray(id * 4096, (id + 1) * 4096) });
  expect(await structureOf(bytes)).toBe(fault);
});

// Behind the header of a bucket stands that of its page, and behind that the kind of its first key.
test.each([
  ["a bucket in one without a page", 32],
  ["a bucket whose page is a branch", 16 + 8],
  ["a bucket whose page has a number", 16],
])("%s is found", async (_, place) => {
  const bytes = Buffer.from(recordedSnapshot("etcd-3.6-many"));
  const database = await openSnapshot(sourceOf("", bytes), WHOLE);
  const root = await database.readPage(database.meta.root);
  const bucket = valueAt(root, namesIn(root).indexOf(place === 32 ? "members" : "alarm"));
  bytes[root.id * 4096 + bucket.byteOffset - root.bytes.byteOffset + place] = 1;
  expect(await structureOf(bytes)).toBe("bucket");
});

test("a member that cannot be read is found", async () => {
  const bytes = Buffer.from(small.subarray(0, -32));
  for (let at = bytes.indexOf('"peerURLs"'); at >= 0; at = bytes.indexOf('"peerURLs"', at)) bytes[at] = 0;
  expect(await check(sourceOf("", withTrailer(bytes)))).toMatchObject({ kind: "corrupt", fault: "records" });
});

test("a database that is whole, but not etcd's, is refused", async () => {
  expect(await check(sourceOf("", withTrailer(recordedSnapshot("bbolt-4096"))))).toMatchObject({
    ...{ kind: "corrupt", fault: "records", reason: expect.stringContaining("not a database of etcd") as string },
  });
});

test("a source that cannot be read is not damaged: what it says is passed on", async () => {
  const broken = { ...sourceOf("", small), read: () => Promise.reject(new Error("the line is dead")) };
  await expect(check(broken)).rejects.toThrow("the line is dead");
  await expect(checkDatabase(broken)).rejects.toThrow("the line is dead");
});

test("a source that has become shorter is damaged", async () => {
  const short = { ...sourceOf("", small.subarray(0, 5000)), sizeBytes: small.length };
  expect(await check(short)).toMatchObject({ kind: "corrupt", fault: "size", reason: "it ended while it was read" });
});

function namesIn(page: Page): string[] {
  return Array.from({ length: page.count }, (_, index) => keyAt(page, index).toString());
}

async function structureOf(bytes: Buffer): Promise<string> {
  try {
    await checkStructure(await openSnapshot(sourceOf("", bytes), WHOLE));
    return "accepted";
  } catch (error) {
    if (error instanceof Damage) return error.fault;
    throw error;
  }
}
