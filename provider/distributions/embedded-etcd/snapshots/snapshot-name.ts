import type { SnapshotName } from "../../distribution";

/** `<name>-<node>-<seconds>`, `.zip` when compressed. A part of a file is not a snapshot. */
export function readSnapshotName(name: string): SnapshotName | undefined {
  const [, seconds, zip] = /^.+-(\d{9,11})(\.zip)?$/.exec(name) ?? [];
  if (seconds === undefined) return undefined;
  return { takenAt: new Date(Number(seconds) * 1000).toISOString(), compressed: zip !== undefined };
}
