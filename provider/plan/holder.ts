import { readFileSync, readlinkSync } from "node:fs";
import { hostname, userInfo } from "node:os";

/** Who holds a lock, in one line: `user@machine pid start`. The start time tells a process from a later one with its number. */
export function thisProcess(): string {
  return `${userInfo().username}@${hostname()} ${process.pid} ${startTime(process.pid) ?? "-"}`;
}

/** For people. */
export function describeHolder(holder: string): string {
  const [who = "somebody", pid] = holder.split(" ");
  return pid === undefined ? who : `${who} (process ${pid})`;
}

/** True only when the holder ran on this machine, since its last boot, and certainly runs no more. */
export function isDead(holder: string): boolean {
  const [who = "", pid = "", start = ""] = holder.split(" ");
  const own = startTime(process.pid);
  if (own === undefined || !who.endsWith(`@${hostname()}`) || !/^\d+$/.test(pid)) return false;
  const world = (time: string): string => time.slice(0, time.lastIndexOf(":"));
  return world(start) === world(own) && startTime(Number(pid)) !== start;
}

/** When a process began: boot, process namespace and clock ticks. Undefined when it is not there, or the system has no /proc. */
function startTime(pid: number): string | undefined {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const namespace = readlinkSync("/proc/self/ns/pid");
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command's name, in parentheses, may itself hold spaces; the 22nd field is the 20th behind it.
    const ticks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return ticks === undefined ? undefined : `${boot}:${namespace}:${ticks}`;
  } catch {
    return undefined;
  }
}
