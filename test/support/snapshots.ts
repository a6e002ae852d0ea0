import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

/** What `snapshot status` says; `version` from 3.6 on. */
export interface Status {
  readonly hash: number;
  readonly revision: number;
  readonly totalKey: number;
  readonly totalSize: number;
  readonly version?: string;
}

const directory = join(__dirname, "../fixtures/snapshot-file");

/** By snapshot and by the version of the tool. */
export const recordedStatuses = JSON.parse(readFileSync(join(directory, "status.json"), "utf8")) as Record<
  string,
  Record<"3.4" | "3.5" | "3.6", Status>
>;

/** The snapshots that were recorded, of etcd 3.4 to 3.6 and of K3s. */
export const recordedNames = readdirSync(directory)
  .filter((file) => /^(etcd|k3s)-.*\.gz$/.test(file))
  .map((file) => file.replace(/\.gz$/, ""));

/** A recorded snapshot, or a database of bbolt: `bbolt-4096`, `bbolt-16384`. */
export function recordedSnapshot(name: string): Buffer {
  return gunzipSync(readFileSync(join(directory, `${name}.gz`)));
}
