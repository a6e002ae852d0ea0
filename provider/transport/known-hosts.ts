import { createHash, createHmac } from "node:crypto";

export interface PublicKey {
  /** As in known_hosts: `ssh-ed25519`, `ssh-rsa`, … */
  readonly type: string;
  readonly blob: Buffer;
}

/** What known_hosts says of one address. */
export interface KnownHost {
  readonly keys: readonly PublicKey[];
  readonly revoked: readonly PublicKey[];
  /** A `@cert-authority` line matches: we cannot check certificates, and say so when nothing else matches. */
  readonly hasCertificateAuthority: boolean;
}

/** Reads every line of known_hosts that speaks of this address. Lines that cannot be read are skipped, as ssh does. */
export function findKnownHost(knownHosts: string, host: string, port: number): KnownHost {
  const address = addressName(host, port);
  const lines = knownHosts.split(/\r?\n/).flatMap((line) => parseLine(line) ?? []);
  const matching = lines.filter((line) => matchesNames(line.names, address));
  const keysOf = (marker: string) => matching.filter((line) => line.marker === marker).map((line) => line.key);
  return {
    keys: keysOf(""),
    revoked: keysOf("@revoked"),
    hasCertificateAuthority: matching.some((line) => line.marker === "@cert-authority"),
  };
}

/** Reads `ssh-ed25519 AAAA… comment`; undefined when it is not a public key. */
export function parsePublicKey(text: string): PublicKey | undefined {
  const [type, encoded] = text.trim().split(/\s+/);
  if (type === undefined || encoded === undefined || !/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return undefined;
  const blob = Buffer.from(encoded, "base64");
  return publicKeyOf(blob)?.type === type ? { type, blob } : undefined;
}

/** A key as it comes over the wire: its own type stands in front. */
export function publicKeyOf(blob: Buffer): PublicKey | undefined {
  if (blob.length < 4) return undefined;
  const length = blob.readUInt32BE(0);
  return length > 0 && length <= 64 && blob.length > 4 + length
    ? { type: blob.toString("latin1", 4, 4 + length), blob }
    : undefined;
}

/** As `ssh-keygen -l` shows it. */
export function fingerprint(key: PublicKey): string {
  return `SHA256:${createHash("sha256").update(key.blob).digest("base64").replace(/=+$/, "")}`;
}

/** The line that makes this key known. */
export function knownHostsLine(host: string, port: number, key: PublicKey): string {
  return `${addressName(host, port)} ${key.type} ${key.blob.toString("base64")}`;
}

/** The signature algorithms by which a server can prove that it has one of these keys. */
export function hostKeyAlgorithms(keys: readonly PublicKey[]): string[] {
  // An RSA key signs with SHA-2; the old `ssh-rsa` signature is SHA-1.
  return [...new Set(keys.flatMap((key) => (key.type === "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256"] : [key.type])))];
}

interface Line {
  readonly marker: string;
  readonly names: string;
  readonly key: PublicKey;
}

function parseLine(line: string): Line | undefined {
  if (line.trim() === "" || line.trimStart().startsWith("#")) return undefined;
  const [, marker = "", names, rest] = /^\s*(?:(@\S+)\s+)?(\S+)\s+(.*)$/.exec(line) ?? [];
  const key = rest === undefined ? undefined : parsePublicKey(rest);
  return names === undefined || key === undefined ? undefined : { marker, names, key };
}

function addressName(host: string, port: number): string {
  const name = host.toLowerCase();
  return port === 22 ? name : `[${name}]:${port}`;
}

function matchesNames(names: string, address: string): boolean {
  if (names.startsWith("|1|")) return matchesHash(names, address);
  const patterns = names.toLowerCase().split(",");
  // One negated pattern that matches rules the line out, wherever it stands.
  if (patterns.some((p) => p.startsWith("!") && matchesPattern(p.slice(1), address))) return false;
  return patterns.some((p) => !p.startsWith("!") && matchesPattern(p, address));
}

function matchesHash(names: string, address: string): boolean {
  const [, , salt, hash] = names.split("|");
  if (salt === undefined || hash === undefined) return false;
  return createHmac("sha1", Buffer.from(salt, "base64")).update(address).digest("base64") === hash;
}

function matchesPattern(pattern: string, address: string): boolean {
  const expression = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${expression}$`).test(address);
}
