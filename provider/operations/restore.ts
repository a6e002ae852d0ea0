import { BackupError } from "../errors";
import type { Cluster, S3Settings } from "../model";
import { takeLock } from "../plan/lock";
import type { Call } from "./call";
import { findSnapshot, type FoundSnapshot } from "./find-snapshot";
import { type ClusterLook, lookAtCluster } from "./look-at-cluster";
import { reachServer, type ReachedHosts } from "./reach";
import { refuseFindings } from "./restore-findings";
import { isDone, restoreIdentity } from "./restore-identity";
import { runRestore } from "./run-restore";
import { refuseTakenHere } from "./taken-here";

export interface RestoreRequest {
  /** A location, a file name, or `latest`. */
  readonly snapshot: string;
  readonly s3?: S3Settings | undefined;
  readonly triggers: readonly unknown[];
  readonly safetySnapshot: boolean;
  readonly bumpRevision: boolean;
  /** The server token that the snapshot was taken with, where the servers have another or none. */
  readonly token?: string | undefined;
  /** Codes of findings that are overruled. */
  readonly accept?: readonly string[] | undefined;
}

/** What a restore did. */
export interface RestoreReport {
  readonly restoredAt: string;
  readonly restored: { readonly location: string; readonly sizeBytes: number; readonly takenAt: string };
  readonly revisionBefore?: number | undefined;
  readonly revisionAfter: number;
  /** Locations of the snapshots that living members took first. */
  readonly safetySnapshots: readonly string[];
  readonly members: readonly { readonly name: string; readonly id: string; readonly peerUrls: readonly string[] }[];
  /** Where the old data lies, `server:path`. */
  readonly setAside: readonly string[];
  readonly steps: readonly { readonly id: string; readonly title: string; readonly durationMs: number }[];
  readonly durationMs: number;
  readonly report: string;
}

/**
 * Brings the cluster back to a snapshot, once: a restore that this cluster completed last is reported, not repeated;
 * one that was interrupted goes on.
 * Throws RESTORE_ABANDONED when every server is as it was, RESTORE_INTERRUPTED when only the next attempt can finish it.
 */
export async function restoreSnapshot(cluster: Cluster, request: RestoreRequest, call: Call): Promise<RestoreReport> {
  if (request.snapshot.trim() === "") {
    throw new BackupError("INVALID_INPUT", "snapshot is empty", {
      hint: "Name a snapshot, or leave it out: then nothing is restored.",
    });
  }
  call.progress.status("looking at the cluster");
  // Looked at before the lock is taken, because taking it is a change: what is done already must change nothing.
  const look = await lookAtCluster(cluster);
  const first = look.open === undefined ? await lookForDone(cluster, request, look) : undefined;
  if (first?.done !== undefined) return first.done;
  const hosts = await participants(cluster, look.hosts);
  const lock = await takeLock(cluster.name, `restore ${request.snapshot}`, hosts);
  try {
    const guarded = new Map([...hosts].map(([name, host]) => [name, lock.guard(host)]));
    return await runRestore({ cluster, request, call, hosts: guarded, snapshot: first?.snapshot });
  } finally {
    await lock.release();
  }
}

interface FirstLook {
  /** The report of this very restore, when it is the last that was done. */
  readonly done?: RestoreReport;
  /** What is to be restored otherwise: nothing was found against it. */
  readonly snapshot?: FoundSnapshot;
}

async function lookForDone(cluster: Cluster, request: RestoreRequest, look: ClusterLook): Promise<FirstLook> {
  if (request.snapshot === "latest" && isDone(look.marker, request, undefined)) return { done: look.marker.report };
  const snapshot = await findSnapshot(cluster, request.snapshot, request.s3, look);
  refuseTakenHere(snapshot.title);
  const identity = restoreIdentity(cluster, snapshot.title, request.triggers);
  if (isDone(look.marker, request, identity)) return { done: look.marker.report };
  await refuseFindings(cluster, look, snapshot, request);
  return { snapshot };
}

/** The servers, and the machines whose API servers stop and start with them. */
async function participants(cluster: Cluster, hosts: ReachedHosts): Promise<ReachedHosts> {
  const all = new Map(hosts);
  for (const server of cluster.apiServers ?? []) {
    if (!all.has(server.name)) all.set(server.name, await reachServer(cluster, server));
  }
  return all;
}
