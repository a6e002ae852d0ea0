import { hasCode } from "../../../errors";
import type { Cluster } from "../../../model";
import type { Host } from "../../../transport/host";
import { inspect } from "../inspect";
import type { Program } from "../program";
import { supports } from "../versions";
import { deleteCommand } from "./save-command";

/**
 * Has the distribution delete a snapshot on its server, so that its ETCDSnapshotFile object goes with it. A server that
 * cannot now finds out by itself within minutes: the file is deleted in any case by who calls this.
 */
export async function forgetSnapshot(program: Program, host: Host, cluster: Cluster, name: string): Promise<void> {
  try {
    const facts = await inspect(program, host, cluster);
    if (!facts.unitActive || !supports(facts.version, "http-cli")) return;
    await host.run(deleteCommand(facts, name), { timeoutMs: 60_000 });
  } catch (error) {
    if (!hasCode(error, "COMMAND_FAILED", "COMMAND_TIMED_OUT", "NOT_EMBEDDED_ETCD")) throw error;
  }
}
