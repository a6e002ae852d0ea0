import { distributionOf } from "../distributions";
import type { Cluster } from "../model";
import { inParallel } from "../in-parallel";
import type { ClusterLook } from "./look-at-cluster";
import { reachServer } from "./reach";

/**
 * Sees to it that the agents come back to the restored cluster. One that cannot be helped does not make the restore fail:
 * what is left to do is said, a line each.
 */
export async function wakeAgents(cluster: Cluster, look: ClusterLook): Promise<readonly string[]> {
  const agents = cluster.agents ?? [];
  const { restores } = distributionOf(cluster);
  const results = await inParallel(agents, async (agent) =>
    restores.wakeAgent?.(await reachServer(cluster, agent), agent.unit, look.servers, look.hosts),
  );
  return results.flatMap((result, index) => {
    const name = agents[index]?.name ?? "";
    if (result.status === "fulfilled") {
      return result.value === true ? [`The agent on ${name} did not come back by itself and was restarted.`] : [];
    }
    const reason = result.reason instanceof Error ? result.reason.message.split("\n")[0] : String(result.reason);
    return [`The agent on ${name} could not be looked after (${reason}): restart it if its node is not ready.`];
  });
}
