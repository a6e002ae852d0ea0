import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { removeControlGroup } from "./control-group";
import { isForgotten } from "./lab-record";
import { removeNetwork } from "./network";
import { finish, run } from "./process";
import { waitFor } from "./wait";

/** Ends and removes all of a lab, from nothing but its directory's name. Repeating it is success, also two at once. */
export async function removeLab(directory: string): Promise<void> {
  const id = basename(directory);
  await removeControlGroup(id);
  // A mount is busy for as long as the kernel clears away the machine that used it.
  await waitFor(`the mounts of lab ${id} are gone`, () => unmountBelow(directory), { deadlineMs: 30_000 });
  await removeNetwork(id, directory);
  await run("rm", ["-rf", "--one-file-system", directory]);
}

/** Removes every lab whose process ended without doing so. */
export async function removeDeadLabs(cache: string): Promise<void> {
  const labs = join(cache, "labs");
  if (!existsSync(labs)) return;
  for (const directory of readdirSync(labs).map((id) => join(labs, id))) {
    if (isForgotten(directory)) await removeLab(directory);
  }
}

async function unmountBelow(directory: string): Promise<true | undefined> {
  const mounted = mountsBelow(directory);
  // The innermost first.
  for (const path of mounted.toReversed()) await finish("umount", [path]);
  return mountsBelow(directory).length === 0 ? true : undefined;
}

export function mountsBelow(directory: string): readonly string[] {
  const paths = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "");
  return paths.filter((path) => path.startsWith(`${directory}/`));
}
