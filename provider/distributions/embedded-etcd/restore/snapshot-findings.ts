import type { SnapshotFile } from "../../../model";
import type { HostReader } from "../../../transport/host";
import type { Finding, RestoreLook } from "../../distribution";
import { setting } from "../settings/config-files";
import type { EmbeddedFacts } from "../facts";
import { clusterId, ETCD_VERSION, objectOwner } from "../snapshots/snapshot-objects";
import { tokensIn } from "./stage-snapshot";
import { hashToken, hashTokenFile, serverTokenHash } from "../token";

/** What is known of the snapshot without restoring it: whose it is, which token it was taken with, and by which etcd. */
export async function snapshotFindings(
  look: RestoreLook<EmbeddedFacts>,
  first: EmbeddedFacts,
  snapshot: SnapshotFile,
  token: string | undefined,
): Promise<Finding[]> {
  return [
    ...(await tokenFindings(look, first, snapshot, token)),
    ...(await foreignFindings(look, first, snapshot)),
    ...look.servers.flatMap((facts) => etcdFindings(facts, snapshot)),
  ];
}

async function tokenFindings(
  { hosts }: RestoreLook<EmbeddedFacts>,
  first: EmbeddedFacts,
  { name, location, metadata }: SnapshotFile,
  token: string | undefined,
): Promise<Finding[]> {
  const host = hosts.get(first.server);
  const wanted =
    token === undefined ? (serverTokenHash(first) ?? (await configuredToken(host, first))?.hash) : hashToken(token);
  const holder = location.kind === "file" ? hosts.get(location.server) : undefined;
  const said = metadata?.[`${first.program.name}-token-hash`];
  const tokens =
    location.kind === "file" && holder !== undefined && !name.endsWith(".zip")
      ? await tokensIn(holder, location.path)
      : said === undefined
        ? []
        : [said];
  if (wanted === undefined || tokens.length === 0 || tokens.includes(wanted)) return [];
  const text = `${first.server}: the snapshot was taken with another server token (its hash is ${tokens.join(" or ")}, this one's ${wanted}); give the token of that time as \`token\``;
  return [{ code: "TOKEN_MISMATCH", text }];
}

/** A cluster that is gone cannot be compared. */
async function foreignFindings(
  { hosts, servers, quorum }: RestoreLook<EmbeddedFacts>,
  first: EmbeddedFacts,
  snapshot: SnapshotFile,
): Promise<Finding[]> {
  const host = hosts.get(first.server);
  const owner = objectOwner(first.program, snapshot);
  if (owner === undefined || host === undefined || !quorum || !servers.some((facts) => facts.running)) return [];
  const own = await clusterId(host, first);
  if (own === undefined || own === owner.clusterId) return [];
  const text = `${first.server}: the snapshot is another cluster's (${owner.clusterId}; this one is ${own})`;
  return [{ code: "SNAPSHOT_FOREIGN", text, mayAccept: true }];
}

/** What a newer etcd has written, an older one may not read. Only snapshots that we sent say by which they were taken. */
function etcdFindings({ server, etcdVersion }: EmbeddedFacts, { metadata }: SnapshotFile): Finding[] {
  const minor = (version: string | undefined): number | undefined => {
    const [, found] = /^3\.(\d+)/.exec(version ?? "") ?? [];
    return found === undefined ? undefined : Number(found);
  };
  const taken = metadata?.[ETCD_VERSION];
  const [was, is] = [minor(taken), minor(etcdVersion)];
  if (was === undefined || is === undefined || was <= is) return [];
  const text = `${server}: the snapshot was taken by etcd ${taken ?? ""}, and here is etcd ${etcdVersion}; upgrade it to a version with that etcd first`;
  return [{ code: "UNSUPPORTED_VERSION", text }];
}

/** Which token the server's own configuration has, and where it stands. */
export async function configuredToken(
  host: HostReader | undefined,
  { settings, dataDir }: EmbeddedFacts,
): Promise<{ readonly source: string; readonly hash: string } | undefined> {
  const token = settings.values.get("token");
  if (token !== undefined && token.value !== "") return { source: token.source, hash: hashToken(token.value) };
  const file = setting(settings, "token-file");
  // What lies in its data is written anew with the token that it starts with.
  if (file === undefined || host === undefined || file.startsWith(`${dataDir}/`)) return undefined;
  const hash = await hashTokenFile(host, file);
  return hash === undefined ? undefined : { source: file, hash };
}
