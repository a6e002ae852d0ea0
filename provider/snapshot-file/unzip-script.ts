import { posix } from "node:path";
import { type Command, sh } from "../transport/shell";
import { digestFunction } from "./verify-script";
import type { ZipEntry } from "./zip";

/**
 * A script that unpacks a compressed snapshot to `target`, 0600, whole or not at all: CRC and size are those of its
 * directory. It needs gzip and what every server has.
 */
export function unzipScript(path: string, entry: ZipEntry, target: string): Command {
  return sh`( t=${target} d=${posix.dirname(target)}
  umask 077
  ${unpackFunction(path, entry)}
  mkdir -p "$d" && c=$(mktemp "$d/.unzip.XXXXXX") || exit 1
  trap 'rm -f "$c"' EXIT
  trap 'exit 1' HUP INT TERM
  unpack >"$c" || exit 1
  [ "$(wc -c <"$c")" -eq ${entry.sizeBytes} ] || { echo "$f is cut off" >&2; exit 1; }
  { sync "$c" 2>/dev/null || sync; } && mv -f "$c" "$t"
)`;
}

/** Like `verifyScript`, for what a zip holds: nothing is written. */
export function verifyZipScript(path: string, entry: ZipEntry): Command {
  const body = entry.sizeBytes - 32;
  return sh`( ${unpackFunction(path, entry)}
  [ -f "$f" ] || { echo missing; exit 0; }
  ${digestFunction}
  set -- $(stat -c '%s %Y' "$f") && [ $# -eq 2 ] || exit 1
  # Unpacked once: one branch keeps the trailer, the other hashes the rest. A pipe tells the status of its last program
  # only, so unpack says on another way that it failed; and all is read to its end: a pipe that is closed kills who writes.
  found=$({ { { unpack 2>/dev/null || echo damaged >&4; } | tee /dev/fd/3 |
    { printf 'have %s\n' "$(head -c ${body} | digest)" >&4; cat >/dev/null; }; } 3>&1 |
    printf 'want %s\n' "$(tail -c 32 | od -An -v -tx1 | tr -d ' \n')" >&4; } 4>&1)
  case $found in *damaged*) echo 'corrupt what it holds is damaged'; exit 0 ;; esac
  want=$(printf '%s\n' "$found" | sed -n 's/^want //p') have=$(printf '%s\n' "$found" | sed -n 's/^have //p')
  [ "\${#want}" -eq 64 ] || { echo 'corrupt what it holds is cut off'; exit 0; }
  [ "\${#have}" -eq 64 ] || exit 1
  if [ "$want" != "$have" ]; then echo 'corrupt the SHA-256 trailer of what it holds does not match'; exit 0; fi
  whole=$(digest <"$f") && [ "\${#whole}" -eq 64 ] || exit 1
  echo "sound $1 $2 $whole"
)`;
}

/** `unpack`: writes what the zip `$f` holds to standard output. */
function unpackFunction(path: string, entry: ZipEntry): Command {
  const bytes = sh`tail -c +${entry.offset + 1} "$f" | head -c ${entry.compressedBytes}`;
  if (entry.method === "stored") return sh`f=${path}; unpack() { ${bytes}; }`;
  // Between gzip's header and its trailer lie the same bytes as in a zip: gzip then compares CRC and size.
  const header = octal(Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]));
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(entry.crc32, 0);
  trailer.writeUInt32LE(entry.sizeBytes % 2 ** 32, 4);
  return sh`f=${path}
  command -v gzip >/dev/null 2>&1 || { echo 'gzip: not found' >&2; exit 127; }
  unpack() { { printf ${header}; ${bytes}; printf ${octal(trailer)}; } | gzip -dc; }`;
}

function octal(bytes: Uint8Array): string {
  return [...bytes].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
}
