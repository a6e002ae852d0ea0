import type { SnapshotName } from "../distribution";

/** Our names end in the time of the server when it saved; others may name theirs as they like. */
export function readSnapshotName(name: string): SnapshotName | undefined {
  if (!name.endsWith(".db")) return undefined;
  const [, seconds] = /-(\d{9,11})\.db$/.exec(name) ?? [];
  const takenAt = seconds === undefined ? undefined : new Date(Number(seconds) * 1000).toISOString();
  return { takenAt, compressed: false };
}
