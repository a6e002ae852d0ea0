import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { DialError } from "./dial-error";
import {
  findKnownHost,
  fingerprint,
  hostKeyAlgorithms,
  type KnownHost,
  knownHostsLine,
  parsePublicKey,
  type PublicKey,
} from "./known-hosts";
import type { ProxyConnection } from "../model";

/** Decides whether a server is the one that was meant. */
export interface HostKeyCheck {
  /** What to offer in the handshake, so that the server shows a key we know; undefined when none is known. */
  readonly algorithms: readonly string[] | undefined;
  /** Undefined when the key is right. */
  refuse(key: PublicKey): DialError | undefined;
}

/** Collects what is known of the server behind a connection. */
export async function hostKeyCheck(connection: ProxyConnection & { readonly host: string }): Promise<HostKeyCheck> {
  const { host, port = 22 } = connection;
  const address = `${host}:${port}`;
  const known = await knownKeys(connection, host, port);
  const accepted = connection.acceptNewHostKey === true ? acceptedKeys.get(address) : undefined;
  const keys = accepted === undefined ? known.keys : [...known.keys, accepted];

  function refuse(key: PublicKey): DialError | undefined {
    if (known.revoked.some((revoked) => revoked.blob.equals(key.blob))) {
      return new DialError("HOST_KEY_MISMATCH", `the host key ${fingerprint(key)} of ${address} is marked @revoked`, {
        hint: "Someone who holds this key could pose as the server. Give the server a new host key.",
      });
    }
    if (keys.some((k) => k.blob.equals(key.blob))) return undefined;
    if (keys.length > 0) return changed(address, keys, key);
    if (connection.acceptNewHostKey === true) {
      acceptedKeys.set(address, key);
      return undefined;
    }
    return unknown(known, host, port, key);
  }

  return { algorithms: keys.length > 0 ? hostKeyAlgorithms(keys) : undefined, refuse };
}

/** Keys trusted on first sight are trusted for as long as this process lives, and no other instead of them. */
const acceptedKeys = new Map<string, PublicKey>();

async function knownKeys(connection: ProxyConnection, host: string, port: number): Promise<KnownHost> {
  if (connection.hostKey !== undefined) {
    const key = parsePublicKey(connection.hostKey);
    if (key === undefined) {
      throw new DialError("INVALID_INPUT", "hostKey is not a public key", {
        hint: "It reads like a line of known_hosts without its host names: ssh-ed25519 AAAA…",
      });
    }
    return { keys: [key], revoked: [], hasCertificateAuthority: false };
  }
  return findKnownHost(connection.knownHosts ?? (await userKnownHosts()), host, port);
}

async function userKnownHosts(): Promise<string> {
  const home = homedir();
  const files = [
    join(home, ".ssh/known_hosts"),
    join(home, ".ssh/known_hosts2"),
    "/etc/ssh/ssh_known_hosts",
    "/etc/ssh/ssh_known_hosts2",
  ];
  const texts = await Promise.all(files.map(readIfThere));
  return texts.join("\n");
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return "";
    throw error;
  }
}

function changed(address: string, keys: readonly PublicKey[], key: PublicKey): DialError {
  const known = keys.map((k) => `${k.type} ${fingerprint(k)}`).join(", ");
  return new DialError(
    "HOST_KEY_MISMATCH",
    `the host key of ${address} is not the known one: it shows ${key.type} ${fingerprint(key)}, known is ${known}`,
    {
      hint: "Either the server was installed anew, or someone stands in between. Ask the server itself (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on its console) before you replace the known key.",
    },
  );
}

function unknown(known: KnownHost, host: string, port: number, key: PublicKey): DialError {
  const what = `the host key of ${host}:${port} is not known: it shows ${key.type} ${fingerprint(key)}`;
  const line = knownHostsLine(host, port, key);
  return new DialError("HOST_KEY_UNKNOWN", what, {
    hint: known.hasCertificateAuthority
      ? `Only a @cert-authority line matches it, and certificate authorities are not supported. Compare the fingerprint, then add to known_hosts: ${line}`
      : `Compare the fingerprint with the server's own, then add to known_hosts: ${line}`,
  });
}
