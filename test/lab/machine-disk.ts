import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./process";
import { createHostKeys } from "./ssh-keys";

interface DiskOptions {
  readonly image: string;
  readonly directory: string;
  readonly name: string;
  /** Of all machines: they know each other by name. */
  readonly addresses: Readonly<Record<string, string>>;
  readonly publicKey: string;
}

/** Makes a machine's root file system: a layer of its own over the image. Returns its lines for `known_hosts`. */
export async function createDisk({ image, directory, name, addresses, publicKey }: DiskOptions): Promise<string> {
  const layers = { root: join(directory, "root"), changes: join(directory, "changes"), work: join(directory, "work") };
  for (const path of Object.values(layers)) mkdirSync(path, { recursive: true, mode: 0o755 });
  const { root, changes, work } = layers;
  const layering = `lowerdir=${image},upperdir=${changes},workdir=${work}`;
  await run("mount", ["-t", "overlay", "overlay", "-o", layering, root]);
  const address = addresses[name] ?? "";
  const hosts = Object.entries(addresses).map(([machine, at]) => `${at} ${machine}\n`);
  // A later name loses to the image's own 80-container-host0.network.
  write(root, "etc/systemd/network/10-host0.network", `[Match]\nName=host0\n\n[Network]\nAddress=${address}/24\n`);
  write(root, "etc/hostname", `${name}\n`);
  write(root, "etc/hosts", `127.0.0.1 localhost\n::1 localhost\n${hosts.join("")}`);
  write(root, "etc/machine-id", `${randomBytes(16).toString("hex")}\n`);
  // Connections are many and at once in a test; the limits of the default are for strangers.
  write(root, "etc/ssh/sshd_config.d/lab.conf", "UseDNS no\nMaxStartups 100\n");
  mkdirSync(join(root, "root/.ssh"), { recursive: true, mode: 0o700 });
  write(root, "root/.ssh/authorized_keys", `${publicKey}\n`, 0o600);
  return createHostKeys(root, address);
}

function write(root: string, path: string, content: string, mode = 0o644): void {
  writeFileSync(join(root, path), content, { mode });
}
