import type { Database } from "./bbolt/database";
import { keyAt, valueAt } from "./bbolt/page";
import { type Bucket, findBucket, findValue, findLastKey, leavesOf, rootBucket } from "./bbolt/tree";
import { SPARSE } from "./block-cache";
import type { ByteSource } from "./byte-source";
import { Damage, refusingDamage } from "./damage";
import { readNumber, readRevision } from "./etcd-records";
import { findKeys, hasTrailer, openSnapshot } from "./snapshot-database";

/** What a snapshot says of itself and of the cluster that it is of. */
export interface SnapshotDescription {
  readonly sizeBytes: number;
  /** Whether there can be one: it is not compared here. */
  readonly hasTrailer: boolean;
  /** What the database takes. */
  readonly databaseBytes: number;
  /** Of the last change; 0 where nothing was ever written. */
  readonly revision: number;
  /** Up to where changes were compacted. */
  readonly compactRevision: number | undefined;
  readonly consistentIndex: number | undefined;
  /** From etcd 3.5 on. */
  readonly term: number | undefined;
  /** From etcd 3.6 on. */
  readonly storageVersion: string | undefined;
  readonly clusterVersion: string | undefined;
  readonly members: readonly SnapshotMember[];
  /** The ids of members that were removed. */
  readonly removedMembers: readonly string[];
  /** Whether users have to log in. */
  readonly authEnabled: boolean;
}

export interface SnapshotMember {
  /** In hex, as etcdctl shows it. */
  readonly id: string;
  /** Undefined for one that was added and never started. */
  readonly name: string | undefined;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

/** Reads what a snapshot is, with a few small reads. Says nothing of whether the rest of it is whole. */
export function describe(source: ByteSource): Promise<SnapshotDescription> {
  return refusingDamage(source, async () => {
    const database = await openSnapshot(source, SPARSE);
    return {
      sizeBytes: source.sizeBytes,
      hasTrailer: hasTrailer(source),
      ...(await describeDatabase(database)),
    };
  });
}

/** The same of a database that is open. Throws the damage. */
export async function describeDatabase(
  database: Database,
): Promise<Omit<SnapshotDescription, "sizeBytes" | "hasTrailer">> {
  const root = rootBucket(database);
  const last = await findLastKey(database, await findKeys(database));
  const [meta, cluster, auth] = [
    await findBucket(database, root, "meta"),
    await findBucket(database, root, "cluster"),
    await findBucket(database, root, "auth"),
  ];
  const value = async (bucket: Bucket | undefined, key: string): Promise<Buffer | undefined> =>
    bucket === undefined ? undefined : findValue(database, bucket, key);
  const number = async (key: string): Promise<number | undefined> => {
    const bytes = await value(meta, key);
    return bytes === undefined ? undefined : readNumber(bytes);
  };
  const compacted = await value(meta, "finishedCompactRev");
  return {
    databaseBytes: database.meta.pages * database.meta.pageSize,
    revision: last === undefined ? 0 : readRevision(last).main,
    compactRevision: compacted === undefined ? undefined : readRevision(compacted).main,
    consistentIndex: await number("consistent_index"),
    term: await number("term"),
    storageVersion: readVersion(await value(meta, "storageVersion")),
    clusterVersion: readVersion(await value(cluster, "clusterVersion")),
    members: (await readAll(database, "members")).map(([id, member]) => readMember(id, member)),
    removedMembers: (await readAll(database, "members_removed")).map(([id]) => id),
    authEnabled: (await value(auth, "authEnabled"))?.[0] === 1,
  };
}

/** More than any cluster's members take. */
const MOST_BYTES = 256 << 10;

async function readAll(database: Database, name: string): Promise<(readonly [id: string, value: Buffer])[]> {
  const bucket = await findBucket(database, rootBucket(database), name);
  const found: (readonly [string, Buffer])[] = [];
  if (bucket === undefined) return found;
  let bytes = 0;
  for await (const leaf of leavesOf(database, bucket)) {
    bytes += leaf.bytes.length;
    if (bytes > MOST_BYTES) throw new Damage("records", `its bucket ${name} is larger than any`);
    for (let index = 0; index < leaf.count; index++) {
      found.push([keyAt(leaf, index).toString(), valueAt(leaf, index)]);
    }
  }
  return found;
}

/** etcd's server/storage/schema/membership.go: JSON, under the id in hex. The id in it is too large for a number. */
function readMember(id: string, json: Buffer): SnapshotMember {
  const damaged = (): Damage => new Damage("records", "one of its members cannot be read");
  let member: unknown;
  try {
    member = JSON.parse(json.toString());
  } catch {
    throw damaged();
  }
  if (typeof member !== "object" || member === null || !/^[0-9a-f]{1,16}$/.test(id)) throw damaged();
  const { name, peerURLs, clientURLs, isLearner } = member as Record<string, unknown>;
  return {
    id,
    name: typeof name === "string" && name !== "" ? name : undefined,
    peerUrls: strings(peerURLs),
    clientUrls: strings(clientURLs),
    isLearner: isLearner === true,
  };
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((word): word is string => typeof word === "string") : [];
}

function readVersion(bytes: Buffer | undefined): string | undefined {
  const version = bytes?.toString();
  if (version === undefined || /^\d{1,9}\.\d{1,9}\.\d{1,9}[\w.+-]{0,64}$/.test(version)) return version;
  throw new Damage("records", "one of its versions cannot be read");
}
