import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DaemonOptions, type ProcessMark, startDaemon } from "./process";
import { waitFor } from "./wait";

/**
 * The processes of one lab, kept together by the kernel: what a lab started, and all that this started, is in its group.
 * So ending a lab ends exactly its own, also after its pids are forgotten.
 */
export interface ControlGroup {
  /** Wraps a command so that it, and all that it starts, runs in the part of the group that belongs to `name`. */
  wrap(name: string, command: string, words: readonly string[]): readonly [string, readonly string[]];
  /** Starts a daemon there. It outlives this process. */
  start(name: string, command: string, words: readonly string[], options: DaemonOptions): ProcessMark;
  /** The processes that run there. */
  processes(name: string): readonly number[];
  /** Ends them all with SIGKILL. */
  kill(name: string): void;
}

export function openControlGroup(labId: string): ControlGroup {
  const folder = (name: string): string => join(unified(), groupName(labId), name);
  const group: ControlGroup = {
    wrap: (name, command, words) => {
      const folders = hierarchies().map((hierarchy) => join(hierarchy, groupName(labId), name));
      for (const path of folders) mkdirSync(path, { recursive: true });
      const enter = 'for folder in $1; do echo $$ >"$folder/cgroup.procs" || exit 125; done; shift; exec "$@"';
      return ["/bin/sh", ["-c", enter, "sh", folders.join(" "), command, ...words]];
    },
    start: (name, command, words, options) => startDaemon(...group.wrap(name, command, words), options),
    processes: (name) => {
      const path = join(folder(name), "cgroup.procs");
      return existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean).map(Number) : [];
    },
    kill: (name) => {
      const path = join(folder(name), "cgroup.kill");
      if (existsSync(path)) writeFileSync(path, "1");
    },
  };
  return group;
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
