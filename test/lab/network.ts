import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { run, finish } from "./process";

/** A subnet and a bridge of the lab's own: only machines of this lab are on it. */
export interface Network {
  /** For example `10.207.31`: the first three numbers of every address. */
  readonly prefix: string;
  readonly bridge: string;
  /** The address of this machine on the bridge. */
  readonly gateway: string;
}

/** Reserves a free /24 and makes the bridge. `labDirectory` must exist: a reservation without it counts as forgotten. */
export async function createNetwork(labId: string, labDirectory: string): Promise<Network> {
  const prefix = reserve(labDirectory);
  const network = { prefix, bridge: bridgeName(labId), gateway: `${prefix}.1` };
  await run("ip", ["link", "add", "name", network.bridge, "address", hardwareAddress(prefix), "type", "bridge"]);
  await run("ip", ["address", "add", `${network.gateway}/24`, "dev", network.bridge]);
  await run("ip", ["link", "set", "dev", network.bridge, "up"]);
  return network;
}

/** Nothing to do is success. */
export async function removeNetwork(labId: string, labDirectory: string): Promise<void> {
  const bridge = bridgeName(labId);
  if (existsSync(`/sys/class/net/${bridge}`)) {
    // A machine's link goes with its network namespace, which the kernel removes when it finds the time.
    for (const link of readdirSync(`/sys/class/net/${bridge}/brif`)) await finish("ip", ["link", "delete", link]);
    await run("ip", ["link", "delete", bridge]);
  }
  for (const { path, owner } of reservations()) if (owner === labDirectory) rmSync(path, { force: true });
}

/** Left alone, a bridge takes another whenever a machine comes or goes, and for half a minute the others do not find it. */
function hardwareAddress(prefix: string): string {
  const octets = prefix.split(".").map((octet) => Number(octet).toString(16).padStart(2, "0"));
  return ["02", "00", ...octets, "01"].join(":");
}

function bridgeName(labId: string): string {
  return `eb-${labId}`;
}

/** One place for all checkouts and caches of this machine, emptied when it starts. */
const reservationDirectory = "/run/lock/pulumi-etcd-backup";

function reserve(labDirectory: string): string {
  mkdirSync(reservationDirectory, { recursive: true });
  for (const { path, owner } of reservations()) if (!existsSync(owner)) rmSync(path, { force: true });
  const used = new Set(
    Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => prefixOf(address))),
  );
  for (let attempt = 0; attempt < 200; attempt++) {
    const prefix = `10.${200 + random(51)}.${random(256)}`;
    if (used.has(prefix)) continue;
    try {
      writeFileSync(join(reservationDirectory, prefix), labDirectory, { flag: "wx" });
      return prefix;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
  throw new Error("no free subnet in 10.200.0.0 to 10.250.255.0");
}

function reservations(): readonly { readonly path: string; readonly owner: string }[] {
  if (!existsSync(reservationDirectory)) return [];
  return readdirSync(reservationDirectory).flatMap((name) => {
    const path = join(reservationDirectory, name);
    // Empty: another lab is writing it just now.
    const owner = existsSync(path) ? readFileSync(path, "utf8") : "";
    return owner === "" ? [] : [{ path, owner }];
  });
}

function prefixOf(address: string): string {
  return address.split(".").slice(0, 3).join(".");
}

function random(below: number): number {
  return Math.floor(Math.random() * below);
}
