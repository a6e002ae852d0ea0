import { type Command, sh } from "./shell";

/** Exits with `ABSENT` when there is nothing at the path. */
export function readFileScript(path: string): Command {
  return sh`test -e ${path} || test -L ${path} || exit ${ABSENT}
cat -- ${path}`;
}

/** No file there; not among the codes that the tools themselves use. */
export const ABSENT = 66;

export function readRangeScript(path: string, offset: number, length: number): Command {
  // tail finds the place by seeking; its output beyond the length is cut off, which is no failure.
  return sh`exec 3<${path} || exit 1
tail -c +${offset + 1} <&3 | head -c ${length}`;
}

/** Reads the new content from standard input. `sizeBytes` is what must have arrived before the old file is replaced. */
export function writeFileScript(path: string, sizeBytes: number, mode: number): Command {
  const folder = path.slice(0, path.lastIndexOf("/")) || "/";
  return sh`set -eu
umask 022
test -d ${folder} || mkdir -p -- ${folder}
umask 077
test ! -d ${path} || { echo "a folder is in the way" >&2; exit 1; }
new=$(mktemp ${`${path}.XXXXXX`})
trap 'rm -f -- "$new"' EXIT
trap 'exit 129' HUP INT TERM
chmod ${mode.toString(8)} -- "$new"
cat >"$new"
size=$(wc -c <"$new")
test "$size" -eq ${sizeBytes} || { echo "$size of ${sizeBytes} bytes arrived" >&2; exit 1; }
sync -- "$new" 2>/dev/null || sync
mv -f -T -- "$new" ${path}
trap - EXIT`;
}

export function fileSizeScript(path: string): Command {
  return sh`test -f ${path} || { echo "there is no such file" >&2; exit ${ABSENT}; }
wc -c <${path}`;
}

/** Writes at most `sizeBytes` bytes of the file: one that still grows must not send more than was announced. */
export function sendFileScript(path: string, sizeBytes: number): Command {
  return sh`head -c ${sizeBytes} <${path}`;
}
