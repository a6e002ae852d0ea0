import { hasCode } from "../../../errors";
import type { Host, HostReader } from "../../../transport/host";
import { sh } from "../../../transport/shell";
import { waitFor } from "../../../transport/wait";
import type { EmbeddedFacts } from "../facts";
import { kubectl } from "../kubernetes";

const PATIENCE_MS = 60_000;

/** Waits for a sign of life of an agent's node in the restored cluster; without one its agent is restarted. True when it was. */
export async function wakeAgent(
  agent: Host,
  unit: string | undefined,
  first: EmbeddedFacts,
  reader: HostReader,
): Promise<boolean> {
  const [node = "", seconds = "0"] = (await agent.query(sh`hostname | tr 'A-Z' 'a-z'; date +%s`)).stdout.split("\n");
  if (await hasLife(reader, first, node, Number(seconds) * 1000)) return false;
  await agent.run(sh`systemctl restart --no-block ${unit ?? first.program.agentUnit}`);
  return true;
}

async function hasLife(reader: HostReader, first: EmbeddedFacts, node: string, since: number): Promise<boolean> {
  const ask = kubectl(first);
  // The restored data says of every node that it is ready: only a beat since then tells.
  const lease = sh`timeout 20 ${ask} --namespace kube-node-lease get lease ${node} --output ${"jsonpath={.spec.renewTime}"}`;
  const beats = sh`timeout 20 ${ask} get node ${node} --output ${"jsonpath={.status.conditions[*].lastHeartbeatTime}"}`;
  const look = sh`{ ${lease}; echo; ${beats}; echo; } 2>/dev/null; :`;
  try {
    await waitFor(
      `${node}: a sign of life`,
      async () => {
        const times = (await reader.query(look)).stdout.split(/\s+/).map((time) => Date.parse(time));
        return times.some((time) => time > since) || "none yet";
      },
      PATIENCE_MS,
    );
    return true;
  } catch (error) {
    if (hasCode(error, "CLUSTER_UNHEALTHY")) return false;
    throw error;
  }
}
