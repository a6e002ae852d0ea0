import type { Cluster, S3Settings } from "../model";
import type { Call } from "./call";

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
  readonly revision: number;
  readonly totalKeys: number;
  readonly etcdVersion: string;
  readonly server: string;
  /** ISO 8601. */
  readonly takenAt: string;
  readonly durationMs: number;
}

/** Takes a snapshot and makes sure that the store has it. */
export function takeSnapshot(cluster: Cluster, request: SnapshotRequest, call: Call): Promise<TakenSnapshot> {
  throw new Error(`not built yet: ${[cluster, request, call].length}`);
}

/** Whether a snapshot's file is still there, in any of its locations. Throws when that cannot be told. */
export function snapshotExists(
  cluster: Cluster,
  snapshot: TakenSnapshot,
  s3: S3Settings | undefined,
  call: Call,
): Promise<boolean> {
  throw new Error(`not built yet: ${[cluster, snapshot, s3, call].length}`);
}

/** Deletes exactly this snapshot's files. Already gone is not an error. */
export function deleteSnapshot(
  cluster: Cluster,
  snapshot: TakenSnapshot,
  s3: S3Settings | undefined,
  call: Call,
): Promise<void> {
  throw new Error(`not built yet: ${[cluster, snapshot, s3, call].length}`);
}
