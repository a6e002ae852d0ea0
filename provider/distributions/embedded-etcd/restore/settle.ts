import type { Hosts } from "../../../plan/plan";
import { sh } from "../../../transport/shell";
import type { RestoreStagesRequest } from "../../distribution";
import { startFreed, stopHeld } from "../../held-unit";
import type { EmbeddedFacts } from "../facts";
import { killContainers } from "./reset";
import { listFiles } from "./restore-data";
import { firstServer, restorePlaces } from "./restore-places";

/**
 * Whether anything may have been written to the restored server. Stops it to find out: only files that are as the reset
 * left them tell that nothing was. An etcd that has run has changed some, and there is no tool here that could look inside.
 */
export async function settle(
  servers: readonly EmbeddedFacts[],
  request: RestoreStagesRequest,
  hosts: Hosts,
): Promise<"forward" | "back"> {
  if (await request.members.hasQuorum()) return "forward";
  const first = firstServer(servers);
  const host = first === undefined ? undefined : hosts.get(first.server);
  if (first === undefined || host === undefined) return "forward";
  const places = restorePlaces(request.cluster.name, first, request.attempt);
  await host.run(stopHeld(first.unit, places.work, [2379, 2380], killContainers(first)), { timeoutMs: 300_000 });
  const files = `${places.work}/files`;
  const { stdout } = await host.query(
    sh`[ -s ${files} ] && [ "$({ ${listFiles(first)}; })" = "$(cat ${files})" ] && echo same || echo changed`,
  );
  if (stdout.trim() === "same") return "back";
  await host.run(startFreed(first.unit));
  return "forward";
}
