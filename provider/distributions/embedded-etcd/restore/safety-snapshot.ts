import { hasCode } from "../../../errors";
import { readVerifiedFile } from "../../../snapshot-file/verified-file";
import type { Host } from "../../../transport/host";
import { sh } from "../../../transport/shell";
import { type RestoreStagesRequest, SAFETY_PREFIX } from "../../distribution";
import type { EmbeddedFacts } from "../facts";
import { saveSnapshot } from "../snapshots/save-snapshot";

/**
 * Saves the present data of one living member before anything stops. Where the distribution's own command cannot, because
 * there is no quorum or for another reason, etcd itself is asked, which needs nothing else.
 */
export async function saveSafetySnapshot(
  host: Host,
  facts: EmbeddedFacts,
  { cluster, members, attempt, quorum }: RestoreStagesRequest,
): Promise<void> {
  const base = `${SAFETY_PREFIX}${attempt}`;
  if (quorum) {
    try {
      await saveSnapshot(host, facts, { cluster, members, base });
      return;
    } catch (error) {
      // A supervisor that does not work may be why there is a restore.
      if (!hasCode(error, "SNAPSHOT_FAILED")) throw error;
    }
  }
  const path = `${facts.snapshotDirectory}/${base}-${facts.nodeName}-${facts.clock}`;
  await members.saveSnapshot(facts, `${path}.part`);
  await readVerifiedFile(host, `${path}.part`);
  await host.run(sh`mv ${`${path}.part`} ${path} && { sync ${path} 2>/dev/null || sync; }`);
}
