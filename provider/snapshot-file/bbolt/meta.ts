import { Damage } from "../damage";

/** Where everything in a database begins: bbolt's internal/common/meta.go. */
export interface Meta {
  readonly pageSize: number;
  /** The page of the bucket of buckets. */
  readonly root: number;
  /** The page with the list of free pages; undefined where none is stored, as etcd has it (NoFreelistSync). */
  readonly freelist: number | undefined;
  /** All pages have lower numbers. */
  readonly pages: number;
  readonly transaction: bigint;
}

export const PAGE_HEADER_BYTES = 16;
/** One with its page's header. */
export const META_BYTES = PAGE_HEADER_BYTES + 64;

/** Reads a meta page; what is wrong with it, where it is not one. */
export function readMeta(page: Buffer, id: number): Meta | Damage {
  const bad = (reason: string): Damage => new Damage("meta", `its meta page ${id} ${reason}`);
  if (page.length < META_BYTES) return bad("is cut off");
  const meta = page.subarray(PAGE_HEADER_BYTES);
  if (meta.readUInt32LE(0) !== MAGIC) return bad("is not one of a bbolt database");
  if (meta.readUInt32LE(4) !== VERSION) return bad(`has a format that is not known (${meta.readUInt32LE(4)})`);
  if (meta.readBigUInt64LE(56) !== fnv64a(meta.subarray(0, 56))) return bad("does not match its checksum");
  if (page.readBigUInt64LE(0) !== BigInt(id) || page.readUInt16LE(8) !== META_FLAG) return bad("has a wrong header");
  const pageSize = meta.readUInt32LE(8);
  if (!isPageSize(pageSize)) return bad(`has pages of ${pageSize} bytes`);
  const [root, pages] = [readPageId(meta, 16), readPageId(meta, 40)];
  const freelist = meta.readBigUInt64LE(32) === NO_FREELIST ? undefined : readPageId(meta, 32);
  if (pages < 3 || pages > MOST_PAGES) return bad(`tells of ${pages} pages`);
  if (root < 2 || root >= pages) return bad(`refers to page ${root} of ${pages}`);
  if (freelist !== undefined && (freelist < 2 || freelist >= pages))
    return bad(`refers to page ${freelist} of ${pages}`);
  return { pageSize, root, freelist, pages, transaction: meta.readBigUInt64LE(48) };
}

/** Reads a page's number. What is too large for one is larger than any that there is, and that is enough. */
export function readPageId(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset) + bytes.readUInt32LE(offset + 4) * 2 ** 32;
}

/** bbolt's db.go, getPageSizeFromSecondMeta: where the second one may lie when the first cannot be read. */
export const PAGE_SIZES: readonly number[] = Array.from({ length: 15 }, (_, power) => 1024 << power);

const MAGIC = 0xed0cdaed;
const VERSION = 2;
const META_FLAG = 0x04;
const NO_FREELIST = 0xffffffffffffffffn;
/** 16 TiB with the usual pages. */
const MOST_PAGES = 2 ** 32;

function isPageSize(bytes: number): boolean {
  return PAGE_SIZES.includes(bytes);
}

function fnv64a(bytes: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
}
