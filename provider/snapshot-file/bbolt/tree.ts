import { Damage } from "../damage";
import type { Database } from "./database";
import { PAGE_HEADER_BYTES, readPageId } from "./meta";
import { childAt, isBucketAt, keyAt, LEAF_FLAG, type Page, readPage, valueAt } from "./page";

/** Where a bucket's tree begins: a page of its own, or one that lies in the bucket's value. */
export type Bucket = { readonly page: number } | { readonly inline: Page };

/** Reads what a bucket's value says: bbolt's internal/common/bucket.go. */
export function readBucket(title: string, value: Buffer): Bucket {
  if (value.length < BUCKET_HEADER_BYTES) throw new Damage("bucket", `${title} is cut off`);
  const page = readPageId(value, 0);
  if (page !== 0) return { page };
  const bytes = value.subarray(BUCKET_HEADER_BYTES);
  if (bytes.length < PAGE_HEADER_BYTES) throw new Damage("bucket", `${title} is cut off`);
  const inline = readPage(title, bytes);
  if (inline.kind !== "leaf" || inline.id !== 0) throw new Damage("bucket", `${title} is damaged`);
  return { inline };
}

export function rootBucket(database: Database): Bucket {
  return { page: database.meta.root };
}

/** A bucket in a bucket; undefined when there is none of that name. */
export async function findBucket(database: Database, outer: Bucket, name: string): Promise<Bucket | undefined> {
  const found = await seek(database, outer, Buffer.from(name));
  if (found === undefined) return undefined;
  if (!isBucketAt(found.page, found.index)) throw new Damage("bucket", `${name} is not a bucket`);
  return readBucket(`bucket ${name}`, valueAt(found.page, found.index));
}

/** The value of a key; undefined when it is not there. */
export async function findValue(database: Database, bucket: Bucket, key: string | Buffer): Promise<Buffer | undefined> {
  const found = await seek(database, bucket, typeof key === "string" ? Buffer.from(key) : key);
  return found === undefined ? undefined : valueAt(found.page, found.index);
}

/** The highest key; undefined where there is none. Reads no values: that of a last key may be large. */
export async function findLastKey(database: Database, bucket: Bucket): Promise<Buffer | undefined> {
  if ("inline" in bucket) return bucket.inline.count === 0 ? undefined : keyAt(bucket.inline, bucket.inline.count - 1);
  let id = bucket.page;
  for (let depth = 0; ; depth++) {
    const header = await database.readHeader(id);
    if (header.flags === LEAF_FLAG) return database.readLastKey(header);
    const branch = readPage(`page ${id}`, await database.readBytes(header));
    if (depth === DEEPEST || branch.count === 0) throw new Damage("page", `page ${id} leads nowhere`);
    id = childAt(branch, branch.count - 1);
  }
}

/** The buckets in the root, with their names. */
export async function* bucketsOf(database: Database): AsyncGenerator<readonly [name: string, bucket: Bucket]> {
  let left = MOST_BUCKETS;
  for await (const leaf of leavesOf(database, rootBucket(database))) {
    for (let index = 0; index < leaf.count; index++) {
      // Without a bound a damaged file, all of whose buckets are one, would take forever.
      if (left-- === 0) throw new Damage("bucket", `it has more buckets than ${MOST_BUCKETS}`);
      const name = keyAt(leaf, index).toString();
      if (!isBucketAt(leaf, index)) throw new Damage("bucket", "it has something beside its buckets");
      yield [name, readBucket(`bucket ${name}`, valueAt(leaf, index))];
    }
  }
}

/** Goes through the leaves of a bucket in order, reading those that lie side by side together. */
export async function* leavesOf(
  database: Database,
  bucket: Bucket,
  order: "ascending" | "descending" = "ascending",
): AsyncGenerator<Page> {
  // A damaged tree may lead in circles: no tree has more pages than there are.
  let left = database.meta.pages;
  async function* below(page: Page, depth: number): AsyncGenerator<Page> {
    left -= Math.ceil(page.bytes.length / database.meta.pageSize);
    if (left < 0) throw new Damage("shared page", "its pages refer to each other in circles");
    if (page.kind === "leaf") {
      yield page;
      return;
    }
    if (depth === DEEPEST || page.count === 0) throw new Damage("page", `page ${page.id} leads nowhere`);
    const children = Array.from({ length: page.count }, (_, index) => childAt(page, index));
    if (order === "descending") children.reverse();
    for (const [index, child] of children.entries()) {
      if (index % AHEAD === 0) await database.prefetch(children.slice(index, index + AHEAD));
      yield* below(await database.readPage(child), depth + 1);
    }
  }
  yield* below(await rootPageOf(database, bucket), 0);
}

async function rootPageOf(database: Database, bucket: Bucket): Promise<Page> {
  return "inline" in bucket ? bucket.inline : await database.readPage(bucket.page);
}

/** Deeper is none: with two children a page, this many levels are more pages than there can be. */
export const DEEPEST = 33;
/** How many pages are read ahead. */
export const AHEAD = 256;
const BUCKET_HEADER_BYTES = 16;
/** etcd has twelve. */
const MOST_BUCKETS = 100;

async function seek(
  database: Database,
  bucket: Bucket,
  key: Buffer,
): Promise<{ readonly page: Page; readonly index: number } | undefined> {
  let page = await rootPageOf(database, bucket);
  for (let depth = 0; page.kind === "branch"; depth++) {
    if (depth === DEEPEST || page.count === 0) throw new Damage("page", `page ${page.id} leads nowhere`);
    page = await database.readPage(childAt(page, Math.max(0, lastNotAbove(page, key))));
  }
  const index = lastNotAbove(page, key);
  return index >= 0 && keyAt(page, index).equals(key) ? { page, index } : undefined;
}

/** The place of the last key that is not above the given one; -1 when all are. */
function lastNotAbove(page: Page, key: Buffer): number {
  let [low, high] = [0, page.count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Buffer.compare(keyAt(page, middle), key) > 0) high = middle;
    else low = middle + 1;
  }
  return low - 1;
}
