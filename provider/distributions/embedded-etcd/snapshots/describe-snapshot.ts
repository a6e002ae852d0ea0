import { hasCode } from "../../../errors";
import { describe } from "../../../snapshot-file/describe";
import type { HostReader } from "../../../transport/host";
import { sh } from "../../../transport/shell";

/** The revision of a snapshot on a server, by a few small reads; there is no etcdctl to ask. Of a zip it is not told. */
export async function describeSnapshot(
  host: HostReader,
  _: unknown,
  path: string,
): Promise<{ readonly revision?: number }> {
  if (path.endsWith(".zip")) return {};
  const { stdout } = await host.query(sh`stat -c %s ${path}`);
  const read = (offset: number, length: number): Promise<Uint8Array> => host.readRange(path, offset, length);
  try {
    const { revision } = await describe({ title: path, host: host.name, sizeBytes: Number(stdout), read });
    return { revision };
  } catch (error) {
    // Its trailer was right: what cannot be read of it is a question for the restore, and no reason to take it for lost.
    if (hasCode(error, "SNAPSHOT_CORRUPT")) return {};
    throw error;
  }
}
