import { Damage } from "./damage";

/** A key of the bucket `key`: etcd's server/storage/mvcc/revision.go. */
export interface Revision {
  readonly main: number;
  /** Which of the changes of one transaction. */
  readonly sub: number;
  /** It deletes its key. */
  readonly isTombstone: boolean;
}

/** A value of the bucket `key`: `mvccpb.KeyValue`, without what it holds. */
export interface KeyValue {
  readonly key: Buffer;
  readonly createRevision: number;
  readonly modRevision: number;
  /** How many times it was written since it was created. */
  readonly version: number;
  readonly valueBytes: number;
}

export function readRevision(key: Buffer): Revision {
  const isTombstone = key.length === REVISION_BYTES + 1 && key[REVISION_BYTES] === TOMBSTONE;
  if ((key.length !== REVISION_BYTES && !isTombstone) || key[8] !== UNDERSCORE) {
    throw new Damage("records", `its bucket key has a key that is not a revision (${key.toString("hex", 0, 24)})`);
  }
  return { main: readNumber(key, 0), sub: readNumber(key, 9), isTombstone };
}

export function readKeyValue(message: Buffer): KeyValue {
  let key: Buffer = Buffer.alloc(0);
  let [createRevision, modRevision, version, valueBytes] = [0, 0, 0, 0];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++];
      if (byte === undefined || scale > 2 ** 63) throw unreadable();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const [field, wire] = [Math.floor(tag / 8), tag % 8];
    if (wire === VARINT) {
      const value = varint();
      if (field === 2) createRevision = value;
      else if (field === 3) modRevision = value;
      else if (field === 4) version = value;
    } else if (wire === BYTES) {
      const length = varint();
      if (length > message.length - at) throw unreadable();
      if (field === 1) key = message.subarray(at, at + length);
      else if (field === 5) valueBytes = length;
      at += length;
    } else {
      throw unreadable();
    }
  }
  return { key, createRevision, modRevision, version, valueBytes };
}

/** A number of 8 bytes as etcd stores it. Larger ones than a number can hold are no etcd's. */
export function readNumber(bytes: Buffer, offset = 0): number {
  if (bytes.length < offset + 8) throw new Damage("records", "one of its numbers is cut off");
  const value = bytes.readUInt32BE(offset) * 2 ** 32 + bytes.readUInt32BE(offset + 4);
  if (value > Number.MAX_SAFE_INTEGER) throw new Damage("records", "one of its numbers is larger than any of etcd's");
  return value;
}

const REVISION_BYTES = 17;
const TOMBSTONE = "t".charCodeAt(0);
const UNDERSCORE = "_".charCodeAt(0);
// https://protobuf.dev/programming-guides/encoding
const [VARINT, BYTES] = [0, 2];

function unreadable(): Damage {
  return new Damage("records", "its bucket key has a value that cannot be read");
}
