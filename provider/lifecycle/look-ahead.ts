import { BackupError, type ErrorCode } from "../errors";
import type { Cluster } from "../model";
import { previewRestore, type RestorePreview } from "../operations/preview-restore";
import type { RestoreRequest } from "../operations/restore";
import type { CheckFailure, LifecycleCall } from "./lifecycle";
import { holdsUnknown } from "./unknown";

const limitMs = 60_000;

/**
 * Looks what a restore would do and says so on the resource's row; refusals are failures, being unable to look is a
 * warning. Pulumi checks two or three times per update: this looks, and speaks, once per process.
 */
export async function lookAhead(
  cluster: Cluster,
  request: RestoreRequest,
  call: LifecycleCall,
): Promise<readonly CheckFailure[]> {
  const key = JSON.stringify([cluster, request]);
  const looked = looks.get(key) ?? look(cluster, request, call);
  looks.set(key, looked);
  return looked;
}

const looks = new Map<string, Promise<readonly CheckFailure[]>>();

async function look(cluster: Cluster, request: RestoreRequest, call: LifecycleCall): Promise<readonly CheckFailure[]> {
  if (holdsUnknown([cluster, request])) {
    call.progress.info("what this restore would do can be shown once everything it depends on is known");
    return [];
  }
  try {
    const preview = await inTime(cluster, request, call);
    for (const line of preview.lines) call.progress.info(line);
    return preview.refusals.map((reason) => ({ property: "", reason }));
  } catch (error) {
    // Only what says nothing about the restore itself lets it go on: then the update looks again, before it touches anything.
    if (error instanceof BackupError && !unableToLook.includes(error.code)) {
      return [{ property: "", reason: `${error.code}: ${error.message}` }];
    }
    call.progress.warn(`could not look what this restore would do: ${messageOf(error)}`);
    return [];
  }
}

const unableToLook: readonly ErrorCode[] = [
  "HOST_UNREACHABLE",
  "AUTH_REJECTED",
  "COMMAND_TIMED_OUT",
  "STORE_UNREACHABLE",
];

async function inTime(cluster: Cluster, request: RestoreRequest, call: LifecycleCall): Promise<RestorePreview> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${limitMs / 1000} s`)), limitMs);
  });
  const looking = previewRestore(cluster, request, { ...call, deadline: Date.now() + limitMs });
  try {
    return await Promise.race([looking, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
