import { posix } from "node:path";
import { BackupError, hasCode } from "../errors";
import { type Cluster, formatLocation, parseLocation, type S3Settings, type SnapshotFile } from "../model";
import { distributionOf } from "../distributions";
import { SAFETY_PREFIX, type ServerFacts, type Snapshots } from "../distributions/distribution";
import { directoryStore } from "../stores/directory";
import { openStore } from "../stores/open-store";
import { namesThere } from "../stores/snapshot-name";
import type { SnapshotStore } from "../stores/store";
import type { Host } from "../transport/host";
import type { ClusterLook } from "./look-at-cluster";
import type { ReachedHosts } from "./reach";

/** A snapshot that is where it was looked for, and as far as can be told without reading it all, whole. */
export interface FoundSnapshot {
  readonly file: SnapshotFile;
  readonly title: string;
  /** Copies it onto one of the cluster's servers. */
  fetch(host: Host, path: string): Promise<void>;
}

/** Finds what a restore names: a location, a file name, or `latest`. Rejects with SNAPSHOT_NOT_FOUND, saying what there is. */
export async function findSnapshot(
  cluster: Cluster,
  wanted: string,
  s3: S3Settings | undefined,
  { hosts, servers }: Pick<ClusterLook, "hosts" | "servers">,
): Promise<FoundSnapshot> {
  const [someHost] = hosts.values();
  const { snapshots } = distributionOf(cluster);
  const readName: ReadName = (name) => snapshots.readName(name);
  const location = parseLocation(wanted);
  if (location?.kind === "file") {
    return inStore(
      directoryStore(hosts, location.server, posix.dirname(location.path)),
      posix.basename(location.path),
      readName,
    );
  }
  if (location?.kind === "s3") {
    const slash = location.key.lastIndexOf("/");
    const settings: S3Settings = {
      ...s3,
      bucket: location.bucket,
      folder: slash < 0 ? "" : location.key.slice(0, slash),
    };
    return inStore(openStore(settings, cluster.name, someHost), location.key.slice(slash + 1), readName);
  }
  const stores = s3 === undefined ? localStores(cluster, hosts, servers) : [openStore(s3, cluster.name, someHost)];
  return wanted === "latest" ? latest(stores, readName) : firstWith(stores, wanted, readName);
}

/** The directories in which the servers keep this cluster's snapshots: where we put them, and where their backups do. */
function localStores(cluster: Cluster, hosts: ReachedHosts, servers: readonly ServerFacts[]): SnapshotStore[] {
  const { snapshots } = distributionOf(cluster);
  return servers.flatMap((facts) =>
    snapshots.directories(cluster, facts).map((directory) => directoryStore(hosts, facts.server, directory)),
  );
}

async function inStore(store: SnapshotStore, name: string, readName: ReadName): Promise<FoundSnapshot> {
  const file = await store.stat(name);
  if (file === undefined) {
    const names = (await store.list()).map((other) => other.name);
    throw new BackupError("SNAPSHOT_NOT_FOUND", `no snapshot named ${name} in ${store.title}`, {
      hint: namesThere(names),
    });
  }
  return found(store, file, readName);
}

async function firstWith(stores: readonly SnapshotStore[], name: string, readName: ReadName): Promise<FoundSnapshot> {
  const results = await Promise.all(stores.map(async (store) => ({ store, file: await store.stat(name) })));
  for (const { store, file } of results) if (file !== undefined) return found(store, file, readName);
  const names = (await Promise.all(stores.map((store) => store.list()))).flat().map((file) => file.name);
  throw new BackupError(
    "SNAPSHOT_NOT_FOUND",
    `no snapshot named ${name} in ${stores.map((store) => store.title).join(", ")}`,
    {
      hint: namesThere(names),
    },
  );
}

/** The newest one that is whole; what a restore saved of the data it replaced is never meant. */
async function latest(stores: readonly SnapshotStore[], readName: ReadName): Promise<FoundSnapshot> {
  const listed = await Promise.all(stores.map(async (store) => (await store.list()).map((file) => ({ store, file }))));
  const candidates = listed
    .flat()
    .filter(({ file }) => readName(file.name) !== undefined && !file.name.startsWith(SAFETY_PREFIX))
    // An older one may have been copied there later.
    .sort((a, b) => takenAt(b.file, readName).localeCompare(takenAt(a.file, readName)));
  for (const { store, file } of candidates) {
    try {
      const verified = await store.stat(file.name);
      if (verified !== undefined) return found(store, verified, readName);
    } catch (error) {
      // A newer snapshot that is not whole is not the latest: the plan names the one that is.
      if (!hasCode(error, "SNAPSHOT_CORRUPT")) throw error;
    }
  }
  throw new BackupError("SNAPSHOT_NOT_FOUND", `no whole snapshot in ${stores.map((store) => store.title).join(", ")}`, {
    hint: namesThere(candidates.map(({ file }) => file.name)),
  });
}

function found(store: SnapshotStore, file: SnapshotFile, readName: ReadName): FoundSnapshot {
  if (readName(file.name)?.compressed !== true) refuseIncomplete(file);
  return {
    file: { ...file, takenAt: takenAt(file, readName) },
    title: formatLocation(file.location),
    fetch: (host, path) => store.fetch(host, file.name, path),
  };
}

type ReadName = Snapshots["readName"];

/** A name tells the time of the server when it saved; a store knows only when it was given the file. */
function takenAt(file: SnapshotFile, readName: ReadName): string {
  return readName(file.name)?.takenAt ?? file.takenAt;
}

/** What the size alone tells: a database of whole pages, and 32 bytes of SHA-256. */
function refuseIncomplete(file: SnapshotFile): void {
  if (file.sizeBytes > 0 && file.sizeBytes % 512 === 32) return;
  throw new BackupError(
    "SNAPSHOT_CORRUPT",
    file.sizeBytes === 0
      ? `${formatLocation(file.location)} is empty`
      : `${formatLocation(file.location)} has no SHA-256 trailer (${file.sizeBytes} bytes): it was cut off, or is not a snapshot`,
    { hint: "Name another snapshot. Nothing was touched." },
  );
}
