import { createHash } from "node:crypto";
import type { HostReader } from "../../transport/host";
import { type Command, sh } from "../../transport/shell";
import { setting } from "./settings/config-files";
import type { EmbeddedFacts } from "./facts";

/**
 * Which token it is, without telling it: K3s stores the bootstrap data under this name, encrypted with the token.
 * The first 12 hex digits of the SHA-256 of the password in `K10<hash>::server:<password>`, or of a bare token.
 */
export function hashToken(token: string): string {
  return createHash("sha256").update(tokenPassword(token)).digest("hex").slice(0, 12);
}

/** Of `K10<hash>::server:<password>` the part that opens doors; a bare token is all of it. */
export function tokenPassword(token: string): string {
  const [, credentials] = /^K10[0-9a-f]*::(.*)$/s.exec(token.trim()) ?? [];
  return credentials === undefined ? token.trim() : credentials.slice(credentials.indexOf(":") + 1);
}

/** Prints the same of the token in a file, which is given as a word; nothing when there is none. */
export function tokenHashScript(path: Command): Command {
  // printf is the shell's own: the token is no argument of a process.
  return sh`[ ! -s ${path} ] || {
  t=$(cat ${path})
  case $t in K10*::*) t=\${t#*::}; t=\${t#*:} ;; esac
  printf '%s' "$t" | sha256sum | cut -c 1-12
}`;
}

/** Which token a server has: in its data, else in its configuration; undefined where it has none. */
export function serverTokenHash({ tokenHash, settings }: EmbeddedFacts): string | undefined {
  const configured = setting(settings, "token");
  return tokenHash ?? (configured === undefined ? undefined : hashToken(configured));
}

/** Which token is in a file on a server; undefined when there is none. */
export async function hashTokenFile(host: HostReader, path: string): Promise<string | undefined> {
  const { stdout } = await host.query(tokenHashScript(sh`${path}`));
  return stdout.trim() || undefined;
}
