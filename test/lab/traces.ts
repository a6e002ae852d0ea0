import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { mountsBelow } from "./remove-lab";

/** Everything on this machine that belongs to a lab, by kind: nothing, when it is gone. */
export function tracesOf(directory: string): readonly string[] {
  const id = basename(directory);
  return [
    ...mountsBelow(directory).map((path) => `mount ${path}`),
    ...readdirSync("/sys/class/net").flatMap((name) => (name.includes(id) ? [`network link ${name}`] : [])),
    ...readdirSync("/proc").flatMap((pid) =>
      /^\d+$/.test(pid) && commandOf(pid).includes(directory) ? [`process ${pid} ${commandOf(pid)}`] : [],
    ),
    ...["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"].flatMap((hierarchy) =>
      existsSync(hierarchy)
        ? readdirSync(hierarchy).flatMap((name) =>
            name.includes(id) ? [`control group ${join(hierarchy, name)}`] : [],
          )
        : [],
    ),
    ...(existsSync(directory) ? [`directory ${directory}`] : []),
  ];
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}
