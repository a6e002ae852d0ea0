import { keyAt, valueAt } from "./bbolt/page";
import type { Visit } from "./bbolt/structure";
import { bucketsOf, leavesOf } from "./bbolt/tree";
import { WHOLE } from "./block-cache";
import type { ByteSource } from "./byte-source";
import { refusingDamage } from "./damage";
import { readKeyValue, readRevision } from "./etcd-records";
import { keySet } from "./key-set";
import { findKeys, openSnapshot } from "./snapshot-database";

/** What a snapshot holds. */
export interface SnapshotCount {
  readonly revision: number;
  /** Keys that are there at that revision: what `etcdutl snapshot status` says from 3.6 on. */
  readonly totalKeys: number;
  /** Entries of all buckets, old revisions among them: what `snapshot status` said up to 3.5. */
  readonly totalEntries: number;
  /** Revisions that the bucket `key` holds, and how many of them delete. */
  readonly revisions: number;
  readonly tombstones: number;
  /** Keys and values that are there at the revision. */
  readonly liveBytes: number;
  /** Live keys by what stands before their last slash: with Kubernetes, the resource and the namespace. Largest first. */
  readonly groups: readonly KeyGroup[];
  /** Keys of further groups, when there are too many to keep apart. */
  readonly ungrouped: number;
  readonly largest: readonly { readonly key: string; readonly bytes: number }[];
}

export interface KeyGroup {
  readonly prefix: string;
  readonly keys: number;
  readonly bytes: number;
}

export interface CountOptions {
  /** How many of the largest keys to name. @default 10 */
  readonly largest?: number;
  /** Is told how many revisions were read, now and then. What it throws ends the pass. */
  readonly progress?: (revisions: number) => void;
}

/** Counts the keys of a snapshot in one pass. Of values only the length is looked at; some 20 bytes are kept of each key. */
export function count(source: ByteSource, options: CountOptions = {}): Promise<SnapshotCount> {
  return refusingDamage(source, async () => {
    const database = await openSnapshot(source, WHOLE);
    await findKeys(database);
    const counting = startCount(options);
    for await (const [name, bucket] of bucketsOf(database)) {
      for await (const leaf of leavesOf(database, bucket, "descending")) counting.visit(name, leaf);
    }
    return counting.finish();
  });
}

export interface Counting {
  /** Has to be given all leaves, those of a bucket from the highest keys to the lowest: as `check` does. */
  readonly visit: Visit;
  readonly finish: () => SnapshotCount;
}

/** Counts what another pass comes across. */
export function startCount(options: CountOptions = {}): Counting {
  const seen = keySet();
  const groups = new Map<string, { keys: number; bytes: number }>();
  const largest = largestKeys(options.largest ?? 10);
  let revision: number | undefined;
  let [totalKeys, totalEntries, revisions, tombstones, liveBytes, ungrouped] = [0, 0, 0, 0, 0, 0];

  const countLive = (key: Buffer, bytes: number): void => {
    totalKeys++;
    liveBytes += bytes;
    largest.offer(key, bytes);
    const prefix = prefixOf(key);
    const group = groups.get(prefix);
    if (group !== undefined) {
      group.keys++;
      group.bytes += bytes;
    } else if (groups.size < MOST_GROUPS) groups.set(prefix, { keys: 1, bytes });
    else ungrouped++;
  };

  return {
    visit(bucket, leaf) {
      totalEntries += leaf.count;
      if (bucket !== "key") return;
      for (let index = leaf.count - 1; index >= 0; index--) {
        const at = readRevision(keyAt(leaf, index));
        const { key, valueBytes } = readKeyValue(valueAt(leaf, index));
        revision ??= at.main;
        revisions++;
        if (at.isTombstone) tombstones++;
        // What is seen of a key first, from the newest revision backwards, is what it is now.
        if (seen.add(key) && !at.isTombstone) countLive(key, key.length + valueBytes);
      }
      options.progress?.(revisions);
    },
    finish: () => ({
      ...{ revision: revision ?? 0, totalKeys, totalEntries, revisions, tombstones, liveBytes, ungrouped },
      groups: [...groups]
        .map(([prefix, group]) => ({ prefix, ...group }))
        .sort((a, b) => b.bytes - a.bytes || (a.prefix < b.prefix ? -1 : 1)),
      largest: largest.list(),
    }),
  };
}

/** Namespaces times resources of a large cluster, several times over. */
const MOST_GROUPS = 50_000;
const SLASH = "/".charCodeAt(0);

/** Longer ones are no names of Kubernetes: they would fill the memory. */
const LONGEST_PREFIX_BYTES = 1024;

function prefixOf(key: Buffer): string {
  return key.toString("utf8", 0, Math.min(LONGEST_PREFIX_BYTES, Math.max(0, key.lastIndexOf(SLASH))));
}

interface LargestKeys {
  offer(key: Buffer, bytes: number): void;
  list(): { key: string; bytes: number }[];
}

function largestKeys(most: number): LargestKeys {
  const kept: { key: string; bytes: number }[] = [];
  return {
    offer(key, bytes) {
      if (most <= 0 || (kept.length === most && bytes <= (kept.at(-1)?.bytes ?? 0))) return;
      const at = kept.findIndex((one) => one.bytes < bytes);
      kept.splice(at < 0 ? kept.length : at, 0, { key: key.toString(), bytes });
      if (kept.length > most) kept.pop();
    },
    list: () => kept,
  };
}
