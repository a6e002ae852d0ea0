import { distributionOf } from "../distributions";
import { BackupError } from "../errors";
import type { Cluster, S3Settings, SnapshotFile } from "../model";
import type { SnapshotStore } from "../stores/store";
import type { LookedAt } from "./refuse-backups";

// Resources of one update share a process: what it configures for one cluster is not another's.
const owners = new Map<string, string>();

/** Rejects a folder that another cluster of this update keeps its snapshots in: retention counts all that lies there. */
export function refuseTakenFolder(cluster: Cluster, { endpoint, bucket, folder = cluster.name }: S3Settings): void {
  const place = JSON.stringify([endpoint, bucket, folder]);
  const owner = owners.get(place) ?? cluster.name;
  owners.set(place, owner);
  if (owner === cluster.name) return;
  throw shared(`s3://${bucket}/${folder} is the folder of two clusters, ${owner} and ${cluster.name}`);
}

/** The newest tell whose folder it is. */
const ASKED = 3;

/** Rejects a folder whose newest snapshots say that they are another cluster's. */
export async function refuseForeignFolder(
  cluster: Cluster,
  store: SnapshotStore,
  listed: readonly SnapshotFile[],
  { host, facts }: LookedAt,
): Promise<void> {
  const { snapshots } = distributionOf(cluster);
  const newest = listed.filter(({ name }) => snapshots.readName(name) !== undefined).slice(0, ASKED);
  if (snapshots.objectOwner === undefined || newest.length === 0) return;
  const own = await snapshots.clusterId?.(host, facts);
  if (own === undefined) return;
  // One that is broken says nothing of itself.
  const files = await Promise.all(newest.map(({ name }) => store.stat(name).catch(() => undefined)));
  for (const file of files) {
    const owner = file === undefined ? undefined : snapshots.objectOwner(file);
    if (file === undefined || owner === undefined || owner.clusterId === own) continue;
    const theirs = `${file.name} is of the cluster ${owner.clusterId}, server ${owner.server ?? "unknown"}`;
    throw shared(`${store.title} has another cluster's snapshots: ${theirs}; ${cluster.name} is ${own}`);
  }
}

function shared(what: string): BackupError {
  return new BackupError("SHARED_FOLDER", what, {
    hint: "Each would delete the other's: give `s3.folder` a name of its own, or move what is there away. Nothing was changed on any server.",
  });
}
