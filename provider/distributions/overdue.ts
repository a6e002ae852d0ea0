import { expectedInterval } from "./etcd/cron";

/** A run may be late: a delay of the timer's, the save, the upload. */
const GRACE_MS = 15 * 60_000;

interface Waiting {
  /** The newest scheduled snapshot, ISO 8601; undefined when there is none. */
  readonly last: string | undefined;
  /** Since when the schedule has been in force, milliseconds since the epoch. */
  readonly since: number;
  /** By the server's clock, milliseconds since the epoch. */
  readonly now: number;
}

/** Says since when a snapshot is overdue; undefined when none is. */
export function overdue(schedule: string, { last, since, now }: Waiting): string | undefined {
  const due = Math.max(last === undefined ? 0 : Date.parse(last), since) + expectedInterval(schedule) + GRACE_MS;
  if (now <= due) return undefined;
  return `schedule: the newest snapshot is of ${last ?? "never"}, one was due by ${new Date(due).toISOString()}`;
}
