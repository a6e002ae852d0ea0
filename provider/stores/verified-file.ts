import { BackupError } from "../errors";
import { parseVerification, type Verification, verifyScript } from "../snapshot-file/verify-script";
import type { HostReader } from "../transport/host";

type SoundFile = Extract<Verification, { readonly kind: "sound" }>;

/** Reads a snapshot file on a server whole. Undefined when it is not there; throws SNAPSHOT_CORRUPT unless its SHA-256 trailer is right. */
export async function findVerifiedFile(host: HostReader, path: string): Promise<SoundFile | undefined> {
  const { stdout } = await host.query(verifyScript(path), { timeoutMs: READ_MS });
  const found = parseVerification(stdout);
  if (found.kind === "missing") return undefined;
  if (found.kind === "sound") return found;
  throw new BackupError("SNAPSHOT_CORRUPT", `${path} is not a whole snapshot: ${found.reason}`, {
    host: host.name,
    hint: "Name another snapshot, or take a new one.",
  });
}

/** The same for a file that has to be there: throws SNAPSHOT_NOT_FOUND. */
export async function readVerifiedFile(host: HostReader, path: string): Promise<SoundFile> {
  const found = await findVerifiedFile(host, path);
  if (found !== undefined) return found;
  throw new BackupError("SNAPSHOT_NOT_FOUND", `there is no file ${path}`, { host: host.name });
}

/** Long enough for a large snapshot on a slow disk. */
const READ_MS = 10 * 60_000;
