import { createHash } from "node:crypto";

/**
 * Which token it is, without telling it: K3s stores the bootstrap data under this name, encrypted with the token.
 * The first 12 hex digits of the SHA-256 of the password in `K10<hash>::server:<password>`, or of a bare token.
 */
export function hashToken(token: string): string {
  const [, credentials] = /^K10[0-9a-f]*::(.*)$/.exec(token.trim()) ?? [];
  const password = credentials === undefined ? token.trim() : credentials.slice(credentials.indexOf(":") + 1);
  return createHash("sha256").update(password).digest("hex").slice(0, 12);
}
