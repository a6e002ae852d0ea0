import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DaemonOptions, type ProcessMark, startDaemon } from "./process";
import { waitFor } from "./wait";

/**
 * The processes of one lab, kept together by the kernel: what a lab started, and all that this started, is in its group.
 * So ending a lab ends exactly its own, also after its pids are forgotten.
 */
export interface ControlGroup {
  /** Starts a daemon in the part of the group that belongs to `name`. It outlives this process. */
  start(name: string, command: string, words: readonly string[], options: DaemonOptions): ProcessMark;
}

export function openControlGroup(labId: string): ControlGroup {
  return {
    start: (name, command, words, options) => {
      const folders = hierarchies().map((hierarchy) => join(hierarchy, groupName(labId), name));
      for (const folder of folders) mkdirSync(folder, { recursive: true });
      const enter = 'for folder in $1; do echo $$ >"$folder/cgroup.procs" || exit 125; done; shift; exec "$@"';
      return startDaemon("/bin/sh", ["-c", enter, "sh", folders.join(" "), command, ...words], options);
    },
  };
}

/** Ends every process of the lab and removes its group. Nothing to do is success. */
export async function removeControlGroup(labId: string): Promise<void> {
  const kill = join(unified(), groupName(labId), "cgroup.kill");
  if (existsSync(kill)) writeFileSync(kill, "1");
  for (const hierarchy of hierarchies()) {
    const folder = join(hierarchy, groupName(labId));
    await waitFor(`the processes of lab ${labId} have ended`, () => removeFolders(folder), { deadlineMs: 30_000 });
  }
}

function groupName(labId: string): string {
  return `pulumi-etcd-backup-${labId}`;
}

/** The kernel's own files in them cannot be removed one by one: only the folders, the innermost first. */
function removeFolders(folder: string): true {
  if (!existsSync(folder)) return true;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeFolders(join(folder, entry.name));
  }
  rmdirSync(folder);
  return true;
}

/** The unified hierarchy, and beside it systemd's own where the machine still has version 1: a machine's systemd uses either. */
function hierarchies(): readonly string[] {
  return [unified(), "/sys/fs/cgroup/systemd"].filter((path) => existsSync(join(path, "cgroup.procs")));
}

function unified(): string {
  const found = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].find((path) =>
    existsSync(join(path, "cgroup.controllers")),
  );
  if (found === undefined)
    throw new Error("the lab needs control groups version 2, mounted on /sys/fs/cgroup or /sys/fs/cgroup/unified");
  return found;
}
