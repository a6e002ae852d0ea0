import { createHash } from "node:crypto";
import type { EtcdFacts } from "./facts";
import { parsePairs } from "../parts";
import { declaredCommand, othersDropIns, sameLines } from "./last-word";
import { configDirectory } from "./places";
import type { BackupFile } from "./units";

/**
 * How what runs differs from what is declared, a line each, beginning with the input's name where one is to blame.
 * Secrets are compared by hash and never shown.
 */
export function backupDrift(
  cluster: string,
  expected: readonly BackupFile[],
  facts: EtcdFacts,
  declared: { readonly schedule: string; readonly enabled: boolean },
): string[] {
  const { backups } = facts;
  if (!backups.files.some((file) => expected.some((ours) => ours.path === file.path)))
    return ["enabled: no backups are configured"];
  const drift = expected.flatMap((file) => fileDrift(file, facts));
  const folder = backups.files.find((file) => file.path === configDirectory(cluster));
  if (folder !== undefined && folder.mode !== "700") drift.push(`${folder.path}: mode 0${folder.mode}, declared 0700`);
  drift.push(...staleFiles(cluster, expected, facts).map((path) => `${path}: is there, but belongs to no setting`));
  const runs = (lines: readonly string[]): string => [...lines].sort().join("; ");
  const by = (kind: "timer" | "service"): string => {
    const dropIns = othersDropIns(cluster, kind, backups);
    return dropIns.length === 0 ? "" : ` (by ${dropIns.join(", ")})`;
  };
  if (backups.declaredCalendar.length > 0 && !sameLines(backups.calendar, backups.declaredCalendar)) {
    drift.push(`schedule: systemd runs "${runs(backups.calendar)}"${by("timer")}, declared "${declared.schedule}"`);
  }
  // Without a drop-in it is our service that was changed, and said so already.
  if (by("service") !== "" && !sameLines(backups.commands, [declaredCommand(cluster)])) {
    drift.push(
      `enabled: the service runs "${runs(backups.commands)}"${by("service")}, declared "${declaredCommand(cluster)}"`,
    );
  }
  if (backups.needsReload) drift.push("schedule: systemd has not read our units since they changed");
  if (backups.timerActive !== declared.enabled) {
    drift.push(
      `enabled: the timer is ${backups.timerActive ? "active" : "off"}, declared ${declared.enabled ? "active" : "off"}`,
    );
  } else if (backups.timerEnabled !== declared.enabled) {
    drift.push(`enabled: the timer ${backups.timerEnabled ? "starts" : "does not start"} with the server`);
  }
  return drift;
}

/** Our files that a server has and no setting asks for. */
export function staleFiles(cluster: string, expected: readonly BackupFile[], facts: EtcdFacts): string[] {
  const wanted = new Set(expected.map((file) => file.path));
  const ours = ["s3-keys", "endpoint-ca.pem", "etcd-password"].map((name) => `${configDirectory(cluster)}/${name}`);
  return facts.backups.files.map((file) => file.path).filter((path) => ours.includes(path) && !wanted.has(path));
}

/** Whether a server has this file as it should be. */
export function isAsDeclared(file: BackupFile, facts: EtcdFacts): boolean {
  return fileDrift(file, facts).length === 0;
}

function fileDrift(file: BackupFile, facts: EtcdFacts): string[] {
  const there = facts.backups.files.find((other) => other.path === file.path);
  if (there === undefined) return [`${file.path}: is missing`];
  const drift: string[] = [];
  const mode = file.mode.toString(8);
  if (there.mode !== mode) drift.push(`${file.path}: mode 0${there.mode}, declared 0${mode}`);
  if (there.owner !== "root") drift.push(`${file.path}: belongs to ${there.owner}, declared root`);
  if (there.sha256 === createHash("sha256").update(file.content).digest("hex")) return drift;
  const fields =
    file.path.endsWith("/settings") && !file.secret ? settingsDrift(facts.backups.settings, file.content) : [];
  return [...drift, ...(fields.length > 0 ? fields : [`${file.path}: its content was changed`])];
}

/** Names of inputs by the names that the settings file has for them. */
const inputNames: Readonly<Record<string, string>> = {
  retention: "retention",
  directory: "directory",
  snapshot_name: "snapshotName",
  endpoint: "cluster.endpoints",
  cacert: "cluster.cacert",
  cert: "cluster.cert",
  key: "cluster.key",
  username: "cluster.username",
  s3_bucket: "s3.bucket",
  s3_folder: "s3.folder",
  s3_region: "s3.region",
  s3_host: "s3.endpoint",
  s3_scheme: "s3.insecure",
  s3_style: "s3.bucketLookup",
  s3_skip_tls_verify: "s3.skipTlsVerify",
  s3_timeout: "s3.timeout",
  s3_proxy: "s3.proxy",
  s3_retention: "s3.retention",
};

function settingsDrift(present: string, declared: string): string[] {
  const [was, wanted] = [parsePairs(present), parsePairs(declared)];
  return [...new Set([...was.keys(), ...wanted.keys()])].flatMap((name) => {
    const [before, after] = [was.get(name)?.at(-1), wanted.get(name)?.[0]];
    if (before === after) return [];
    const input = inputNames[name];
    // What somebody else wrote there may be anything.
    if (input === undefined) return [`${name}: its value was changed`];
    return [`${input}: ${withoutPassword(before ?? "not set")}, declared ${withoutPassword(after ?? "not set")}`];
  });
}

/** A URL as it may be shown. */
function withoutPassword(value: string): string {
  return value.replace(/\/\/.*@/, "//[secret]@");
}
