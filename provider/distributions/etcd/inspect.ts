import { randomUUID } from "node:crypto";
import { BackupError } from "../../errors";
import type { Cluster } from "../../model";
import type { HostReader } from "../../transport/host";
import { discoverScript } from "./discover-script";
import type { BackupFacts, EtcdFacts, MemberFacts } from "./facts";
import { type MemberSettings, readMemberSettings } from "./member-settings";
import { parsePairs, parseParts } from "../parts";

/** Looks at one server, in one round trip. What cannot be found is asked for by the name of its input. */
export async function inspect(
  host: HostReader,
  cluster: Cluster,
  calendar: readonly string[] = [],
): Promise<EtcdFacts> {
  const mark = `=${randomUUID()}`;
  const question = { cluster: cluster.name, unit: cluster.unit, etcdutl: cluster.etcdutl, calendar };
  const { stdout } = await host.query(discoverScript(question, mark));
  const parts = parseParts(stdout, mark);
  const part = (name: string): string => parts.get(name) ?? "";
  const unit = oneUnit(host.name, part("units"));
  const show = parsePairs(part("unit"));
  const first = (pairs: ReadonlyMap<string, readonly string[]>, name: string): string => pairs.get(name)?.[0] ?? "";
  if (first(show, "LoadState") === "not-found" || !parts.has("end")) {
    throw new BackupError("NOT_ETCD", `there is no unit ${unit}`, {
      host: host.name,
      hint: "Give the `unit` that runs etcd there.",
    });
  }
  const tools = parsePairs(part("tools"));
  const found = (name: string): string | undefined => first(tools, name) || undefined;
  const settings = readMemberSettings({
    args: part("args").split("\n"),
    vars: part("vars").split("\n"),
    config: part("config"),
  });
  const [clock = "", boot = ""] = part("clock").split("\n");
  return {
    server: host.name,
    unit,
    unitActive: first(show, "ActiveState") === "active",
    running: part("running") !== "",
    startedAt: first(show, "ExecMainStartTimestamp"),
    user: first(show, "User") || "root",
    group: first(show, "Group") || first(show, "User") || "root",
    etcdVersion: found("version") ?? "unknown",
    etcdctl: found("etcdctl"),
    restoreTool: found("restore"),
    restoreToolVersion: found("restoreVersion"),
    canBumpRevision: found("bump") === "yes",
    tools: new Set(
      (["curl", "flock", "sha256sum", "systemd-analyze"] as const).filter((tool) => found(tool) !== undefined),
    ),
    settings,
    member: memberFacts(host.name, cluster, settings, first(show, "WorkingDirectory")),
    clock: Number(clock),
    boot,
    backups: backupFacts(
      part("files"),
      part("settings"),
      part("timer"),
      part("service"),
      part("calendar"),
      part("status"),
    ),
    journal: part("journal"),
    marker: part("marker"),
    lease: part("lease"),
  };
}

function oneUnit(server: string, units: string): string {
  const names = units.split("\n").filter((name) => name !== "");
  const [unit] = names;
  if (unit !== undefined && names.length === 1) return unit;
  throw new BackupError(
    "NOT_ETCD",
    names.length === 0 ? "no systemd unit runs etcd here" : `several units run etcd here: ${names.join(", ")}`,
    { host: server, hint: "Give the `unit` that runs etcd, in etcd({ unit: … })." },
  );
}

function memberFacts(
  server: string,
  cluster: Cluster,
  settings: MemberSettings,
  workingDirectory: string,
): MemberFacts {
  const list = (flag: string): string[] => (settings.get(flag) ?? "").split(",").filter((item) => item !== "");
  const name = settings.get("name") ?? "default";
  const dataDir = cluster.dataDir ?? settings.get("data-dir") ?? `${name}.etcd`;
  const missing = (what: string, input: string): BackupError =>
    new BackupError(
      "SETTING_NOT_FOUND",
      `${what} was not found in the unit's flags, environment or configuration file`,
      {
        host: server,
        hint: `Give \`${input}\` in etcd({ … }).`,
      },
    );
  const base = workingDirectory || "/";
  const absolute = (path: string): string => (path.startsWith("/") ? path : `${base.replace(/\/$/, "")}/${path}`);
  if (cluster.dataDir === undefined && !settings.has("data-dir") && workingDirectory === "")
    throw missing("the data directory", "dataDir");
  const endpoint = cluster.endpoints?.[0] ?? localEndpoint(list("listen-client-urls"), list("advertise-client-urls"));
  const tls = endpoint.startsWith("https:");
  const cacert = cluster.cacert ?? settings.get("trusted-ca-file");
  if (tls && cacert === undefined) throw missing("the certificate authority of etcd's client port", "cacert");
  return {
    name,
    dataDir: absolute(dataDir),
    walDir: settings.get("wal-dir") === undefined ? undefined : absolute(settings.get("wal-dir") ?? ""),
    peerUrls:
      list("initial-advertise-peer-urls").length > 0 ? list("initial-advertise-peer-urls") : ["http://localhost:2380"],
    endpoint,
    cacert: tls ? cacert : undefined,
    cert: tls ? (cluster.cert ?? settings.get("cert-file")) : undefined,
    key: tls ? (cluster.key ?? settings.get("key-file")) : undefined,
  };
}

/** A URL that answers on the server itself: loopback where etcd listens there. */
function localEndpoint(listen: readonly string[], advertised: readonly string[]): string {
  const everywhere = (url: string): string => url.replace(/\/\/(0\.0\.0\.0|\[::\])(?=:)/, "//127.0.0.1");
  const loopback = listen.map(everywhere).find((url) => /\/\/(127\.|localhost|\[::1\])/.test(url));
  return loopback ?? listen[0] ?? advertised[0] ?? "http://127.0.0.1:2379";
}

function backupFacts(
  files: string,
  settings: string,
  timer: string,
  service: string,
  calendar: string,
  status: string,
): BackupFacts {
  const timerFacts = parsePairs(timer);
  const serviceFacts = parsePairs(service);
  const one = (pairs: ReadonlyMap<string, readonly string[]>, name: string): string => pairs.get(name)?.[0] ?? "";
  return {
    files: files.split("\n").flatMap((line) => {
      const [, mode, owner, changedAt, sha256, path] = /^(\d+) (\S+) (\d+) (\S+) (.+)$/.exec(line) ?? [];
      if (mode === undefined || owner === undefined || sha256 === undefined || path === undefined) return [];
      return [{ mode, owner, changedAt: Number(changedAt), sha256, path }];
    }),
    settings,
    timerActive: one(timerFacts, "ActiveState") === "active",
    timerEnabled: one(timerFacts, "UnitFileState") === "enabled",
    calendar: (timerFacts.get("TimersCalendar") ?? []).flatMap(
      (line) => /OnCalendar=(.+?) ;/.exec(line)?.slice(1) ?? [],
    ),
    declaredCalendar: calendar.split("\n").filter((line) => line !== ""),
    commands: (serviceFacts.get("ExecStart") ?? []).flatMap(
      (line) => /argv\[\]=(.*?) ; ignore_errors=/.exec(line)?.slice(1) ?? [],
    ),
    dropIns: [...`${one(timerFacts, "DropInPaths")} ${one(serviceFacts, "DropInPaths")}`.split(" ")].filter(
      (path) => path !== "",
    ),
    needsReload: [timerFacts, serviceFacts].some((facts) => one(facts, "NeedDaemonReload") === "yes"),
    status,
    lastRunResult: one(serviceFacts, "Result") || undefined,
  };
}
