import { createHash } from "node:crypto";
import { BackupError } from "../errors";
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

/**
 * The last completed restore that the servers remember; undefined when none does. What cannot be read is no answer: a
 * restore that was done must not be done again because its record was damaged.
 */
export function readMarker(texts: readonly string[]): RestoreMarker | undefined {
  const written = texts.filter((text) => text.trim() !== "");
  const markers = written.flatMap(parseMarker);
  if (markers.length === 0 && written.length > 0) {
    throw new BackupError("RESTORE_IN_PROGRESS", "the record of the last restore cannot be read on any server", {
      hint: "Look at restored.json in /var/lib/etcd-backup/<cluster> on each server. Where nothing is to be kept of it, remove it.",
    });
  }
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

/** What stays on record when a later restore put its data in place, and was not completed: no restore is done now. */
export function outdated(marker: RestoreMarker): RestoreMarker {
  return { identity: "", requested: "", triggers: "", report: marker.report };
}

function parseMarker(text: string): RestoreMarker[] {
  try {
    const marker: unknown = JSON.parse(text);
    return typeof marker === "object" && marker !== null && "identity" in marker && "report" in marker
      ? [marker as RestoreMarker]
      : [];
  } catch {
    return [];
  }
}
