import { createHash } from "node:crypto";
import { keyAt, valueAt } from "./bbolt/page";
import { checkStructure, type Visit } from "./bbolt/structure";
import { WHOLE } from "./block-cache";
import type { ByteSource } from "./byte-source";
import { Damage, type Fault } from "./damage";
import { describeDatabase } from "./describe";
import { readKeyValue, readRevision } from "./etcd-records";
import { hasTrailer, openSnapshot, TRAILER_BYTES } from "./snapshot-database";

export type Check =
  | { readonly kind: "sound"; readonly sha256: string }
  | { readonly kind: "corrupt"; readonly fault: Fault; readonly reason: string };

/**
 * Reads a snapshot whole: its SHA-256 trailer, then the structure of its database. `sha256` is of the file, trailer
 * included. A value that was changed before the trailer was made cannot be found. `visit` comes across all that is in
 * it: `startCount` counts it in the same pass.
 */
export async function check(source: ByteSource, visit?: Visit): Promise<Check> {
  try {
    const sha256 = await checkTrailer(source);
    await checkDatabase(source, visit);
    return { kind: "sound", sha256 };
  } catch (error) {
    if (error instanceof Damage) return { kind: "corrupt", fault: error.fault, reason: error.message };
    throw error;
  }
}

/** What is left of the check when the trailer was compared where the file lies. Throws the damage. */
export async function checkDatabase(source: ByteSource, visit?: Visit): Promise<void> {
  const database = await openSnapshot(source, WHOLE);
  await checkStructure(database, visit === undefined ? checkRecords : both(checkRecords, visit));
  await describeDatabase(database);
}

const READ_BYTES = 1 << 20;

async function checkTrailer(source: ByteSource): Promise<string> {
  if (source.sizeBytes === 0) throw new Damage("size", "it is empty");
  if (!hasTrailer(source)) {
    throw new Damage("size", "it has no SHA-256 trailer (it is cut off, or not a snapshot)");
  }
  const hash = createHash("sha256");
  const end = source.sizeBytes - TRAILER_BYTES;
  for (let at = 0; at < end; at += READ_BYTES) hash.update(await readAll(source, at, Math.min(READ_BYTES, end - at)));
  const trailer = await readAll(source, end, TRAILER_BYTES);
  const whole = hash.copy().update(trailer);
  if (!hash.digest().equals(trailer)) throw new Damage("trailer", "its SHA-256 trailer does not match its content");
  return whole.digest("hex");
}

async function readAll(source: ByteSource, offset: number, length: number): Promise<Uint8Array> {
  const bytes = await source.read(offset, length);
  if (bytes.length < length) throw new Damage("size", "it ended while it was read");
  return bytes;
}

const checkRecords: Visit = (bucket, leaf) => {
  if (bucket !== "key") return;
  for (let index = 0; index < leaf.count; index++) {
    readRevision(keyAt(leaf, index));
    if (readKeyValue(valueAt(leaf, index)).key.length === 0) {
      throw new Damage("records", "its bucket key has a value without a key");
    }
  }
};

function both(first: Visit, second: Visit): Visit {
  return (bucket, leaf) => {
    first(bucket, leaf);
    second(bucket, leaf);
  };
}
