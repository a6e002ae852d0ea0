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
  const { stdout } = await host.query(status, { timeoutMs: 10 * 60_000 });
  const number = (name: string): number => Number(new RegExp(`"${name}":\\s*(\\d+)`).exec(stdout)?.[1]);
  return { revision: number("revision"), totalKeys: number("totalKey") };
}
