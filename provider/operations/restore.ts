import type { Cluster, S3Settings } from "../model";
import type { Call } from "./call";

export interface RestoreRequest {
  /** A location, a file name, or `latest`. */
  readonly snapshot: string;
  readonly s3?: S3Settings | undefined;
  readonly triggers: readonly unknown[];
  readonly safetySnapshot: boolean;
  readonly bumpRevision: boolean;
}

/** What a restore would do, in words; and what stands in its way. */
export interface RestorePreview {
  /** The snapshot's resolved location. */
  readonly snapshot: string;
  /** The plan, a line each, for people. */
  readonly lines: readonly string[];
  /** Why it would be refused, a line each; empty when it would run. */
  readonly refusals: readonly string[];
  /** True when this very restore is already done: applying would do nothing. */
  readonly done: boolean;
}

/** What a restore did. */
export interface RestoreReport {
  readonly restoredAt: string;
  readonly restored: {
    readonly location: string;
    readonly sizeBytes: number;
    readonly sha256: string;
    readonly takenAt: string;
  };
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

/** Looks, and says what a restore would do. Changes nothing. */
export function previewRestore(cluster: Cluster, request: RestoreRequest, call: Call): Promise<RestorePreview> {
  throw new Error(`not built yet: ${[cluster, request, call].length}`);
}

/**
 * Brings the cluster back to a snapshot, once: a restore that this cluster completed last is reported, not repeated;
 * one that was interrupted goes on.
 * Throws RESTORE_ABANDONED when every server is as it was, RESTORE_INTERRUPTED when only the next attempt can finish it.
 */
export function restoreSnapshot(cluster: Cluster, request: RestoreRequest, call: Call): Promise<RestoreReport> {
  throw new Error(`not built yet: ${[cluster, request, call].length}`);
}
