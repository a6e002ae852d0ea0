import { PassThrough } from "node:stream";
import { BackupError, CommandError } from "../errors";
import type { ConnectedHost } from "./connect";
import { fileSizeScript, sendFileScript, writeFileScript } from "./file-scripts";

/** Copies a file from one server to another through this process, a piece at a time. The target, 0600, is whole or not there. */
export async function pipeFile(
  from: ConnectedHost,
  path: string,
  to: ConnectedHost,
  target: string,
  options: { readonly timeoutMs?: number } = {},
): Promise<void> {
  const timeoutMs = options.timeoutMs ?? COPY_MS;
  const sizeBytes = Number((await from.query(fileSizeScript(path))).stdout.trim());
  if (!Number.isSafeInteger(sizeBytes)) {
    throw new BackupError("COMMAND_FAILED", `the size of ${path} cannot be read`, { host: from.name });
  }
  const pipe = new PassThrough();
  const results = await Promise.allSettled([
    from.stream(sendFileScript(path, sizeBytes), { stdout: pipe, timeoutMs }),
    to.stream(writeFileScript(target, sizeBytes, 0o600), { stdin: pipe, timeoutMs }),
  ]);
  // When one side fails the other is cut off: the cause is the one whose command failed by itself.
  const failures = results.flatMap((r) => (r.status === "rejected" ? [r.reason as Error] : []));
  const cause = failures.find((failure) => failure instanceof CommandError) ?? failures[0];
  if (cause !== undefined) throw cause;
}

const COPY_MS = 30 * 60_000;
