import { BackupError } from "../errors";
import { API_SERVER_UNIT, type Finding, type ServerFacts } from "../distributions/distribution";
import { serverDirectory } from "../plan/server-directory";
import type { Cluster } from "../model";
import { sh } from "../transport/shell";
import { reachServer } from "./reach";
import type { FoundSnapshot } from "./find-snapshot";
import type { ClusterLook } from "./look-at-cluster";

/** Rejects when something stands in the restore's way; nothing was touched. */
export async function refuseFindings(cluster: Cluster, look: ClusterLook, snapshot: FoundSnapshot): Promise<void> {
  const findings = await restoreFindings(cluster, look, snapshot);
  const [first] = findings;
  if (first === undefined) return;
  throw new BackupError(first.code, findings.map((finding) => finding.text).join("\n"), {
    hint: "Nothing was touched.",
  });
}

/** Why a restore would be refused before anything is touched. */
export async function restoreFindings(
  cluster: Cluster,
  look: ClusterLook,
  snapshot: FoundSnapshot,
): Promise<readonly Finding[]> {
  const perServer = await Promise.all(
    look.servers.map(async (facts) => [
      ...toolFindings(facts, snapshot),
      ...peerFindings(facts, look),
      ...(await spaceFindings(cluster, facts, look, snapshot)),
    ]),
  );
  return [...perServer.flat(), ...nameFindings(look), ...(await apiServerFindings(cluster))];
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

function toolFindings(facts: ServerFacts, snapshot: FoundSnapshot): Finding[] {
  const missing: string[] = [];
  if (facts.restoreTool === undefined) {
    missing.push("no etcdutl, and no etcdctl that restores; install etcdutl beside etcd, or give `etcdutl`");
  }
  if (!facts.tools.has("sha256sum")) missing.push("no sha256sum; install coreutils");
  if (!facts.tools.has("flock")) missing.push("no flock; install util-linux");
  if (snapshot.file.location.kind === "s3" && !facts.tools.has("curl")) {
    missing.push("no curl, which fetches the snapshot from S3; install curl");
  }
  const findings = missing.map((what) => ({
    code: "TOOL_MISSING" as const,
    text: `${facts.server}: there is ${what}`,
  }));
  // A newer tool writes what an older etcd cannot read.
  const minor = (version: string | undefined): string | undefined => version?.split(".", 2).join(".");
  const [tool, server] = [minor(facts.restoreToolVersion), minor(facts.etcdVersion)];
  if (facts.restoreTool === undefined || tool === undefined || tool === server) return findings;
  const text = `${facts.server}: ${facts.restoreTool} is of etcd ${tool}, but etcd is ${facts.etcdVersion}; install the tool of etcd ${server ?? ""} there, or give its path as \`etcdutl\``;
  return [...findings, { code: "TOOL_MISSING", text }];
}

function peerFindings(facts: ServerFacts, look: ClusterLook): Finding[] {
  const { peerUrls } = facts.member;
  if (look.servers.length === 1 || !peerUrls.some((url) => /\/\/(localhost|127\.)/.test(url))) return [];
  const text = `${facts.server}: its peers cannot reach ${peerUrls.join(", ")}; set --initial-advertise-peer-urls in ${facts.unit}`;
  return [{ code: "SETTING_NOT_FOUND", text }];
}

function nameFindings(look: ClusterLook): Finding[] {
  const names = look.servers.map((facts) => facts.member.name);
  const twice = new Set(names.filter((name, index) => names.indexOf(name) !== index));
  return [...twice].map((name) => ({
    code: "SETTING_NOT_FOUND",
    text: `two servers run a member with the name ${name}; give each its own --name`,
  }));
}

/** A restore holds, for a while, the staged file, the safety snapshot, the new data and the old data. */
async function spaceFindings(
  cluster: Cluster,
  facts: ServerFacts,
  look: ClusterLook,
  snapshot: FoundSnapshot,
): Promise<Finding[]> {
  const host = look.hosts.get(facts.server);
  if (host === undefined) return [];
  const { stdout } =
    await host.query(sh`there() { p=$1; while [ ! -e "$p" ]; do p=$(dirname "$p"); done; printf '%s\n' "$p"; }
for p in ${serverDirectory(cluster.name)} ${facts.member.dataDir} ${facts.member.walDir ?? []}; do
  p=$(there "$p"); printf '%s %s\n' "$(stat -c %d "$p")" "$(df -Pk "$p" | awk 'NR == 2 {print $4}')"
done
stat -c %s ${`${facts.member.dataDir}/member/snap/db`} 2>/dev/null || echo 0`);
  const lines = stdout.trim().split("\n");
  const present = Number(lines.at(-1));
  const [ours = "", data = "", wal = ""] = lines;
  const walBytes = 64 * 1024 * 1024;
  const needs: [string, number][] = [
    [ours, snapshot.file.sizeBytes + present],
    [data, snapshot.file.sizeBytes * 1.1 + (facts.member.walDir === undefined ? walBytes : 0)],
    ...(facts.member.walDir === undefined ? [] : [[wal, walBytes] satisfies [string, number]]),
  ];
  const devices = new Map<string, { free: number; needed: number }>();
  for (const [line, needed] of needs) {
    const [device = "", free = "0"] = line.split(" ");
    const sum = (devices.get(device)?.needed ?? 0) + needed;
    devices.set(device, { free: Number(free) * 1024, needed: sum });
  }
  return [...devices.values()]
    .filter(({ free, needed }) => free < needed)
    .map(({ free, needed }) => ({
      code: "NO_SPACE",
      text: `${facts.server}: no space: a restore needs ${megabytes(needed)} for a while, ${megabytes(free)} are free`,
    }));
}

export function megabytes(bytes: number): string {
  return bytes < 10 * 1024 * 1024 ? `${Math.ceil(bytes / 1024)} KiB` : `${Math.ceil(bytes / 1024 / 1024)} MiB`;
}
