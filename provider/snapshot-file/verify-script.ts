import { type Command, rawScript, sh } from "../transport/shell";

/** What a look at a snapshot file found. */
export type Verification =
  | { readonly kind: "missing" }
  | { readonly kind: "sound"; readonly sizeBytes: number; readonly modifiedAt: string; readonly sha256: string }
  | { readonly kind: "corrupt"; readonly reason: string };

/**
 * A script that reads a snapshot file whole and compares it with its SHA-256 trailer. Changes nothing; exits 0 whatever
 * it finds: `parseVerification` reads what it prints.
 */
export function verifyScript(path: string): Command {
  // etcd hashes what it streams and sends the digest last: a database (whole pages of 512 bytes) and 32 bytes.
  return sh`( f=${path}
  [ -f "$f" ] || { echo missing; exit 0; }
  ${digestFunction}
  set -- $(stat -c '%s %Y' "$f") && [ $# -eq 2 ] || exit 1
  if [ "$1" -eq 0 ]; then echo 'corrupt it is empty'; exit 0; fi
  if [ $(($1 % 512)) -ne 32 ]; then echo "corrupt it has no SHA-256 trailer (it is cut off, or not a snapshot)"; exit 0; fi
  want=$(tail -c 32 "$f" | od -An -v -tx1 | tr -d ' \n') && [ "\${#want}" -eq 64 ] || exit 1
  have=$(head -c "$(($1 - 32))" "$f" | digest) && [ "\${#have}" -eq 64 ] || exit 1
  if [ "$want" != "$have" ]; then echo 'corrupt its SHA-256 trailer does not match its content'; exit 0; fi
  whole=$(digest <"$f") && [ "\${#whole}" -eq 64 ] || exit 1
  echo "sound $1 $2 $whole"
)`;
}

/**
 * `digest`: prints the SHA-256 of its standard input, in hex. OpenSSL asks the processor, which Debian's coreutils do not:
 * with large snapshots that is seconds against a fraction of one.
 */
export const digestFunction: Command =
  rawScript(`command -v sha256sum >/dev/null 2>&1 || { echo 'sha256sum: not found' >&2; exit 127; }
  hash=sha256sum; ! echo | openssl dgst -sha256 -r >/dev/null 2>&1 || hash='openssl dgst -sha256 -r'
  digest() { $hash | cut -d' ' -f1; }`);

/** Reads what `verifyScript` printed. */
export function parseVerification(stdout: string): Verification {
  const line = stdout.trim();
  if (line === "missing") return { kind: "missing" };
  if (line.startsWith("corrupt ")) return { kind: "corrupt", reason: line.slice("corrupt ".length) };
  const [, size, modified, sha256] = /^sound (\d+) (\d+) ([0-9a-f]{64})$/.exec(line) ?? [];
  if (size === undefined || modified === undefined || sha256 === undefined) {
    throw new TypeError(`the look at a snapshot printed ${JSON.stringify(line)}`);
  }
  return {
    kind: "sound",
    sizeBytes: Number(size),
    modifiedAt: new Date(Number(modified) * 1000).toISOString(),
    sha256,
  };
}
