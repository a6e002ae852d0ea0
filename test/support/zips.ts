import { readFileSync } from "node:fs";
import { join } from "node:path";
import { crc32, deflateRawSync } from "node:zlib";
import { type ByteSource, sourceOf } from "../../provider/snapshot-file/byte-source";

/** A compressed snapshot as a K3s 1.35 server made it, recorded. */
export const recordedZip = fixture("zipped-s1-1795268058.zip");
/** `snapshotBytes(4)`, compressed by Python's zipfile. */
export const deflatedByPython = fixture("deflated-s1-1700000000.zip");
/** The same, not compressed. */
export const storedByPython = fixture("stored-s1-1700000000.zip");

export interface ZippedFile {
  readonly name: string;
  readonly bytes: Buffer;
  /** @default 0 */
  readonly flags?: number;
}

/** A zip as Go's archive/zip streams it: sizes and CRC stand behind the data. `wide`: with the 64-bit fields of very large ones. */
export function zipOf(files: readonly ZippedFile[], wide = false): Buffer {
  const contents: Buffer[] = [];
  const directory: Buffer[] = [];
  for (const { name, bytes, flags = 0 } of files) {
    const data = deflateRawSync(bytes);
    const offset = lengthOf(contents);
    const extra = wide ? fields([16, 1], [16, 24], [64, bytes.length], [64, data.length], [64, offset]) : Buffer.of();
    const [packed, unpacked] = wide ? [ALL_32, ALL_32] : [data.length, bytes.length];
    const about = [
      ...[[16, 20] as const, [16, 8 | flags] as const, [16, 8] as const],
      ...[[16, 0x6c49] as const, [16, 0x5d75] as const],
    ];
    contents.push(
      fields([32, 0x04034b50], ...about, [32, 0], [32, 0], [32, 0], [16, Buffer.byteLength(name)], [16, 0]),
      Buffer.from(name),
      data,
      fields([32, 0x08074b50], [32, crc32(bytes)], [wide ? 64 : 32, data.length], [wide ? 64 : 32, bytes.length]),
    );
    directory.push(
      fields([32, 0x02014b50], [16, 0x314], ...about, [32, crc32(bytes)], [32, packed], [32, unpacked]),
      fields([16, Buffer.byteLength(name)], [16, extra.length], [16, 0], [16, 0], [16, 0], [32, 0], [32, offset]),
      Buffer.from(name),
      extra,
    );
  }
  const [begins, length, count] = [lengthOf(contents), lengthOf(directory), files.length];
  const end64 = [
    fields([32, 0x06064b50], [64, 44], [16, 45], [16, 45], [32, 0], [32, 0]),
    fields([64, count], [64, count], [64, length], [64, begins]),
    fields([32, 0x07064b50], [32, 0], [64, begins + length], [32, 1]),
  ];
  const end = wide
    ? fields([32, 0x06054b50], [32, 0], [16, 0xffff], [16, 0xffff], [32, ALL_32], [32, ALL_32], [16, 0])
    : fields([32, 0x06054b50], [32, 0], [16, count], [16, count], [32, length], [32, begins], [16, 0]);
  return Buffer.concat([...contents, ...directory, ...(wide ? end64 : []), end]);
}

/** The same bytes with those at one place changed. */
export function changed(bytes: Buffer, at: number, to: Uint8Array | number): Buffer {
  const copy = Buffer.from(bytes);
  copy.set(typeof to === "number" ? [to] : to, at < 0 ? bytes.length + at : at);
  return copy;
}

export function readable(bytes: Buffer): ByteSource {
  return sourceOf("/the/zip", bytes);
}

const ALL_32 = 0xffffffff;

function fields(...list: readonly (readonly [16 | 32 | 64, number])[]): Buffer {
  return Buffer.concat(
    list.map(([bits, value]) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(BigInt(value));
      return bytes.subarray(0, bits / 8);
    }),
  );
}

function lengthOf(parts: readonly Buffer[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

function fixture(name: string): { readonly name: string; readonly bytes: Buffer } {
  return { name, bytes: readFileSync(join(__dirname, "../fixtures/embedded-etcd", name)) };
}
