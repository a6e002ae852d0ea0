import { posix } from "node:path";
import { distributionOf } from "../distributions";
import { SAFETY_PREFIX, type SavedFile, type ServerFacts } from "../distributions/distribution";
import { type Members, membersOf } from "../distributions/members";
import { BackupError } from "../errors";
import { type Cluster, formatLocation, parseLocation, type S3Settings } from "../model";
import { takeLock } from "../plan/lock";
import { directoryStore } from "../stores/directory";
import { openStore } from "../stores/open-store";
import type { SnapshotStore } from "../stores/store";
import type { ConnectedHost } from "../transport/connect";
import type { Call } from "./call";
import { allInParallel, inParallel } from "../in-parallel";
import { reachAll, type ReachedHosts, reachServer } from "./reach";
import { sendSnapshot } from "./send-snapshot";
import { rememberTaken } from "./taken-here";

export interface SnapshotRequest {
  /** Base of the file name; server and time are added. */
  readonly name: string;
  readonly s3?: S3Settings | undefined;
}

/** A snapshot that was taken and is there, verified by its SHA-256 trailer. */
export interface TakenSnapshot {
  readonly fileName: string;
  /** `s3://bucket/key`, or `file://server/path` without a store. */
  readonly location: string;
  readonly locations: readonly string[];
  readonly sizeBytes: number;
  /** SHA-256 of the whole file, in hex. */
  readonly sha256: string;
  /** As etcd's own `snapshot status` says; undefined where the server has no tool that can. */
  readonly revision?: number | undefined;
  readonly totalKeys?: number | undefined;
  readonly etcdVersion: string;
  /** The distribution's own version, where etcd is a part of something. */
  readonly distributionVersion?: string | undefined;
  /** Which server token a restore will need, never the token. */
  readonly tokenHash?: string | undefined;
  readonly server: string;
  /** ISO 8601. */
  readonly takenAt: string;
  readonly durationMs: number;
}

/** Takes a snapshot of one healthy voter, a follower if there is one, and makes sure that the store has it. */
export async function takeSnapshot(cluster: Cluster, request: SnapshotRequest, call: Call): Promise<TakenSnapshot> {
  const began = Date.now();
  const { snapshots } = distributionOf(cluster);
  call.progress.status("looking for a healthy member");
  const hosts = await reachSome(cluster);
  // What is not ours to save is refused before even the lock is written there.
  await inspectAll(cluster, hosts);
  const lock = await takeLock(cluster.name, `snapshot ${request.name}`, hosts);
  try {
    const { host, facts, members } = await chooseMember(cluster, hosts);
    refuseReserved(cluster, request.name, facts);
    call.progress.status(`${host.name}: saving a snapshot`);
    const guarded = lock.guard(host);
    const saved = await snapshots.save(guarded, facts, { cluster, members, base: request.name, s3: request.s3 });
    const locations = [formatLocation({ kind: "file", server: host.name, path: saved.path })];
    if (request.s3 !== undefined) {
      call.progress.status(`${host.name}: uploading ${saved.name}`);
      const store = openStore(request.s3, cluster.name, host);
      locations.unshift(await upload(store, host, saved, call));
    }
    rememberTaken(locations);
    return {
      fileName: saved.name,
      location: locations[0] ?? "",
      locations,
      sizeBytes: saved.sizeBytes,
      sha256: saved.sha256,
      ...(await snapshots.describe(host, facts, saved.path)),
      etcdVersion: facts.etcdVersion,
      ...(facts.version === undefined ? {} : { distributionVersion: facts.version }),
      ...(facts.tokenHash === undefined ? {} : { tokenHash: facts.tokenHash }),
      server: host.name,
      takenAt: saved.takenAt,
      durationMs: Date.now() - began,
    };
  } finally {
    await lock.release();
  }
}

/** Whether a snapshot's file is still there, in any of its locations. Throws when that cannot be told. */
export async function snapshotExists(
  cluster: Cluster,
  snapshot: TakenSnapshot,
  s3: S3Settings | undefined,
  call: Call,
): Promise<boolean> {
  call.progress.status(`looking for ${snapshot.fileName}`);
  for (const { store, name } of await storesOf(cluster, snapshot, s3)) {
    if ((await store.stat(name)) !== undefined) return true;
  }
  return false;
}

/** Deletes exactly this snapshot's files. Already gone is not an error. */
export async function deleteSnapshot(
  cluster: Cluster,
  snapshot: TakenSnapshot,
  s3: S3Settings | undefined,
  call: Call,
): Promise<void> {
  call.progress.status(`deleting ${snapshot.fileName}`);
  const hosts = await reachSome(cluster);
  const lock = await takeLock(cluster.name, `delete snapshot ${snapshot.fileName}`, hosts);
  const host = hosts.get(snapshot.server);
  try {
    if (host !== undefined)
      await distributionOf(cluster).snapshots.forget?.(lock.guard(host), cluster, snapshot.fileName);
    for (const { store, name } of await storesOf(cluster, snapshot, s3)) await store.delete(name);
  } finally {
    await lock.release();
  }
}

/** The scheduled backups prune what is named like theirs, and a restore passes over what is named like its own. */
function refuseReserved(cluster: Cluster, name: string, facts: ServerFacts): void {
  const scheduled = distributionOf(cluster).snapshots.scheduledName(facts);
  // What prunes compares beginnings, and knows no dash.
  const taken = [scheduled, SAFETY_PREFIX].find((base) => `${name}-`.startsWith(base));
  if (taken === undefined) return;
  throw new BackupError(
    "INVALID_INPUT",
    `a snapshot cannot be named ${name}: names that begin with ${taken.replace(/-$/, "")} are not yours`,
    {
      hint: `${scheduled}-… are pruned by the scheduled backups, ${SAFETY_PREFIX}… are taken by restores. Nothing was taken.`,
    },
  );
}

/** The file stays on its server: what was saved is not lost because it could not be sent. */
async function upload(store: SnapshotStore, host: ConnectedHost, saved: SavedFile, call: Call): Promise<string> {
  try {
    return formatLocation((await sendSnapshot(store, host, saved, call.progress)).location);
  } catch (error) {
    const cause =
      error instanceof BackupError ? error : new BackupError("SNAPSHOT_FAILED", String(error), { cause: error });
    throw new BackupError(cause.code, cause.message.split("\n")[0] ?? "", {
      hint: [
        `The snapshot itself was saved: ${formatLocation({ kind: "file", server: host.name, path: saved.path })}.`,
        ...(saved.uploadFailure === undefined ? [] : [`The server could not send it either: ${saved.uploadFailure}`]),
        ...(cause.hint === undefined ? [] : [cause.hint]),
      ].join("\n"),
      cause,
    });
  }
}

/** The servers that answer: a snapshot needs one, and is wanted most when others are gone. */
async function reachSome(cluster: Cluster): Promise<ReachedHosts> {
  const results = await inParallel(cluster.servers, (server) => reachServer(cluster, server));
  const hosts = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  // None answers: the error that says so for each.
  return hosts.length === 0 ? reachAll(cluster) : new Map(hosts.map((host) => [host.name, host]));
}

function inspectAll(cluster: Cluster, hosts: ReachedHosts): Promise<ServerFacts[]> {
  const distribution = distributionOf(cluster);
  return allInParallel([...hosts.values()], (host) => distribution.inspect(host, cluster));
}

async function chooseMember(
  cluster: Cluster,
  hosts: ReachedHosts,
): Promise<{ host: ConnectedHost; facts: ServerFacts; members: Members }> {
  const servers = await inspectAll(cluster, hosts);
  const members = membersOf(cluster, servers, hosts);
  const status = await members.look();
  const rank = (facts: ServerFacts): number => {
    const look = status.get(facts.server);
    if (look === undefined || look.isLearner || look.leaderId === "0") return 0;
    return look.memberId === look.leaderId ? 1 : 2;
  };
  const facts = [...servers].sort((a, b) => rank(b) - rank(a))[0];
  const host = facts === undefined ? undefined : hosts.get(facts.server);
  if (facts !== undefined && host !== undefined && rank(facts) > 0) return { host, facts, members };
  throw new BackupError(
    "CLUSTER_UNHEALTHY",
    `no member of ${cluster.name} can be saved: none is a voter that knows a leader`,
    {
      hint: `Asked ${servers.map((server) => server.server).join(", ")}. Look with \`etcdctl endpoint status --cluster\`.`,
    },
  );
}

async function storesOf(
  cluster: Cluster,
  snapshot: TakenSnapshot,
  s3: S3Settings | undefined,
): Promise<{ store: SnapshotStore; name: string }[]> {
  const stores: { store: SnapshotStore; name: string }[] = [];
  for (const location of snapshot.locations.map(parseLocation)) {
    if (location?.kind === "s3" && s3 !== undefined) {
      const folder = location.key.slice(0, Math.max(location.key.lastIndexOf("/"), 0));
      const lender =
        s3.accessKeyId === undefined && s3.profile === undefined
          ? [...(await reachSome(cluster)).values()][0]
          : undefined;
      stores.push({
        store: openStore({ ...s3, bucket: location.bucket, folder }, cluster.name, lender),
        name: snapshot.fileName,
      });
    }
    if (location?.kind === "file") {
      const server = cluster.servers.find((one) => one.name === location.server);
      if (server === undefined) continue;
      const hosts = new Map([[server.name, await reachServer(cluster, server)]]);
      stores.push({
        store: directoryStore(hosts, server.name, posix.dirname(location.path)),
        name: snapshot.fileName,
      });
    }
  }
  return stores;
}
