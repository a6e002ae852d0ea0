import { createHash } from "node:crypto";
import type { Cluster } from "../model";
import type { RestoreReport, RestoreRequest } from "./restore";

/** What lies on every server after a restore, outside etcd's data: which one was the last, and what it did. */
export interface RestoreMarker {
  readonly identity: string;
  /** What was asked for, `latest` included. */
  readonly requested: string;
  readonly triggers: string;
  readonly report: RestoreReport;
}

/** Names a restore: the same cluster, snapshot and triggers are the same restore. */
export function restoreIdentity(cluster: Cluster, location: string, triggers: readonly unknown[]): string {
  return createHash("sha256")
    .update(JSON.stringify([cluster.name, location, triggers]))
    .digest("hex")
    .slice(0, 16);
}

export function triggersKey(request: RestoreRequest): string {
  return JSON.stringify(request.triggers);
}

/** The last completed restore that the servers remember; undefined when none does. */
export function readMarker(texts: readonly string[]): RestoreMarker | undefined {
  const markers = texts.flatMap((text): RestoreMarker[] => {
    if (text.trim() === "") return [];
    const marker: unknown = JSON.parse(text);
    return isMarker(marker) ? [marker] : [];
  });
  return markers.sort((a, b) => b.report.restoredAt.localeCompare(a.report.restoredAt))[0];
}

/**
 * Whether the last completed restore is the one asked for. `latest` asked for again with the same triggers counts as
 * done even when there is a newer snapshot now: a lost state file must never restore.
 */
export function isDone(
  marker: RestoreMarker | undefined,
  request: RestoreRequest,
  identity: string | undefined,
): marker is RestoreMarker {
  if (marker === undefined) return false;
  if (identity !== undefined) return marker.identity === identity;
  return marker.requested === request.snapshot && marker.triggers === triggersKey(request);
}

function isMarker(value: unknown): value is RestoreMarker {
  return typeof value === "object" && value !== null && "identity" in value && "report" in value;
}
