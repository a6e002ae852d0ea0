import { Damage } from "../damage";
import type { Database } from "./database";
import { readFreelist } from "./freelist";
import { childAt, isBucketAt, keyAt, type Page, readPage, usedBytes, valueAt } from "./page";
import { AHEAD, type Bucket, DEEPEST, readBucket, rootBucket } from "./tree";

/** Is given each leaf of each bucket, from the one with the highest keys to the one with the lowest. */
export type Visit = (bucket: string, leaf: Page) => void;

/**
 * Goes through all pages as `bbolt check` does (tx_check.go), and looks closer: no gap in a page, none longer than it
 * has to be, both meta pages valid. Throws the first damage. What it keeps is two bits a page.
 */
export async function checkStructure(database: Database, visit: Visit = () => undefined): Promise<void> {
  const { meta, metaDamage } = database;
  if (metaDamage !== undefined) throw metaDamage;
  const used = bits(meta.pages);
  const free = bits(meta.pages);
  const use = (id: number, overflow: number): void => {
    for (let at = id; at <= id + overflow; at++) {
      if (free.has(at)) throw new Damage("free page in use", `page ${at} is in use, and in the list of free pages`);
      if (used.has(at)) throw new Damage("shared page", `page ${at} is used twice`);
      used.add(at);
    }
  };

  if (meta.freelist !== undefined) {
    const header = await database.readHeader(meta.freelist);
    for (const id of await readFreelist(database, header)) free.add(id);
    use(header.id, header.overflow);
  }
  await checkBucket(rootBucket(database), undefined);
  for (let id = 2; meta.freelist !== undefined && id < meta.pages; id++) {
    if (!used.has(id) && !free.has(id)) throw new Damage("lost page", `page ${id} is neither in use nor free`);
  }

  async function checkBucket(bucket: Bucket, name: string | undefined): Promise<void> {
    if ("page" in bucket) return checkPage(bucket.page, undefined, undefined, 0, { name, leavesAt: undefined });
    checkOrder(bucket.inline, undefined, undefined);
    await checkLeaf(bucket.inline, name);
  }

  /** All keys below have to be from `least` to below `limit`. */
  async function checkPage(
    id: number,
    least: Buffer | undefined,
    limit: Buffer | undefined,
    depth: number,
    tree: Tree,
  ): Promise<void> {
    const header = await database.readHeader(id);
    use(id, header.overflow);
    const page = readPage(`page ${id}`, await database.readBytes(header));
    if (page.count === 0 && (depth > 0 || page.kind === "branch")) throw new Damage("page", `page ${id} is empty`);
    checkLength(page, meta.pageSize);
    checkOrder(page, least, limit);
    if (page.kind === "leaf") {
      // Without a list of free pages this alone shows that a branch was left out.
      if (depth !== (tree.leavesAt ??= depth)) throw new Damage("page", `page ${id} lies on another level than others`);
      return checkLeaf(page, tree.name);
    }
    if (depth === DEEPEST) throw new Damage("page", `page ${id} lies too deep`);
    const children = Array.from({ length: page.count }, (_, index) => childAt(page, index));
    let end = limit;
    for (let index = page.count - 1; index >= 0; index--) {
      const ahead = page.count - 1 - index;
      if (ahead % AHEAD === 0)
        await database.prefetch(children.slice(Math.max(0, index + 1 - AHEAD), index + 1).reverse());
      const begin = keyAt(page, index);
      await checkPage(childAt(page, index), begin, end, depth + 1, tree);
      end = begin;
    }
  }

  async function checkLeaf(page: Page, bucket: string | undefined): Promise<void> {
    if (bucket !== undefined) visit(bucket, page);
    for (let index = 0; index < page.count; index++) {
      if (!isBucketAt(page, index)) continue;
      // bbolt's bucket.go, `inlineable`: only one without buckets.
      if (page.id === 0) throw new Damage("bucket", "a bucket lies in one that has no page");
      const name = bucket === undefined ? keyAt(page, index).toString() : `${bucket}/${keyAt(page, index).toString()}`;
      if (name.length > LONGEST_PATH) throw new Damage("bucket", "its buckets lie too deep in each other");
      const inner = readBucket(`bucket ${name}`, valueAt(page, index));
      await checkBucket(inner, name);
    }
  }
}

/** Of names of buckets in each other: etcd has a single one. */
const LONGEST_PATH = 1000;

interface Tree {
  /** Undefined for that of the buckets. */
  readonly name: string | undefined;
  /** On which level the leaves lie: on the same, as trees grow and shrink at their root. */
  leavesAt: number | undefined;
}

/** bbolt's node.go, `spill`: as many pages as the node needs; before 1.3.4 one more where it fills the last. */
function checkLength(page: Page, pageSize: number): void {
  const [pages, bytes] = [page.bytes.length / pageSize, usedBytes(page)];
  if (pages === Math.ceil(bytes / pageSize) || pages === Math.floor(bytes / pageSize) + 1) return;
  throw new Damage("overflow", `page ${page.id} goes on for ${pages} pages, and holds ${bytes} bytes`);
}

function checkOrder(page: Page, least: Buffer | undefined, limit: Buffer | undefined): void {
  const title = page.id === 0 ? "a bucket without a page" : `page ${page.id}`;
  let before: Buffer | undefined;
  for (let index = 0; index < page.count; index++) {
    const key = keyAt(page, index);
    const ascends = before === undefined ? least === undefined || least.compare(key) <= 0 : before.compare(key) < 0;
    if (!ascends) throw new Damage("order", `${title}: key ${index} is not above the one before it`);
    before = key;
  }
  if (before !== undefined && limit !== undefined && before.compare(limit) >= 0) {
    throw new Damage("order", `${title}: its last key is not below the first of the next page`);
  }
}

interface Bits {
  add(at: number): void;
  has(at: number): boolean;
}

function bits(count: number): Bits {
  const words = new Uint8Array(Math.ceil(count / 8));
  return {
    add: (at) => {
      words[at >>> 3] = (words[at >>> 3] ?? 0) | (1 << (at & 7));
    },
    has: (at) => ((words[at >>> 3] ?? 0) & (1 << (at & 7))) !== 0,
  };
}
