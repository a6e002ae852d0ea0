import type { ByteSource } from "../../provider/snapshot-file/byte-source";
import { sourceOf } from "../../provider/snapshot-file/byte-source";

export interface CountingSource extends ByteSource {
  readonly reads: { readonly offset: number; readonly length: number }[];
}

/** Bytes that remember what was read of them. */
export function countingSource(bytes: Uint8Array): CountingSource {
  const reads: { offset: number; length: number }[] = [];
  const source = sourceOf("/the/snapshot", bytes);
  return {
    ...source,
    reads,
    read(offset, length) {
      reads.push({ offset, length });
      return source.read(offset, length);
    },
  };
}
