import { PassThrough, type Writable } from "node:stream";
import { BackupError } from "../errors";
import type { ConnectedHost } from "./connect";
import { sh } from "./shell";

/**
 * Fills a file (0600) on a server with what `send` writes; `send` returns how many bytes that were. What breaks off is
 * removed where the server can still be reached, so give it a name that nobody takes for a whole file's.
 */
export async function receiveFile(
  host: ConnectedHost,
  path: string,
  send: (sink: Writable) => Promise<number>,
  options: { readonly timeoutMs?: number } = {},
): Promise<void> {
  const pipe = new PassThrough();
  let cause: unknown;
  // When one side fails the other is cut off: the first failure is the cause.
  const until = async <T>(side: Promise<T>): Promise<T | undefined> =>
    side.catch((error: unknown) => {
      cause ??= error;
      pipe.destroy();
      return undefined;
    });
  const write = sh`umask 077; mkdir -p "$(dirname ${path})" && cat >${path}`;
  const writing = host.stream(write, { stdin: pipe, timeoutMs: options.timeoutMs ?? COPY_MS });
  const [sizeBytes] = await Promise.all([until(send(pipe)), until(writing)]);
  if (cause === undefined) {
    const arrived = Number((await host.query(sh`wc -c <${path}`)).stdout.trim());
    if (arrived === sizeBytes) return;
    cause = new BackupError("COMMAND_FAILED", `${arrived} of ${sizeBytes} bytes arrived in ${path}`, {
      host: host.name,
    });
  }
  // The cause tells more than that its remains are still there.
  await host.run(sh`rm -f ${path}`).catch(() => undefined);
  throw cause;
}

const COPY_MS = 30 * 60_000;
