import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Socket } from "node:net";
import { repository } from "./equipment";
import type { Network } from "./network";
import { isAlive, markProcess, type ProcessMark } from "./process";

/** What another process needs to know of a lab that it did not start. */
export interface LabRecord {
  readonly network: Network;
  /** By machine. */
  readonly addresses: Readonly<Record<string, string>>;
}

export function writeRecord(directory: string, record: LabRecord): void {
  writeFileSync(join(directory, "lab.json"), JSON.stringify(record));
}

export function readRecord(directory: string): LabRecord {
  const path = join(directory, "lab.json");
  if (!existsSync(path)) throw new Error(`there is no lab in ${directory}`);
  return JSON.parse(readFileSync(path, "utf8")) as LabRecord;
}

/** Writes down whose lab it is, and makes it go when that process ends, in whatever way it ends. Call the result when it is gone. */
export function watchOver(directory: string): () => void {
  writeFileSync(join(directory, "owner.json"), JSON.stringify(markProcess(process.pid)));
  // The end of its input is the end of this process: no handler has to run for that, so SIGKILL counts too.
  const script = 'cat >/dev/null; [ ! -d "$1" ] || [ -e "$1/stays" ] || exec "$2" --import tsx "$3" remove "$1"';
  const words = ["-c", script, "sh", directory, process.execPath, join(__dirname, "cli.ts")];
  const watcher = spawn("/bin/sh", words, { cwd: repository, detached: true, stdio: ["pipe", "ignore", "ignore"] });
  watcher.unref();
  // A pipe is a socket here, which must not keep this process alive either.
  (watcher.stdin as Socket).unref();
  return () => watcher.stdin.end();
}

export function markAsStaying(directory: string): void {
  writeFileSync(join(directory, "stays"), "");
}

export function isStaying(directory: string): boolean {
  return existsSync(join(directory, "stays"));
}

/** Whether nobody will take it down any more. */
export function isForgotten(directory: string): boolean {
  if (isStaying(directory)) return false;
  const path = join(directory, "owner.json");
  if (existsSync(path)) return !isAlive(JSON.parse(readFileSync(path, "utf8")) as ProcessMark);
  // It is being made or removed just now; or was, when that was interrupted.
  return Date.now() - statSync(directory).mtimeMs > 3_600_000;
}
