/** What the last scheduled run on a server left in `status.json`. Values that a run did not come to are null. */
export interface BackupStatus {
  readonly cluster: string;
  readonly server: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly ok: boolean;
  /** Where the run ended: `done`, `learner` (nothing to do, not a failure), or the step that failed. */
  readonly step: string;
  readonly error: string | null;
  readonly fileName: string | null;
  readonly sizeBytes: number | null;
  /** Of the whole file, in hex. */
  readonly sha256: string | null;
  /** etcd's revision just before the save: the snapshot has this one or a later one. */
  readonly revisionAtLeast: number | null;
  readonly s3: { readonly bucket: string; readonly key: string; readonly ok: boolean } | null;
  /** When a snapshot was last whole in every place it belongs to. Failures since then leave it as it is. */
  readonly lastSuccessAt: string | null;
}

/** Reads a status; undefined when there is none, or it is not one of ours. */
export function parseBackupStatus(text: string): BackupStatus | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null) return undefined;
  const status = parsed as { readonly [Field in keyof BackupStatus]?: unknown };
  const isOurs = typeof status.ok === "boolean" && typeof status.step === "string" && "lastSuccessAt" in status;
  return isOurs ? (parsed as BackupStatus) : undefined;
}
