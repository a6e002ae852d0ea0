import { type Database, openDatabase } from "./bbolt/database";
import { type Bucket, findBucket, rootBucket } from "./bbolt/tree";
import type { CacheLimits } from "./block-cache";
import type { ByteSource } from "./byte-source";
import { Damage } from "./damage";

export const TRAILER_BYTES = 32;

/** Whether a file of this size can end in a SHA-256 trailer: a database is whole sectors. */
export function hasTrailer({ sizeBytes }: ByteSource): boolean {
  return sizeBytes % 512 === TRAILER_BYTES;
}

/** Opens the database that a snapshot holds: all but the trailer. */
export function openSnapshot(source: ByteSource, limits: CacheLimits): Promise<Database> {
  if (source.sizeBytes === 0) throw new Damage("size", "it is empty");
  return openDatabase(source, source.sizeBytes - (hasTrailer(source) ? TRAILER_BYTES : 0), limits);
}

/** The bucket with all revisions. A database without is another program's. */
export async function findKeys(database: Database): Promise<Bucket> {
  const keys = await findBucket(database, rootBucket(database), "key");
  if (keys === undefined) throw new Damage("records", "it is not a database of etcd: it has no bucket named key");
  return keys;
}
