import { distributionOf } from "../distributions";
import { API_SERVER_UNIT, type Finding } from "../distributions/distribution";
import { BackupError } from "../errors";
import type { Cluster } from "../model";
import { sh } from "../transport/shell";
import type { FoundSnapshot } from "./find-snapshot";
import type { ClusterLook } from "./look-at-cluster";
import { reachServer } from "./reach";
import type { RestoreRequest } from "./restore";

/** Rejects when something stands in the restore's way; nothing was touched. */
export async function refuseFindings(
  cluster: Cluster,
  look: ClusterLook,
  snapshot: FoundSnapshot,
  request: RestoreRequest,
): Promise<void> {
  const findings = await restoreFindings(cluster, look, snapshot, request);
  const [first] = findings;
  if (first === undefined) return;
  throw new BackupError(first.code, findings.map((finding) => finding.text).join("\n"), {
    hint: "Nothing was touched.",
  });
}

/** Why a restore would be refused before anything is touched; without what the request accepts. */
export async function restoreFindings(
  cluster: Cluster,
  look: ClusterLook,
  snapshot: FoundSnapshot,
  request: RestoreRequest,
): Promise<readonly Finding[]> {
  const { restores } = distributionOf(cluster);
  const findings = [
    ...(await restores.findings(cluster, look, snapshot.file, request.token ?? cluster.token)),
    ...(await apiServerFindings(cluster)),
  ];
  return findings
    .filter(({ code, mayAccept }) => mayAccept !== true || !(request.accept ?? []).includes(code))
    .map((finding) =>
      finding.mayAccept === true
        ? { ...finding, text: `${finding.text}\nTo restore all the same: \`accept: ["${finding.code}"]\`.` }
        : finding,
    );
}

/** An API server that cannot be stopped would be found out when the restore has begun. */
async function apiServerFindings(cluster: Cluster): Promise<Finding[]> {
  const found = await Promise.all(
    (cluster.apiServers ?? []).map(async (server): Promise<Finding[]> => {
      const { name, unit = API_SERVER_UNIT } = server;
      const host = await reachServer(cluster, server);
      const { stdout } = await host.query(sh`systemctl cat ${unit} >/dev/null 2>&1 || echo missing`);
      if (stdout === "") return [];
      return [{ code: "SETTING_NOT_FOUND", text: `${name}: there is no unit ${unit}; give the API server's \`unit\`` }];
    }),
  );
  return found.flat();
}
