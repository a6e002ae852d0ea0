/** How a script gets its privileges. */
export type Privilege =
  | { readonly kind: "none" }
  | { readonly kind: "sudo" }
  /** `sudo` shows `prompt` and reads the password from standard input. */
  | { readonly kind: "sudo-password"; readonly prompt: string };

/**
 * The command line that runs a script which follows on standard input, `byteCount` bytes of it; what comes after is the script's own input.
 * The line itself is the same for every script, so `ps` on the server shows nothing.
 */
export function scriptCommand(privilege: Privilege, ready: string, seconds: number, byteCount: number): string[] {
  return [
    ...sudoWords(privilege),
    "sh",
    "-c",
    PREPARE,
    "sh",
    ready,
    String(seconds),
    "sh",
    "-c",
    LOAD,
    "sh",
    String(byteCount),
  ];
}

/** The same for a script that lies in a file, with its input and its output in files beside it. Needs no standard input. */
export function fileCommand(privilege: Privilege, ready: string, seconds: number, directory: string): string[] {
  return [
    ...sudoWords(privilege),
    "sh",
    "-c",
    PREPARE,
    "sh",
    ready,
    String(seconds),
    "sh",
    "-c",
    LOAD_FILE,
    "sh",
    directory,
  ];
}

/** What goes over standard input in front of the script's own. */
export function scriptBytes(text: string): Buffer {
  return Buffer.from(`${text}\n${END}`);
}

/** Spells a command line so that any login shell (dash, bash, busybox, csh, fish) reads the same words. */
export function loginShellLine(argv: readonly string[]): string {
  return argv.map(spellForAnyShell).join(" ");
}

/** A script cut short by a broken connection must not run: it may mean something else. */
const END = "#end-of-script";

// These three stand inside single quotes for whatever the login shell is: no quote, no backslash, no newline, no "!" (csh).

// The marker tells our output from what a login shell's start-up files print, and that sudo has let us in.
// `timeout` ends the whole process group on the server, also when nobody listens any more. Old busybox spells it differently: then without.
const PREPARE =
  'PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"; LC_ALL=C; export PATH LC_ALL; cd /; ' +
  'ready=$1; seconds=$2; shift 2; echo "$ready"; echo "$ready" >&2; ' +
  'if timeout -k 5 5 true </dev/null >/dev/null 2>&1; then exec timeout -k 5 "$seconds" "$@"; fi; exec "$@"';

// One byte at a time: anything faster reads ahead into the script's own input.
const LOAD =
  "script_text=$(dd bs=1 count=$1 2>/dev/null); shift; " +
  `case $script_text in *"${END}") eval "$script_text";; *) echo "the script did not arrive whole" >&2; exit 125;; esac`;

const LOAD_FILE = 'exec sh "$1/script" <"$1/stdin" >"$1/stdout" 2>"$1/stderr"';

function sudoWords(privilege: Privilege): string[] {
  switch (privilege.kind) {
    case "none":
      return [];
    // In any other language we would not understand what it refuses.
    case "sudo":
      return ["env", "LC_ALL=C", "sudo", "-n", "--"];
    case "sudo-password":
      return ["env", "LC_ALL=C", "sudo", "-k", "-S", "-p", privilege.prompt, "--"];
  }
}

function spellForAnyShell(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  if (/['\\!\n\0]/.test(word)) throw new TypeError("this word cannot be spelled for every shell");
  return `'${word}'`;
}
