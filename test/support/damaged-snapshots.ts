import { createHash } from "node:crypto";
import type { Random } from "./random";

/** Changes one thing in a database; false where it has nothing of the kind. */
type Damage = (database: Pages, random: Random) => boolean;

/** Damage that a trailer made afterwards hides. By class, named. */
export const structuralDamages: Readonly<Record<string, Damage>> = {
  "meta checksum": ({ bytes, pageSize }, random) => {
    flip(bytes, random(2) * pageSize + 16 + random(64), random);
    return true;
  },
  "page id": ({ bytes, pageSize, used }, random) => {
    flip(bytes, pick(used, random) * pageSize + random(8), random);
    return true;
  },
  "page kind": ({ bytes, pageSize, used }, random) => {
    flip(bytes, pick(used, random) * pageSize + 8 + random(2), random);
    return true;
  },
  "element count": ({ bytes, pageSize, used }, random) => {
    flip(bytes, pick(used, random) * pageSize + 10 + random(2), random);
    return true;
  },
  element: ({ bytes, pageSize, leaves, branches }, random) => {
    const id = pick([...leaves, ...branches], random);
    const at = id * pageSize + 16 + 16 * random(bytes.readUInt16LE(id * pageSize + 10));
    // Where it begins, how long its key is: of a leaf behind its kind, of a branch before the child's number.
    flip(bytes, at + (leaves.includes(id) ? 4 : 0) + random(8), random);
    return true;
  },
  "order of keys": ({ bytes, pageSize, leaves, branches }, random) => {
    const full = [...leaves, ...branches].filter((id) => bytes.readUInt16LE(id * pageSize + 10) > 1);
    const id = pick(full, random);
    const index = random(bytes.readUInt16LE(id * pageSize + 10) - 1);
    const [first, second] = [keyOf(bytes, id * pageSize, index), keyOf(bytes, id * pageSize, index + 1)];
    const length = Math.min(first.length, second.length);
    const [one, other] = [Buffer.from(first), Buffer.from(second)];
    if (one.subarray(0, length).equals(other.subarray(0, length))) return false;
    first.set(other.subarray(0, length));
    second.set(one.subarray(0, length));
    return true;
  },
  "order between pages": ({ bytes, pageSize, branches }, random) => {
    const full = branches.filter((id) => bytes.readUInt16LE(id * pageSize + 10) > 1);
    if (full.length === 0) return false;
    const at = pick(full, random) * pageSize;
    const index = random(bytes.readUInt16LE(at + 10) - 1);
    const [one, other] = [at + 16 + 16 * index + 8, at + 16 + 16 * (index + 1) + 8];
    const child = bytes.readBigUInt64LE(one);
    bytes.writeBigUInt64LE(bytes.readBigUInt64LE(other), one);
    bytes.writeBigUInt64LE(child, other);
    return true;
  },
  overflow: ({ bytes, pageSize, used }, random) => {
    const at = pick(used, random) * pageSize + 12;
    const before = bytes.readUInt32LE(at);
    bytes.writeUInt32LE(before > 0 && random(2) === 0 ? before - 1 : before + 1 + random(3), at);
    return true;
  },
  "page used twice": ({ bytes, pageSize, branches, used }, random) => {
    if (branches.length === 0) return false;
    const at = pick(branches, random) * pageSize;
    const child = at + 16 + 16 * random(bytes.readUInt16LE(at + 10)) + 8;
    const other = pick(used, random);
    if (bytes.readBigUInt64LE(child) === BigInt(other)) return false;
    bytes.writeBigUInt64LE(BigInt(other), child);
    return true;
  },
  "page outside": ({ bytes, pageSize, branches }, random) => {
    if (branches.length === 0) return false;
    const at = pick(branches, random) * pageSize;
    const child = at + 16 + 16 * random(bytes.readUInt16LE(at + 10)) + 8;
    bytes.writeBigUInt64LE(BigInt(bytes.length / pageSize + random(1000)), child);
    return true;
  },
  freelist: ({ bytes, pageSize, freelist }, random) => {
    if (freelist === undefined) return false;
    const at = freelist * pageSize;
    const count = bytes.readUInt16LE(at + 10);
    const ids = Array.from({ length: count }, (_, index) => at + 16 + 8 * index);
    // Behind these lies one that is not free.
    const ends = ids.filter((id) => bytes.readBigUInt64LE(id) + 1n < bytes.readBigUInt64LE(id + 8)).slice(0, -1);
    const how = random(3);
    if (how === 0) bytes.writeUInt16LE(count - 1 - random(count - 1), at + 10);
    else if (how === 1) flip(bytes, pick(ids, random) + random(8), random);
    else {
      const id = pick(ends, random);
      bytes.writeBigUInt64LE(bytes.readBigUInt64LE(id) + 1n, id);
    }
    return true;
  },
};

/** A database with one thing changed, and a trailer that is right; undefined where it has nothing of the kind. */
export function damage(snapshot: Buffer, kind: string, random: Random): Buffer | undefined {
  const bytes = Buffer.from(snapshot.subarray(0, snapshot.length - (snapshot.length % 512)));
  if (structuralDamages[kind]?.(readPages(bytes), random) !== true) return undefined;
  return withTrailer(bytes);
}

export function withTrailer(database: Buffer): Buffer {
  return Buffer.concat([database, createHash("sha256").update(database).digest()]);
}

/** What is in use in a database, found without the code that is tested. */
interface Pages {
  readonly bytes: Buffer;
  readonly pageSize: number;
  readonly used: readonly number[];
  readonly leaves: readonly number[];
  readonly branches: readonly number[];
  readonly freelist: number | undefined;
}

function readPages(bytes: Buffer): Pages {
  const pageSize = bytes.readUInt32LE(16 + 8);
  const later = bytes.readBigUInt64LE(16 + 48) > bytes.readBigUInt64LE(pageSize + 16 + 48) ? 16 : pageSize + 16;
  const list = bytes.readBigUInt64LE(later + 32);
  const [leaves, branches]: [number[], number[]] = [[], []];
  const visit = (id: number): void => {
    const at = id * pageSize;
    const count = bytes.readUInt16LE(at + 10);
    const isLeaf = bytes.readUInt16LE(at + 8) === 2;
    if (!isLeaf) branches.push(id);
    else if (count > 0) leaves.push(id);
    for (let index = 0; index < count; index++) {
      const element = at + 16 + 16 * index;
      if (!isLeaf) visit(Number(bytes.readBigUInt64LE(element + 8)));
      else if (bytes.readUInt32LE(element) === 1) {
        const value = element + bytes.readUInt32LE(element + 4) + bytes.readUInt32LE(element + 8);
        const root = Number(bytes.readBigUInt64LE(value));
        if (root !== 0) visit(root);
      }
    }
  };
  visit(Number(bytes.readBigUInt64LE(later + 16)));
  const freelist = list === 0xffffffffffffffffn ? undefined : Number(list);
  return { bytes, pageSize, used: [...leaves, ...branches], leaves, branches, freelist };
}

function keyOf(bytes: Buffer, at: number, index: number): Buffer {
  const element = at + 16 + 16 * index;
  const shift = bytes.readUInt16LE(at + 8) === 2 ? 4 : 0;
  const begins = element + bytes.readUInt32LE(element + shift);
  return bytes.subarray(begins, begins + bytes.readUInt32LE(element + shift + 4));
}

function flip(bytes: Buffer, at: number, random: Random): void {
  bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
}

function pick(list: readonly number[], random: Random): number {
  const found = list[random(list.length)];
  if (found === undefined) throw new RangeError("there is nothing to pick");
  return found;
}
