import { dirname } from "node:path";
import { type Command, secret, sh } from "./shell";

/**
 * A script that writes a text file whole or not at all: temporary file beside it with its final mode, sync, rename.
 * The content travels as part of the script, which is never an argument of a process.
 */
export function installFile(path: string, content: string, mode: number): Command {
  const folder = dirname(path);
  return sh`(
  f=${path}
  mkdir -p ${folder} && t=$(mktemp ${`${folder}/.tmp.XXXXXX`}) || exit 1
  trap 'rm -f "$t"' EXIT
  chmod ${mode.toString(8).padStart(4, "0")} "$t" &&
  printf '%s' ${secret(content)} >"$t" &&
  [ "$(wc -c <"$t")" -eq ${Buffer.byteLength(content)} ] &&
  { sync "$t" 2>/dev/null || sync; } &&
  mv -f "$t" "$f"
)`;
}
