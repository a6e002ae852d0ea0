import type { ByteSource } from "./byte-source";
import { Damage } from "./damage";

export interface CacheLimits {
  /** What is read at once, at least. */
  readonly blockBytes: number;
  /** What is kept. */
  readonly keptBytes: number;
  /** What is read at once, at most. */
  readonly runBytes: number;
}

export interface BlockCache {
  /** The bytes there, all of them: a source that ends before is damaged. Not to be written to. */
  read(offset: number, length: number): Promise<Buffer>;
  /** Reads what will be asked for soon, neighbours together. As much as half of what is kept; the rest is left. */
  prefetch(offsets: readonly number[]): Promise<void>;
}

/** Few reads that look around: what `describe` needs. */
export const SPARSE: CacheLimits = { blockBytes: 16 << 10, keptBytes: 4 << 20, runBytes: 256 << 10 };
/** All of a file, in whatever order. */
export const WHOLE: CacheLimits = { blockBytes: 16 << 10, keptBytes: 32 << 20, runBytes: 1 << 20 };

/** Reads a source in blocks, and keeps those that were used last. */
export function cacheBlocks(source: Pick<ByteSource, "sizeBytes" | "read">, limits: CacheLimits): BlockCache {
  const { blockBytes, keptBytes, runBytes } = limits;
  const kept = new Map<number, Buffer>();
  const most = Math.max(2, Math.floor(keptBytes / blockBytes));
  const perRun = Math.max(1, Math.floor(runBytes / blockBytes));

  const fetch = async (first: number, count: number): Promise<void> => {
    const offset = first * blockBytes;
    const length = Math.min(count * blockBytes, source.sizeBytes - offset);
    const bytes = await source.read(offset, length);
    if (bytes.length < length) throw new Damage("size", "it ended while it was read");
    for (let at = 0; at < count; at++) {
      // Copied: a block that stays must not keep the whole run.
      const block = bytes.subarray(at * blockBytes, (at + 1) * blockBytes);
      kept.delete(first + at);
      kept.set(first + at, count === 1 ? asBuffer(block) : Buffer.from(block));
    }
    for (const old of kept.keys()) {
      if (kept.size <= most) break;
      kept.delete(old);
    }
  };

  const fetchRun = async (first: number, last: number): Promise<void> => {
    for (let at = first; at <= last; at += perRun) await fetch(at, Math.min(perRun, last - at + 1));
  };

  const block = (index: number): Buffer | undefined => {
    const found = kept.get(index);
    if (found === undefined) return undefined;
    kept.delete(index);
    kept.set(index, found);
    return found;
  };

  return {
    async read(offset, length) {
      if (offset + length > source.sizeBytes) throw new Damage("size", "it is cut off");
      const first = Math.floor(offset / blockBytes);
      const last = Math.floor((offset + length - 1) / blockBytes);
      const from = offset - first * blockBytes;
      // Longer than a few blocks: read as it is, so that one large value does not push out everything else.
      if (last - first >= perRun) {
        const bytes = await source.read(offset, length);
        if (bytes.length < length) throw new Damage("size", "it ended while it was read");
        return asBuffer(bytes);
      }
      const parts: Buffer[] = [];
      for (let at = first; at <= last; at++) {
        let found = block(at);
        if (found === undefined) {
          let until = at;
          while (until < last && !kept.has(until + 1)) until++;
          await fetch(at, until - at + 1);
          found = block(at);
        }
        if (found === undefined) throw new RangeError("the cache is smaller than one read");
        parts.push(found);
      }
      const [only] = parts;
      const bytes = parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
      return bytes.subarray(from, from + length);
    },

    async prefetch(offsets) {
      const wanted = [...new Set(offsets.map((offset) => Math.floor(offset / blockBytes)))]
        .filter((index) => index >= 0 && index * blockBytes < source.sizeBytes)
        .slice(0, most / 2);
      const missing = wanted.filter((index) => block(index) === undefined).sort((a, b) => a - b);
      for (let at = 0; at < missing.length;) {
        const first = missing[at] ?? 0;
        let last = first;
        // A gap of a block or two costs less than another request.
        while (at < missing.length && (missing[at] ?? 0) - last <= 3) last = missing[at++] ?? last;
        await fetchRun(first, last);
      }
    },
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
