import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const repository = join(__dirname, "..", "..");

export const etcdVersions = ["3.4", "3.5", "3.6"] as const;

export type EtcdVersion = (typeof etcdVersions)[number];

/** Directories with what the set-up made. */
export interface Equipment {
  readonly cache: string;
  /** The root file system that all machines share. */
  readonly image: string;
  readonly etcd: Readonly<Record<EtcdVersion, string>>;
  readonly versitygw: string;
  readonly k3sStandIn: string;
  readonly pulumi: string;
}

/** What the set-up wrote down about this checkout. */
export function readEquipment(): Equipment {
  const path = join(repository, "node_modules", ".pulumi-etcd-backup", "equipment.json");
  if (!existsSync(path)) throw new Error("the lab is not set up: run `node test/setup.mjs --lab`");
  return JSON.parse(readFileSync(path, "utf8")) as Equipment;
}
