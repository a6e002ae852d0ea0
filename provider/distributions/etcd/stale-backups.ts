import { parseBackupStatus } from "./backup-status";
import { expectedInterval } from "./cron";
import type { EtcdFacts } from "./facts";

/** A run may be late: the timer's own delay, the save, the upload. */
const GRACE_MS = 15 * 60_000;

/** Says since when a snapshot is overdue; undefined when none is. A learner saves nothing, and owes nothing. */
export function staleSince(schedule: string, facts: EtcdFacts): string | undefined {
  const status = parseBackupStatus(facts.backups.status);
  if (status?.step === "learner") return undefined;
  const last = status?.lastSuccessAt ?? undefined;
  // Before the first run, the wait began when the backups were configured.
  const configured = Math.max(...facts.backups.files.map((file) => file.changedAt * 1000));
  const due = Math.max(last === undefined ? 0 : Date.parse(last), configured) + expectedInterval(schedule) + GRACE_MS;
  if (facts.clock * 1000 <= due) return undefined;
  return `schedule: the newest snapshot is of ${last ?? "never"}, one was due by ${new Date(due).toISOString()}`;
}
