import type { EtcdFacts } from "../distributions/etcd/facts";
import { serverDirectory } from "../plan/server-directory";
import type { Cluster } from "../model";
import { sh } from "../transport/shell";
import type { FoundSnapshot } from "./find-snapshot";
import type { ClusterLook } from "./look-at-cluster";

/** Why a restore would be refused before anything is touched, a line each, beginning with the server. */
export async function restoreFindings(cluster: Cluster, look: ClusterLook, snapshot: FoundSnapshot): Promise<string[]> {
  const perServer = await Promise.all(
    look.servers.map(async (facts) => [
      ...settingsFindings(facts, look, snapshot),
      ...(await spaceFindings(cluster, facts, look, snapshot)),
    ]),
  );
  const names = look.servers.map((facts) => facts.member.name);
  const twice = names.filter((name, index) => names.indexOf(name) !== index);
  return [
    ...perServer.flat(),
    ...twice.map((name) => `two servers run a member with the name ${name}; give each its own --name`),
  ];
}

function settingsFindings(facts: EtcdFacts, look: ClusterLook, snapshot: FoundSnapshot): string[] {
  const findings: string[] = [];
  if (facts.restoreTool === undefined)
    findings.push("there is no etcdutl, and no etcdctl that restores; install etcdutl beside etcd, or give `etcdutl`");
  // A newer tool writes what an older etcd cannot read.
  const [tool, server] = [facts.restoreToolVersion, facts.etcdVersion].map((version) =>
    version?.split(".", 2).join("."),
  );
  if (facts.restoreTool !== undefined && tool !== undefined && tool !== server) {
    findings.push(
      `${facts.restoreTool} is of etcd ${tool}, but etcd is ${facts.etcdVersion}; install the tool of etcd ${server ?? ""} there, or give its path as \`etcdutl\``,
    );
  }
  if (!facts.tools.has("sha256sum")) findings.push("there is no sha256sum; install coreutils");
  if (!facts.tools.has("flock")) findings.push("there is no flock; install util-linux");
  if (snapshot.file.location.kind === "s3" && !facts.tools.has("curl"))
    findings.push("there is no curl, which fetches the snapshot from S3; install curl");
  if (look.servers.length > 1 && facts.member.peerUrls.some((url) => /\/\/(localhost|127\.)/.test(url))) {
    findings.push(
      `its peers cannot reach ${facts.member.peerUrls.join(", ")}; set --initial-advertise-peer-urls in ${facts.unit}`,
    );
  }
  return findings.map((finding) => `${facts.server}: ${finding}`);
}

/** A restore holds, for a while, the staged file, the safety snapshot, the new data and the old data. */
async function spaceFindings(
  cluster: Cluster,
  facts: EtcdFacts,
  look: ClusterLook,
  snapshot: FoundSnapshot,
): Promise<string[]> {
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
    .map(
      ({ free, needed }) =>
        `${facts.server}: no space: a restore needs ${megabytes(needed)} for a while, ${megabytes(free)} are free`,
    );
}

export function megabytes(bytes: number): string {
  return bytes < 10 * 1024 * 1024 ? `${Math.ceil(bytes / 1024)} KiB` : `${Math.ceil(bytes / 1024 / 1024)} MiB`;
}
