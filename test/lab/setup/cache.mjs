// What the lab needs and takes long to make, outside the checkout, each in a directory named after all that it was made from.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

export const cacheDirectory = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "pulumi-etcd-backup");

const unfinished = "unfinished-";

/** The directory `name-<hash of the recipe>`, made by `build` unless it is there: whole or not at all. */
export async function provide(name, recipe, build) {
  const hash = createHash("sha256")
    .update(JSON.stringify([process.arch, recipe]))
    .digest("hex");
  const directory = join(cacheDirectory, `${name}-${hash.slice(0, 12)}`);
  if (existsSync(directory)) return directory;
  const temporary = join(cacheDirectory, `${unfinished}${name}-${process.pid}`);
  mkdirSync(temporary, { recursive: true });
  await build(temporary);
  renameSync(temporary, directory);
  return directory;
}

/** Removes what killed set-ups left. Only under the lock: then no other is running. */
export function removeUnfinished() {
  for (const name of readdirSync(cacheDirectory).filter((entry) => entry.startsWith(unfinished))) {
    spawnSync("rm", ["-rf", "--one-file-system", join(cacheDirectory, name)]);
  }
}
