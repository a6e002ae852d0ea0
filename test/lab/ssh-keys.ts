import { readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./process";

export interface SshKey {
  readonly privateKeyPath: string;
  /** OpenSSH's format, without a passphrase. */
  readonly privateKey: string;
  /** One line of `authorized_keys`. */
  readonly publicKey: string;
}

export async function createSshKey(path: string, type: "ed25519" | "ecdsa", comment: string): Promise<SshKey> {
  await run("ssh-keygen", ["-q", "-t", type, "-N", "", "-C", comment, "-f", path]);
  return readSshKey(path);
}

export function readSshKey(path: string): SshKey {
  return {
    privateKeyPath: path,
    privateKey: readFileSync(path, "utf8"),
    publicKey: readFileSync(`${path}.pub`, "utf8").trim(),
  };
}

/** Makes a machine's host keys where its sshd looks for them, and returns their lines for `known_hosts`. */
export async function createHostKeys(machineRoot: string, address: string): Promise<string> {
  const types = ["ed25519", "ecdsa"] as const;
  const keys = await Promise.all(
    types.map((type) => createSshKey(join(machineRoot, "etc/ssh", `ssh_host_${type}_key`), type, "host")),
  );
  return keys.map(({ publicKey }) => `${address} ${publicKey.replace(/ host$/, "")}\n`).join("");
}
