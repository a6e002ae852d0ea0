import { BackupError, hasCode } from "../errors";
import type { SavedFile } from "../distributions/distribution";
import type { Progress, SnapshotFile } from "../model";
import type { SnapshotStore } from "../stores/store";
import type { Host } from "../transport/host";

/** Makes sure that a store has a snapshot, whole: asks it, whatever the server reported, and sends what is not there. */
export async function sendSnapshot(
  store: SnapshotStore,
  host: Host,
  saved: SavedFile,
  progress: Progress,
): Promise<SnapshotFile> {
  const there = await wholeIn(store, saved.name);
  if (there?.sizeBytes === saved.sizeBytes) return there;
  const sentByServer = saved.uploaded === true || saved.uploadFailure !== undefined;
  if (there !== undefined && !sentByServer) {
    throw new BackupError("SNAPSHOT_FAILED", `${store.title} has something else that is named ${saved.name}`, {
      host: host.name,
      hint: "Give each cluster a folder of its own.",
    });
  }
  const sent = await store.put(host, saved.path, saved.name, { metadata: saved.metadata });
  if (sentByServer)
    progress.warn(`${host.name}: ${failureOf(saved, store.title)}. It was sent once more, and is there.`);
  return sent;
}

function failureOf({ name, uploadFailure }: SavedFile, title: string): string {
  return uploadFailure === undefined
    ? `the server says that it sent ${name} to ${title}, where it was not, or not whole`
    : `the server could not send ${name} to ${title} by itself (${uploadFailure})`;
}

async function wholeIn(store: SnapshotStore, name: string): Promise<SnapshotFile | undefined> {
  try {
    return await store.stat(name);
  } catch (error) {
    if (hasCode(error, "SNAPSHOT_CORRUPT")) return undefined;
    throw error;
  }
}
