import type { SnapshotName } from "../../distribution";
import type { EmbeddedFacts } from "../facts";
import { setting } from "../settings/config-files";

/** `<name>-<node>-<seconds>`, `.zip` when compressed. A part of a file is not a snapshot. */
export function readSnapshotName(name: string): SnapshotName | undefined {
  const [, seconds, zip] = /^.+-(\d{9,11})(\.zip)?$/.exec(name) ?? [];
  if (seconds === undefined) return undefined;
  return { takenAt: new Date(Number(seconds) * 1000).toISOString(), compressed: zip !== undefined };
}

/** The base of the names that the scheduled snapshots have on a server, and are pruned by. */
export function scheduledName({ settings }: Pick<EmbeddedFacts, "settings">): string {
  return setting(settings, "etcd-snapshot-name") ?? "etcd-snapshot";
}
