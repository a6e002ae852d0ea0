import { BackupError } from "../errors";
import type { ByteSource } from "./byte-source";

/** Where the one file in a zip lies, and what its directory says of it. */
export interface ZipEntry {
  readonly method: "stored" | "deflated";
  /** Where its bytes begin, and how many they are. */
  readonly offset: number;
  readonly compressedBytes: number;
  /** What it has unpacked. */
  readonly sizeBytes: number;
  readonly crc32: number;
}

/**
 * Reads the directory of a compressed snapshot. Rejects with SNAPSHOT_CORRUPT unless the zip is one as K3s and RKE2
 * make them: nothing before, between or behind a single file, which is named like the zip without `.zip`.
 */
export async function readZip(zip: ByteSource, name: string): Promise<ZipEntry> {
  const refuse = (reason: string): never => {
    throw new BackupError("SNAPSHOT_CORRUPT", `${zip.title} is not a whole snapshot: ${reason}`, {
      host: zip.host,
      hint: "Name another snapshot.",
    });
  };
  const read = async (offset: number, length: number): Promise<DataView> => {
    const bytes = await zip.read(offset, length);
    if (bytes.length < length) refuse("it ended while it was read");
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
  if (zip.sizeBytes === 0) return refuse("it is empty");
  if (zip.sizeBytes < END_BYTES) return refuse(CUT_OFF);

  const { begins, ends, count } = (await findDirectory(zip.sizeBytes, read)) ?? refuse(CUT_OFF);
  if (count !== 1) return refuse(`it holds ${count} files`);
  if (begins < LOCAL_BYTES || ends - begins < CENTRAL_BYTES || ends - begins > CENTRAL_MAX_BYTES) {
    return refuse("its directory is damaged");
  }
  const entry = readCentral(await read(begins, ends - begins)) ?? refuse("its directory is damaged");
  const wanted = name.replace(/\.zip$/, "");
  if (entry.encrypted) return refuse("it is encrypted");
  if (entry.name !== wanted) return refuse(`it holds ${JSON.stringify(entry.name)}, not ${wanted}`);
  const method =
    METHODS.get(entry.method) ?? refuse(`it is compressed in a way that K3s and RKE2 do not use (${entry.method})`);
  if (entry.sizeBytes % 512 !== 32) return refuse("what it holds has no SHA-256 trailer (it is not a snapshot)");

  const local = await read(0, LOCAL_BYTES);
  const offset = LOCAL_BYTES + local.getUint16(26, true) + local.getUint16(28, true);
  const gap = begins - offset - entry.compressedBytes;
  const agrees = local.getUint32(0, true) === LOCAL && local.getUint16(8, true) === entry.method;
  if (entry.offset !== 0 || !agrees || gap < 0 || gap > DESCRIPTOR_MAX_BYTES) {
    return refuse("its directory and its content do not agree");
  }
  if (method === "stored" && entry.compressedBytes !== entry.sizeBytes) return refuse("its directory is damaged");
  const { compressedBytes, sizeBytes, crc32 } = entry;
  return { method, offset, compressedBytes, sizeBytes, crc32 };
}

type Read = (offset: number, length: number) => Promise<DataView>;

const CUT_OFF = "it has no directory (it is cut off, or not a zip)";
const METHODS: ReadonlyMap<number, ZipEntry["method"]> = new Map([
  [0, "stored"],
  [8, "deflated"],
]);

// https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
const [LOCAL, CENTRAL, END, END64, LOCATOR64] = [0x04034b50, 0x02014b50, 0x06054b50, 0x06064b50, 0x07064b50];
const [LOCAL_BYTES, CENTRAL_BYTES, END_BYTES, END64_BYTES, LOCATOR64_BYTES] = [30, 46, 22, 56, 20];
/** A name of 255 bytes, and extra fields. */
const CENTRAL_MAX_BYTES = 4096;
/** Go writes sizes and CRC behind the data: up to 24 bytes. */
const DESCRIPTOR_MAX_BYTES = 24;
const [IN_EXTRA_16, IN_EXTRA_32, ZIP64_EXTRA] = [0xffff, 0xffffffff, 1];

/** From where to where the directory lies: right before the record at the very end that says so. */
async function findDirectory(
  sizeBytes: number,
  read: Read,
): Promise<{ begins: number; ends: number; count: number } | undefined> {
  const end = await read(sizeBytes - END_BYTES, END_BYTES);
  if (end.getUint32(0, true) !== END || end.getUint16(20, true) !== 0) return undefined;
  const [count, length, begins] = [end.getUint16(10, true), end.getUint32(12, true), end.getUint32(16, true)];
  if (count !== IN_EXTRA_16 && length !== IN_EXTRA_32 && begins !== IN_EXTRA_32) {
    return begins + length === sizeBytes - END_BYTES ? { begins, ends: begins + length, count } : undefined;
  }
  const at = sizeBytes - END_BYTES - LOCATOR64_BYTES - END64_BYTES;
  if (at < 0) return undefined;
  const end64 = await read(at, END64_BYTES + LOCATOR64_BYTES);
  if (end64.getUint32(0, true) !== END64 || end64.getUint32(END64_BYTES, true) !== LOCATOR64) return undefined;
  const [count64, length64, begins64] = [32, 40, 48].map((field) => Number(end64.getBigUint64(field, true)));
  if (count64 === undefined || length64 === undefined || begins64 === undefined) return undefined;
  return begins64 + length64 === at ? { begins: begins64, ends: at, count: count64 } : undefined;
}

interface Central extends Omit<ZipEntry, "method"> {
  readonly name: string;
  readonly method: number;
  readonly encrypted: boolean;
}

/** Reads the directory of a zip with one file; undefined when it is something else. */
function readCentral(central: DataView): Central | undefined {
  const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) => central.getUint16(field, true));
  if (nameBytes === undefined || extraBytes === undefined || commentBytes === undefined) return undefined;
  if (central.getUint32(0, true) !== CENTRAL) return undefined;
  if (CENTRAL_BYTES + nameBytes + extraBytes + commentBytes !== central.byteLength) return undefined;
  const nameAt = central.byteOffset + CENTRAL_BYTES;
  const name = Buffer.from(central.buffer, nameAt, nameBytes).toString("utf8");
  const extra = new DataView(central.buffer, nameAt + nameBytes, extraBytes);
  const wide = zip64Fields(extra);
  // The 64-bit fields stand in this order, and only those whose 32 bits are all set.
  const [sizeBytes, compressedBytes, offset] = [24, 20, 42].map((field) => {
    const narrow = central.getUint32(field, true);
    return narrow === IN_EXTRA_32 ? wide.shift() : narrow;
  });
  if (sizeBytes === undefined || compressedBytes === undefined || offset === undefined) return undefined;
  const [encrypted, method, crc32] = [
    (central.getUint16(8, true) & 0x2041) !== 0,
    central.getUint16(10, true),
    central.getUint32(16, true),
  ];
  return { name, encrypted, method, crc32, sizeBytes, compressedBytes, offset };
}

function zip64Fields(extra: DataView): number[] {
  for (let at = 0; at + 4 <= extra.byteLength; at += 4 + extra.getUint16(at + 2, true)) {
    if (extra.getUint16(at, true) !== ZIP64_EXTRA) continue;
    const count = Math.floor(Math.min(extra.getUint16(at + 2, true), extra.byteLength - at - 4) / 8);
    return Array.from({ length: count }, (_, index) => Number(extra.getBigUint64(at + 4 + index * 8, true)));
  }
  return [];
}
