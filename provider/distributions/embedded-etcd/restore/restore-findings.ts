import type { Cluster, SnapshotFile } from "../../../model";
import { serverDirectory } from "../../../plan/server-directory";
import type { HostReader } from "../../../transport/host";
import { sh } from "../../../transport/shell";
import type { Finding, RestoreLook } from "../../distribution";
import { spaceFindings } from "../../free-space";
import { flagOn } from "../settings/config-files";
import type { EmbeddedFacts, Tool } from "../facts";
import { joinFindings } from "./join-findings";
import { memberFindings } from "./member-findings";
import { configuredToken, snapshotFindings } from "./snapshot-findings";
import { firstServer } from "./restore-places";
import { hashToken } from "../token";
import { knownProblems } from "../versions";

/** Why a restore would be refused before anything is touched. */
export async function restoreFindings(
  cluster: Cluster,
  look: RestoreLook<EmbeddedFacts>,
  snapshot: SnapshotFile,
  token: string | undefined,
): Promise<readonly Finding[]> {
  const { servers, hosts } = look;
  const first = firstServer(servers);
  if (first === undefined) return [];
  const perServer = await Promise.all(
    servers.map(async (facts) => {
      const host = hosts.get(facts.server);
      return [
        ...toolFindings(facts, facts === first, snapshot),
        ...versionFindings(facts),
        ...(await configuredTokenFindings(host, facts, token)),
        ...(host === undefined ? [] : await diskFindings(host, cluster, facts, facts === first, snapshot)),
      ];
    }),
  );
  return [
    ...perServer.flat(),
    ...nodeFindings(servers),
    ...apiServerFindings(servers),
    ...joinFindings(servers, first),
    ...(await memberFindings(look)),
    ...(await snapshotFindings(look, first, snapshot, token)),
  ];
}

function toolFindings(facts: EmbeddedFacts, isFirst: boolean, snapshot: SnapshotFile): Finding[] {
  const needed: Tool[] = isFirst
    ? [
        ...(["flock", "sha256sum", "systemd-run"] as const),
        ...(snapshot.name.endsWith(".zip") ? ["gzip" as const] : []),
        ...(snapshot.location.kind === "s3" ? ["curl" as const] : []),
      ]
    : ["flock"];
  const missing = [
    ...needed.filter((tool) => !facts.tools.has(tool)),
    ...(facts.binary === "" ? [facts.program.name] : []),
    ...(facts.program.needsKillScript && facts.killScript === undefined ? [`${facts.program.name}-killall.sh`] : []),
  ];
  if (missing.length === 0) return [];
  return [
    { code: "TOOL_MISSING", text: `${facts.server}: there is no ${missing.join(", no ")}; install what is missing` },
  ];
}

function versionFindings(facts: EmbeddedFacts): Finding[] {
  const operation = facts.data.hasEtcd ? "restore" : "restore-new-machines";
  return knownProblems(facts.version)
    .filter(
      ({ severity, operations, when }) =>
        severity === "refusal" && operations.includes(operation) && when === undefined,
    )
    .map(({ text, link }) => ({
      ...{ code: "UNSUPPORTED_VERSION", mayAccept: true },
      text: `${facts.server}: ${facts.version}: ${text} (${link})`,
    }));
}

/** A token in a server's own configuration that is not the snapshot's would keep it from starting after the restore. */
async function configuredTokenFindings(
  host: HostReader | undefined,
  facts: EmbeddedFacts,
  token: string | undefined,
): Promise<Finding[]> {
  const configured = await configuredToken(host, facts);
  if (token === undefined) {
    if (configured !== undefined || facts.tokenHash !== undefined) return [];
    const text = `${facts.server}: it has no server token; give the token of the time of the snapshot as \`token\``;
    return [{ code: "TOKEN_MISMATCH", text }];
  }
  if (configured === undefined || configured.hash === hashToken(token)) return [];
  const text = `${facts.server}: ${configured.source} has another token than \`token\`; change it there first, else ${facts.program.title} does not start after the restore`;
  return [{ code: "TOKEN_MISMATCH", text }];
}

function nodeFindings(servers: readonly EmbeddedFacts[]): Finding[] {
  const names = servers.map((facts) => facts.nodeName);
  const twice = new Set(names.filter((name, index) => names.indexOf(name) !== index));
  return [...twice].map((name) => ({
    code: "SETTING_NOT_FOUND",
    text: `two servers are the node ${name}; give each its own \`node-name\``,
  }));
}

/** After the reset it is asked for Nodes and secrets, and it has to say that the cluster is back. */
function apiServerFindings(servers: readonly EmbeddedFacts[]): Finding[] {
  const without = servers.filter(({ settings }) => flagOn(settings, "disable-apiserver")).map(({ server }) => server);
  if (without.length === 0) return [];
  const text = `${without.join(", ")}: etcd without an API server (disable-apiserver) cannot be restored from here yet; follow the distribution's own documentation`;
  return [{ code: "UNSUPPORTED_SETUP", text }];
}

/** A restore holds, for a while, the staged file, the safety snapshot, the new data and the old data. */
async function diskFindings(
  host: HostReader,
  cluster: Cluster,
  facts: EmbeddedFacts,
  isFirst: boolean,
  { sizeBytes, name }: SnapshotFile,
): Promise<Finding[]> {
  const walBytes = 64 * 1024 * 1024;
  // How far a database has been compressed is not known before it is unpacked.
  const unpacked = name.endsWith(".zip") ? Math.max(sizeBytes * 5, facts.data.databaseBytes) : sizeBytes;
  const staged = name.endsWith(".zip") ? sizeBytes + unpacked : unpacked;
  const data = `${facts.dataDir}/server/db`;
  const found = await spaceFindings(host, [
    ...(isFirst ? [{ path: serverDirectory(cluster.name), bytes: staged }] : []),
    { path: facts.snapshotDirectory, bytes: facts.data.databaseBytes },
    { path: data, bytes: unpacked * (isFirst ? 2 : 1.1) + walBytes },
  ]);
  const { stdout } = await host.query(sh`! mountpoint -q ${`${data}/etcd`} 2>/dev/null || echo mounted`);
  // What a zip holds is a guess here.
  const full = name.endsWith(".zip") ? found.map((finding) => ({ ...finding, mayAccept: true as const })) : found;
  if (stdout.trim() === "") return full;
  const text = `${facts.server}: ${data}/etcd is a mount point: neither ${facts.program.title}'s reset nor we can rename it; mount the disk at ${facts.dataDir} instead`;
  return [...full, { code: "UNSUPPORTED_SETUP", text }];
}
