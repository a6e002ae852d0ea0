import { readVerifiedFile } from "../../snapshot-file/verified-file";
import type { Host } from "../../transport/host";
import { sh } from "../../transport/shell";
import { type RestoreStagesRequest, SAFETY_PREFIX } from "../distribution";
import type { EmbeddedFacts } from "./facts";
import { saveSnapshot } from "./save-snapshot";

/**
 * Saves the present data of one living member before anything stops. Without a quorum the distribution's own command has
 * no API server to work with: then etcd itself is asked, which needs none.
 */
export async function saveSafetySnapshot(
  host: Host,
  facts: EmbeddedFacts,
  { cluster, members, attempt, quorum }: RestoreStagesRequest,
): Promise<void> {
  const base = `${SAFETY_PREFIX}${attempt}`;
  if (quorum) {
    await saveSnapshot(host, facts, { cluster, members, base });
    return;
  }
  const path = `${facts.snapshotDirectory}/${base}-${facts.nodeName}-${facts.clock}`;
  await members.saveSnapshot(facts, `${path}.part`);
  await readVerifiedFile(host, `${path}.part`);
  await host.run(sh`mv ${`${path}.part`} ${path} && { sync ${path} 2>/dev/null || sync; }`);
}
