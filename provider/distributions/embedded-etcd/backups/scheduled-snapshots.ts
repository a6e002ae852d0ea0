import type { EmbeddedFacts } from "../facts";
import { readSnapshotName, scheduledName } from "../snapshots/snapshot-name";
import { overdue } from "../../overdue";
import { presentDropIn } from "./backup-drift";

/** When a server last took a scheduled snapshot, by what lies in its snapshot directory. */
export function lastScheduledAt(facts: EmbeddedFacts): string | undefined {
  return facts.snapshots
    .filter(({ sizeBytes }) => sizeBytes > 0)
    .flatMap(({ name }) => scheduledAt(facts, name) ?? [])
    .sort()
    .at(-1);
}

/** Says since when a scheduled snapshot is overdue; undefined when none is. */
export function staleSince(schedule: string, facts: EmbeddedFacts): string | undefined {
  return overdue(schedule, {
    last: lastScheduledAt(facts),
    // The wait began when the schedule came into force.
    since: Math.max(facts.startedAt ?? 0, presentDropIn(facts)?.changedAt ?? 0) * 1000,
    now: facts.clock * 1000,
  });
}

/** What an ETCDSnapshotFile says, as far as it is asked. */
interface SnapshotObject {
  readonly spec?: { readonly snapshotName?: string; readonly nodeName?: string };
  readonly status?: { readonly error?: { readonly message?: string } };
}

/** Why the newest scheduled snapshot of this server failed, by the list that Kubernetes keeps; undefined when it did not. */
export function lastFailure(facts: EmbeddedFacts, json: string): string | undefined {
  const { items = [] } = JSON.parse(json) as { readonly items?: readonly SnapshotObject[] };
  const known = items.flatMap(({ spec, status }) => {
    const at = scheduledAt(facts, spec?.snapshotName ?? "");
    return at === undefined ? [] : [{ at, where: spec?.nodeName, error: status?.error?.message }];
  });
  const newest = [...known.map(({ at }) => at), lastScheduledAt(facts) ?? ""].sort().at(-1);
  const failed = known.find(({ at, error }) => at === newest && error !== undefined);
  if (failed === undefined) return undefined;
  const what = failed.where === "s3" ? "did not reach S3" : "failed";
  return `the scheduled snapshot of ${failed.at} ${what}: ${failed.error ?? ""}`;
}

/** The time in the name of a scheduled snapshot of this server; undefined for any other file. */
function scheduledAt(facts: EmbeddedFacts, name: string): string | undefined {
  const prefix = `${scheduledName(facts)}-${facts.nodeName}-`;
  return name.startsWith(prefix) && /^\d+(\.zip)?$/.test(name.slice(prefix.length))
    ? readSnapshotName(name)?.takenAt
    : undefined;
}
