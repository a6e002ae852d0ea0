import { toOnCalendar } from "./cron";
import type { BackupFacts } from "./facts";
import { configDirectory, lastWordPath } from "./places";
import type { BackupFile } from "./units";

/**
 * Drop-ins of ours that systemd reads after all others: for units of ours that somebody's drop-in overrides.
 * That one is not ours to edit; and none of ours is needed as long as there is no other.
 */
export function lastWord(cluster: string, schedule: string, backups: BackupFacts): readonly BackupFile[] {
  const times = toOnCalendar(schedule).map((line) => `OnCalendar=${line}\n`);
  const both = [
    {
      kind: "timer",
      content: `[Timer]\nOnCalendar=\n${times.join("")}`,
      overridden: !sameLines(backups.calendar, backups.declaredCalendar),
    },
    {
      kind: "service",
      content: `[Service]\nExecStart=\nExecStart=${declaredCommand(cluster)}\n`,
      overridden: !sameLines(backups.commands, [declaredCommand(cluster)]),
    },
  ] as const;
  return both.flatMap(({ kind, content, overridden }) => {
    const path = lastWordPath(cluster, kind);
    const isThere = backups.files.some((file) => file.path === path);
    const isNeeded = overridden && othersDropIns(cluster, kind, backups).length > 0;
    return isThere || isNeeded ? [{ path, content, mode: 0o644, secret: false }] : [];
  });
}

/** What our service runs, as systemd shows it. */
export function declaredCommand(cluster: string): string {
  const folder = configDirectory(cluster);
  return `/bin/sh ${folder}/save.sh ${folder}/settings`;
}

/** Somebody else's drop-ins of our timer or our service; also those for all timers or services. */
export function othersDropIns(cluster: string, kind: "timer" | "service", backups: BackupFacts): readonly string[] {
  return backups.dropIns.filter((path) => path.includes(`${kind}.d/`) && path !== lastWordPath(cluster, kind));
}

/** Whether both say the same, in whatever order. */
export function sameLines(some: readonly string[], others: readonly string[]): boolean {
  return [...some].sort().join("\n") === [...others].sort().join("\n");
}
