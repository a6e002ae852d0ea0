import { CommandError } from "../../errors";
import type { HostReader } from "../../transport/host";
import { sh } from "../../transport/shell";
import type { EtcdFacts } from "./facts";

/** What etcd's own tool says of a snapshot on a server; empty where there is no tool that can. */
export async function describeSnapshot(
  host: HostReader,
  facts: EtcdFacts,
  path: string,
): Promise<{ revision?: number; totalKeys?: number }> {
  if (facts.restoreTool === undefined) return {};
  const status = sh`ETCDCTL_API=3 ${facts.restoreTool} snapshot status ${path} --write-out=json`;
  const { stdout } = await host.query(status, { timeoutMs: 10 * 60_000 }).catch((error: unknown) => {
    // The snapshot is verified by its trailer; what a tool of another version cannot read is not lost by that.
    if (error instanceof CommandError) return { stdout: "" };
    throw error;
  });
  const number = (name: string): string | undefined => new RegExp(`"${name}":\\s*(\\d+)`).exec(stdout)?.[1];
  const [revision, totalKeys] = [number("revision"), number("totalKey")];
  return revision === undefined || totalKeys === undefined
    ? {}
    : { revision: Number(revision), totalKeys: Number(totalKeys) };
}
