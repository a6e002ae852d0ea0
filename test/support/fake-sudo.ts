import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface FakeSudoOptions {
  /** The password it wants; none is NOPASSWD. */
  readonly password?: string;
  readonly requiretty?: boolean;
  /** How often it asks. @default 3 */
  readonly tries?: number;
}

/** A folder for the front of PATH with a `sudo` that imitates -n, -k, -S and -p, asks, refuses and then runs the command (as whoever runs it). */
export function fakeSudo(options: FakeSudoOptions = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "fake-sudo-"));
  const file = join(folder, "sudo");
  writeFileSync(file, script(options));
  chmodSync(file, 0o755);
  return folder;
}

function script({ password = "", requiretty = false, tries = 3 }: FakeSudoOptions): string {
  return `#!/bin/sh
prompt='[sudo] password for user: ' quiet= stdin=
while :; do
  case $1 in
    -n) quiet=1; shift ;;
    -k) shift ;;
    -S) stdin=1; shift ;;
    -p) prompt=$2; shift 2 ;;
    --) shift; break ;;
    *) break ;;
  esac
done
if [ "${requiretty}" = true ] && ! (: </dev/tty) 2>/dev/null; then
  echo "sudo: sorry, you must have a tty to run sudo" >&2
  exit 1
fi
wanted='${password}'
if [ -n "$wanted" ]; then
  if [ -n "$quiet" ]; then echo "sudo: a password is required" >&2; exit 1; fi
  [ -n "$stdin" ] || exec </dev/tty
  [ -t 0 ] && stty -echo
  left=${tries}
  while :; do
    printf '%s' "$prompt" >&2
    IFS= read -r answer || { echo "sudo: no password was provided" >&2; exit 1; }
    [ "$answer" = "$wanted" ] && break
    left=$((left - 1))
    [ $left -gt 0 ] || { echo "sudo: ${tries} incorrect password attempt" >&2; exit 1; }
    echo "Sorry, try again." >&2
  done
  [ -t 0 ] && stty echo
fi
SUDO_USED=1 exec "$@"
`;
}
