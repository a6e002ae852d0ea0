import { type CacheLimits, cacheBlocks } from "../block-cache";
import type { ByteSource } from "../byte-source";
import { Damage } from "../damage";
import { META_BYTES, type Meta, PAGE_HEADER_BYTES, PAGE_SIZES, readMeta } from "./meta";
import { ELEMENT_BYTES, type Page, type PageHeader, readPage, readPageHeader } from "./page";

/** A bbolt database, read in pieces. */
export interface Database {
  /** The one that counts: valid, and of the later transaction. */
  readonly meta: Meta;
  /** What is wrong with the other one. bbolt opens a database with a single one too. */
  readonly metaDamage: Damage | undefined;
  /** A page of a tree. */
  readPage(id: number): Promise<Page>;
  /** The header of any page; refused when it says that it is another page, or goes on beyond the last. */
  readHeader(id: number): Promise<PageHeader>;
  /** A page with all that overflows from it. */
  readBytes(header: PageHeader): Promise<Buffer>;
  /** The last key of a leaf, without its value. */
  readLastKey(header: PageHeader): Promise<Buffer | undefined>;
  /** Reads pages that will be asked for soon. */
  prefetch(ids: readonly number[]): Promise<void>;
}

/** Opens what the first `sizeBytes` of a source hold: bbolt's db.go, `meta`. */
export async function openDatabase(source: ByteSource, sizeBytes: number, limits: CacheLimits): Promise<Database> {
  const cache = cacheBlocks({ sizeBytes, read: (offset, length) => source.read(offset, length) }, limits);
  if (sizeBytes < 2 * META_BYTES) throw new Damage("size", "it is too short for a database");
  const first = readMeta(await cache.read(0, META_BYTES), 0);
  const second = await readSecondMeta(first);
  const meta = laterOf(first, second);
  if (meta.pages * meta.pageSize > sizeBytes) {
    throw new Damage("size", `it is cut off: ${meta.pages} pages of ${meta.pageSize} bytes are more than it has`);
  }

  async function readSecondMeta(known: Meta | Damage): Promise<Meta | Damage> {
    const places = known instanceof Damage ? PAGE_SIZES : [known.pageSize];
    let found = new Damage("meta", "its meta page 1 is missing");
    for (const place of places.filter((at) => at + META_BYTES <= sizeBytes)) {
      const read = readMeta(await cache.read(place, META_BYTES), 1);
      if (!(read instanceof Damage) && read.pageSize === place) return read;
      found = read instanceof Damage ? read : new Damage("meta", "its meta page 1 lies in a wrong place");
    }
    return found;
  }

  const readHeader = async (id: number): Promise<PageHeader> => {
    if (id < 2 || id >= meta.pages) throw new Damage("page", `page ${id} is none of its ${meta.pages}`);
    const header = readPageHeader(await cache.read(id * meta.pageSize, PAGE_HEADER_BYTES));
    if (header.id !== id) throw new Damage("page", `page ${id} says that it is page ${header.id}`);
    if (id + header.overflow >= meta.pages) throw new Damage("overflow", `page ${id} goes on beyond the last page`);
    return header;
  };
  const readBytes = ({ id, overflow }: PageHeader): Promise<Buffer> => {
    const length = (overflow + 1) * meta.pageSize;
    if (length > LONGEST_PAGE_BYTES) throw new Damage("overflow", `page ${id} is of ${length} bytes`);
    return cache.read(id * meta.pageSize, length);
  };
  const readLastKey = async ({ id, count, overflow }: PageHeader): Promise<Buffer | undefined> => {
    if (count === 0) return undefined;
    const length = (overflow + 1) * meta.pageSize;
    const element = PAGE_HEADER_BYTES + (count - 1) * ELEMENT_BYTES;
    const damaged = new Damage("elements", `page ${id}: element ${count - 1} is damaged`);
    if (element + ELEMENT_BYTES > length) throw damaged;
    const said = await cache.read(id * meta.pageSize + element, ELEMENT_BYTES);
    const [begins, keyBytes] = [element + said.readUInt32LE(4), said.readUInt32LE(8)];
    if (keyBytes === 0 || keyBytes > LONGEST_KEY_BYTES || begins + keyBytes > length) throw damaged;
    return cache.read(id * meta.pageSize + begins, keyBytes);
  };
  return {
    meta,
    readLastKey,
    metaDamage: [first, second].find((one) => one instanceof Damage),
    readHeader,
    readBytes,
    readPage: async (id) => readPage(`page ${id}`, await readBytes(await readHeader(id))),
    prefetch: (ids) => cache.prefetch(ids.map((id) => id * meta.pageSize)),
  };
}

/** What etcd takes in one request is 1.5 MiB, unless it is told otherwise. */
const LONGEST_PAGE_BYTES = 64 << 20;
/** bbolt's errors/errors.go and bucket.go, `MaxKeySize`. */
const LONGEST_KEY_BYTES = 32_768;

function laterOf(first: Meta | Damage, second: Meta | Damage): Meta {
  if (first instanceof Damage) {
    if (second instanceof Damage) throw first;
    return second;
  }
  return !(second instanceof Damage) && second.transaction > first.transaction ? second : first;
}
