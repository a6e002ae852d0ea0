import { randomUUID } from "node:crypto";
import { BackupError } from "../../errors";
import type { Cluster } from "../../model";
import type { HostReader } from "../../transport/host";
import { parsePairs, parseParts } from "../parts";
import { effectiveSettings, flagOn, setting } from "./settings/config-files";
import { type DiscoverQuestion, discoverScript } from "./discover-script";
import { parseEnvironment, parseEnvironmentFile } from "./settings/environment";
import { expandVariables, parseBusctlExecStart, parseShownExecStart, serverArguments } from "./settings/exec-start";
import type { ConfigFileFacts, EmbeddedFacts, LocalSnapshot, Tool } from "./facts";
import { loopbackOf } from "./loopback";
import type { Program } from "./program";
import { restoreDropIn } from "./restore/restore-places";
import { etcdVersionOf } from "./versions";

/**
 * Looks at one server, in one round trip: more where configuration or data are not where they were looked for. Rejects
 * what is not embedded etcd, and what Rancher manages.
 */
export async function inspect(program: Program, host: HostReader, cluster: Cluster): Promise<EmbeddedFacts> {
  const question: DiscoverQuestion = {
    cluster: cluster.name,
    unit: cluster.unit ?? program.unit,
    configDir: cluster.configDir ?? program.configDir,
    ...{ configFile: undefined, dataDir: cluster.dataDir, snapshotDirectory: undefined },
  };
  let seen = await look(program, host, cluster, question);
  // The unit tells where the configuration is, and that where the data is.
  for (let more = 2; more > 0 && !isWhereLookedFor(seen); more--) {
    seen = await look(program, host, cluster, { ...question, ...placesOf(seen.facts) });
  }
  refuseOthers(program, seen.facts, seen.managedBy);
  return seen.facts;
}

interface Look {
  readonly facts: EmbeddedFacts;
  readonly lookedIn: readonly string[];
  /** What of Rancher's is there. */
  readonly managedBy: readonly string[];
}

async function look(program: Program, host: HostReader, cluster: Cluster, question: DiscoverQuestion): Promise<Look> {
  const mark = `=${randomUUID()}`;
  const { stdout } = await host.query(discoverScript(program, question, mark));
  const parts = parseParts(stdout, mark);
  const part = (name: string): string => parts.get(name) ?? "";
  const lines = (name: string): string[] =>
    part(name)
      .split("\n")
      .filter((line) => line !== "");
  const show = parsePairs(part("unit"));
  const shown = (name: string): string => show.get(name)?.[0] ?? "";
  if (!parts.has("end")) throw new BackupError("COMMAND_FAILED", "the look at it was cut off", { host: host.name });
  if (shown("LoadState") !== "loaded") {
    throw new BackupError("NOT_EMBEDDED_ETCD", `there is no unit ${question.unit}`, {
      host: host.name,
      hint: `Give the \`unit\` that runs ${program.title}'s server there. Agents belong in \`agents\`.`,
    });
  }
  const environment = parseEnvironment(shown("Environment"));
  const variables = [
    ...environment.map((one) => ({ ...one, source: question.unit })),
    ...[...parts].flatMap(([name, text]) => {
      const [, path] = /^environment (.+)$/.exec(name) ?? [];
      return path === undefined ? [] : parseEnvironmentFile(text).map((one) => ({ ...one, source: path }));
    }),
  ];
  const args = serverArguments(
    expandVariables(
      parseBusctlExecStart(part("exec")) ?? parseShownExecStart(shown("ExecStart")),
      new Map(variables.map(({ name, value }) => [name, value])),
    ),
  );
  if (args === undefined) {
    throw new BackupError("NOT_EMBEDDED_ETCD", `${question.unit} does not run \`${program.name} server\``, {
      host: host.name,
      hint: "Agents have no etcd: list them in `agents`. Another unit's name goes in `unit`.",
    });
  }
  const given = { prefix: program.prefix, args, environment: variables };
  const configFile =
    setting(effectiveSettings({ ...given, files: [] }), "config") ?? `${question.configDir}/config.yaml`;
  const configFiles = [...parts]
    .flatMap(([name, text]) => readConfigPart(name, text))
    // What counts only during a restore is not the server's own.
    .filter(({ path }) => path !== restoreDropIn(configFile));
  const settings = effectiveSettings({ ...given, files: configFiles });
  const dataDir = cluster.dataDir ?? setting(settings, "data-dir") ?? program.dataDir;
  const nodeName = setting(settings, "node-name")?.toLowerCase() ?? part("node");
  const peerUrl = part("peer");
  const address =
    setting(settings, "node-ip")?.split(",")[0] ?? (/\/\/(.+):\d+$/.exec(peerUrl)?.[1] || part("address"));
  const there = new Set(lines("data"));
  const version = part("version");
  const [clock = "", boot = ""] = part("clock").split("\n");
  const certificates = `${dataDir}/server/tls/etcd`;
  const facts: EmbeddedFacts = {
    ...{ server: host.name, program, unit: question.unit, unitActive: shown("ActiveState") === "active" },
    ...{ version, etcdVersion: part("etcd-version") || (etcdVersionOf(version) ?? "unknown"), binary: part("binary") },
    startedAt: part("started") === "" ? undefined : Number(part("started")),
    running: part("listening") !== "",
    ...{ args, environment, configFile, configFiles, settings },
    environmentFiles: (show.get("EnvironmentFiles") ?? []).flatMap((line) => {
      const [, path, ignored] = /^(\/.*) \(ignore_errors=(yes|no)\)$/.exec(line) ?? [];
      return path === undefined ? [] : [`${ignored === "yes" ? "-" : ""}${path}`];
    }),
    ...{ nodeName, address, dataDir },
    supervisorPort: Number(
      program.supervisorPortSettings.map((name) => setting(settings, name)).find((port) => port !== undefined) ??
        program.supervisorPort,
    ),
    snapshotDirectory: setting(settings, "etcd-snapshot-dir") ?? `${dataDir}/server/db/snapshots`,
    snapshots: lines("snapshots").flatMap(localSnapshot),
    data: {
      ...{ hasEtcd: there.has("etcd"), hasSqlite: there.has("sqlite"), databaseBytes: Number(part("size")) },
    },
    hasNodePassword: part("node-password") !== "",
    tokenHash: part("token") || undefined,
    killScript: part("kill-script") || undefined,
    tools: new Set(lines("tools") as Tool[]),
    member: {
      name: part("member") || nodeName,
      peerUrls: peerUrl === "" ? [`https://${address}:2380`] : [peerUrl],
      endpoint: `https://${loopbackOf(address)}:2379`,
      cacert: `${certificates}/server-ca.crt`,
      cert: `${certificates}/client.crt`,
      key: `${certificates}/client.key`,
    },
    ...{ clock: Number(clock), boot, journal: part("journal"), marker: part("marker"), lease: part("lease") },
  };
  const rancher = configFiles.map((file) => file.path).filter((path) => path.endsWith("/50-rancher.yaml"));
  return { facts, lookedIn: [part("config"), ...lines("looked")], managedBy: [...rancher, ...lines("rancher")] };
}

function placesOf({ configFile, dataDir, snapshotDirectory }: EmbeddedFacts): Partial<DiscoverQuestion> {
  return { configFile, dataDir, snapshotDirectory };
}

function isWhereLookedFor({ facts, lookedIn }: Look): boolean {
  const { configFile, dataDir, snapshotDirectory } = facts;
  return [configFile, dataDir, snapshotDirectory].every((path, index) => path === lookedIn[index]);
}

function refuseOthers(program: Program, facts: EmbeddedFacts, managedBy: readonly string[]): void {
  if (managedBy.length > 0) {
    throw new BackupError("MANAGED_ELSEWHERE", `this cluster is managed by Rancher (${managedBy.join(", ")})`, {
      host: facts.server,
      hint: "Back it up and restore it there: what is changed on the servers, Rancher changes back. Nothing was touched.",
    });
  }
  if (facts.settings.unreadable.length > 0) {
    throw new BackupError("SETTING_NOT_FOUND", `${facts.settings.unreadable.join(", ")} cannot be read as YAML`, {
      host: facts.server,
      hint: `${program.title} itself would not start with it. Mend the file first.`,
    });
  }
  const external = setting(facts.settings, "datastore-endpoint") !== undefined;
  const sqlite = facts.data.hasSqlite && !facts.data.hasEtcd && facts.journal === "";
  if (!external && !sqlite && !flagOn(facts.settings, "disable-etcd")) return;
  const instead = external ? "an external datastore" : sqlite ? "SQLite" : "etcd on other servers (disable-etcd)";
  throw new BackupError(
    "NOT_EMBEDDED_ETCD",
    `${program.title} keeps its data in ${instead} here, not in embedded etcd`,
    {
      host: facts.server,
      hint: sqlite
        ? "Its backups are copies of server/db/state.db. `cluster-init: true` moves it to embedded etcd."
        : "Back that up with its own tools, or list the servers that run etcd.",
    },
  );
}

function readConfigPart(name: string, text: string): ConfigFileFacts[] {
  const [, mode, owner, changedAt, path] = /^file (\d+) (\S+) (\d+) (.+)$/.exec(name) ?? [];
  if (mode === undefined || owner === undefined || path === undefined) return [];
  return [{ path, mode, owner, changedAt: Number(changedAt), text }];
}

function localSnapshot(line: string): LocalSnapshot[] {
  const [, size, changedAt, path] = /^(\d+) (\d+) (.+)$/.exec(line) ?? [];
  if (path === undefined) return [];
  return [{ name: path.slice(path.lastIndexOf("/") + 1), sizeBytes: Number(size), changedAt: Number(changedAt) }];
}
