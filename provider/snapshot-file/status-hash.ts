import { isBucketAt, keyAt, valueAt } from "./bbolt/page";
import { bucketsOf, leavesOf } from "./bbolt/tree";
import { WHOLE } from "./block-cache";
import type { ByteSource } from "./byte-source";
import { refusingDamage } from "./damage";
import { openSnapshot } from "./snapshot-database";

/** Computes the `hash` of `etcdutl snapshot status`: CRC32C of each bucket's name, keys and values, in order. */
export function statusHash(source: ByteSource): Promise<number> {
  return refusingDamage(source, async () => {
    const database = await openSnapshot(source, WHOLE);
    let crc = 0;
    for await (const [name, bucket] of bucketsOf(database)) {
      crc = crc32c(crc, Buffer.from(name));
      for await (const leaf of leavesOf(database, bucket)) {
        for (let at = 0; at < leaf.count; at++) {
          crc = crc32c(crc, keyAt(leaf, at));
          if (!isBucketAt(leaf, at)) crc = crc32c(crc, valueAt(leaf, at));
        }
      }
    }
    return crc;
  });
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 0 ? value >>> 1 : (value >>> 1) ^ 0x82f63b78;
  return value;
});

function crc32c(before: number, bytes: Buffer): number {
  let crc = ~before;
  for (let at = 0; at < bytes.length; at++) crc = (TABLE[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}
