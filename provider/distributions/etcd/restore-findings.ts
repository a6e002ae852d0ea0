import type { Cluster, SnapshotFile } from "../../model";
import { serverDirectory } from "../../plan/server-directory";
import type { HostReader } from "../../transport/host";
import { sh } from "../../transport/shell";
import type { Finding, RestoreLook } from "../distribution";
import { spaceFindings } from "../free-space";
import type { EtcdFacts } from "./facts";

/** Why a restore would be refused before anything is touched. */
export async function restoreFindings(
  cluster: Cluster,
  { servers, hosts }: Pick<RestoreLook<EtcdFacts>, "servers" | "hosts">,
  snapshot: SnapshotFile,
): Promise<readonly Finding[]> {
  const perServer = await Promise.all(
    servers.map(async (facts) => {
      const host = hosts.get(facts.server);
      return [
        ...toolFindings(facts, snapshot),
        ...(servers.length === 1 ? [] : peerFindings(facts)),
        ...(host === undefined ? [] : await tooFull(host, cluster, facts, snapshot)),
      ];
    }),
  );
  return [...perServer.flat(), ...nameFindings(servers)];
}

function toolFindings(facts: EtcdFacts, snapshot: SnapshotFile): Finding[] {
  const missing: string[] = [];
  if (facts.restoreTool === undefined) {
    missing.push("no etcdutl, and no etcdctl that restores; install etcdutl beside etcd, or give `etcdutl`");
  }
  if (!facts.tools.has("sha256sum")) missing.push("no sha256sum; install coreutils");
  if (!facts.tools.has("flock")) missing.push("no flock; install util-linux");
  if (snapshot.location.kind === "s3" && !facts.tools.has("curl")) {
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

function peerFindings(facts: EtcdFacts): Finding[] {
  const { peerUrls } = facts.member;
  if (!peerUrls.some((url) => /\/\/(localhost|127\.)/.test(url))) return [];
  const text = `${facts.server}: its peers cannot reach ${peerUrls.join(", ")}; set --initial-advertise-peer-urls in ${facts.unit}`;
  return [{ code: "SETTING_NOT_FOUND", text }];
}

function nameFindings(servers: readonly EtcdFacts[]): Finding[] {
  const names = servers.map((facts) => facts.member.name);
  const twice = new Set(names.filter((name, index) => names.indexOf(name) !== index));
  return [...twice].map((name) => ({
    code: "SETTING_NOT_FOUND",
    text: `two servers run a member with the name ${name}; give each its own --name`,
  }));
}

/** A restore holds, for a while, the staged file, the safety snapshot, the new data and the old data. */
async function tooFull(
  host: HostReader,
  cluster: Cluster,
  { member: { dataDir, walDir } }: EtcdFacts,
  { sizeBytes }: SnapshotFile,
): Promise<Finding[]> {
  const present = await host.query(sh`stat -c %s ${`${dataDir}/member/snap/db`} 2>/dev/null || echo 0`);
  const walBytes = 64 * 1024 * 1024;
  return spaceFindings(host, [
    { path: serverDirectory(cluster.name), bytes: sizeBytes + Number(present.stdout) },
    { path: dataDir, bytes: sizeBytes * 1.1 + (walDir === undefined ? walBytes : 0) },
    ...(walDir === undefined ? [] : [{ path: walDir, bytes: walBytes }]),
  ]);
}
