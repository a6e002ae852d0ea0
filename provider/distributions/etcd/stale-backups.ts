import { overdue } from "../overdue";
import { parseBackupStatus } from "./backup-status";
import type { EtcdFacts } from "./facts";

/** Says since when a snapshot is overdue; undefined when none is. A learner saves nothing, and owes nothing. */
export function staleSince(schedule: string, facts: EtcdFacts): string | undefined {
  const status = parseBackupStatus(facts.backups.status);
  if (status?.step === "learner") return undefined;
  return overdue(schedule, {
    last: status?.lastSuccessAt ?? undefined,
    // Before the first run, the wait began when the backups were configured.
    since: Math.max(...facts.backups.files.map((file) => file.changedAt * 1000)),
    now: facts.clock * 1000,
  });
}
