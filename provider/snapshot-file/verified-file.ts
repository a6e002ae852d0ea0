import { posix } from "node:path";
import { BackupError, CommandError } from "../errors";
import { ABSENT, fileSizeScript } from "../transport/file-scripts";
import type { HostReader } from "../transport/host";
import type { Command } from "../transport/shell";
import { verifyZipScript } from "./unzip-script";
import { parseVerification, type Verification, verifyScript } from "./verify-script";
import { readZip, type ZipEntry } from "./zip";

export type SoundFile = Extract<Verification, { readonly kind: "sound" }>;

/**
 * Reads a snapshot file on a server whole; a zip, and what it holds. Undefined when it is not there; throws
 * SNAPSHOT_CORRUPT unless its SHA-256 trailer is right. `name` is its own name, where the file does not have that yet.
 */
export async function findVerifiedFile(
  host: HostReader,
  path: string,
  name = posix.basename(path),
): Promise<SoundFile | undefined> {
  const look = name.endsWith(".zip") ? await lookIntoZip(host, path, name) : verifyScript(path);
  if (look === undefined) return undefined;
  const { stdout } = await host.query(look, { timeoutMs: READ_MS });
  const found = parseVerification(stdout);
  if (found.kind === "missing") return undefined;
  if (found.kind === "sound") return found;
  throw new BackupError("SNAPSHOT_CORRUPT", `${path} is not a whole snapshot: ${found.reason}`, {
    host: host.name,
    hint: "Name another snapshot, or take a new one.",
  });
}

/** The same for a file that has to be there: throws SNAPSHOT_NOT_FOUND. */
export async function readVerifiedFile(host: HostReader, path: string, name?: string): Promise<SoundFile> {
  const found = await findVerifiedFile(host, path, name);
  if (found !== undefined) return found;
  throw new BackupError("SNAPSHOT_NOT_FOUND", `there is no file ${path}`, { host: host.name });
}

/** Reads the directory of a compressed snapshot on a server; undefined when it is not there. */
async function readZipFile(host: HostReader, path: string, name: string): Promise<ZipEntry | undefined> {
  const sizeBytes = await sizeOf(host, path);
  if (sizeBytes === undefined) return undefined;
  const read = (offset: number, length: number): Promise<Uint8Array> => host.readRange(path, offset, length);
  return readZip({ title: path, host: host.name, sizeBytes, read }, name);
}

async function lookIntoZip(host: HostReader, path: string, name: string): Promise<Command | undefined> {
  const entry = await readZipFile(host, path, name);
  return entry === undefined ? undefined : verifyZipScript(path, entry);
}

async function sizeOf(host: HostReader, path: string): Promise<number | undefined> {
  try {
    return Number((await host.query(fileSizeScript(path))).stdout.trim());
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === ABSENT) return undefined;
    throw error;
  }
}

/** Long enough for a large snapshot on a slow disk. */
const READ_MS = 10 * 60_000;
