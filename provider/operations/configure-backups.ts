import { backupSetting } from "../distributions/etcd/backup-settings";
import { parseBackupStatus } from "../distributions/etcd/backup-status";
import { backupDrift, isAsDeclared, staleFiles } from "../distributions/etcd/backup-drift";
import { staleSince } from "../distributions/etcd/stale-backups";
import { toOnCalendar } from "../distributions/etcd/cron";
import type { EtcdFacts } from "../distributions/etcd/facts";
import { inspect } from "../distributions/etcd/inspect";
import { lastWord } from "../distributions/etcd/last-word";
import { configDirectory, lastWordPath, unitName } from "../distributions/etcd/places";
import { snapshotDirectory } from "../distributions/etcd/save-snapshot";
import { type BackupFile, backupFiles } from "../distributions/etcd/units";
import { BackupError } from "../errors";
import type { Cluster, S3Settings } from "../model";
import { readOpenAttempt } from "../plan/journal";
import { type Lock, takeLock } from "../plan/lock";
import { openStore } from "../stores/open-store";
import { readServerRole } from "../stores/server-role";
import type { ConnectedHost } from "../transport/connect";
import type { Host } from "../transport/host";
import { installFile } from "../transport/install-file";
import { type Command, rawScript, script, sh } from "../transport/shell";
import type { Call } from "./call";
import { lookOnEveryServer, onEveryServer } from "./reach";

/** The backups a cluster should take, with every default filled in. */
export interface BackupSettings {
  /** Five-field cron, in the servers' local time. */
  readonly schedule: string;
  /** Scheduled snapshots kept on each server. */
  readonly retention: number;
  /** Where servers keep them; undefined: the distribution's own place. */
  readonly directory?: string | undefined;
  readonly snapshotName: string;
  readonly enabled: boolean;
  readonly s3?: S3Settings | undefined;
}

/** What one server really does about backups. Times, never ages. */
export interface ServerBackups {
  readonly server: string;
  readonly etcdVersion: string;
  readonly directory: string;
  readonly timer: "active" | "off";
  /** When it runs, in systemd's own words, with every drop-in counted. */
  readonly schedule: readonly string[];
  /** How many scheduled snapshots it keeps; absent while its settings are missing. */
  readonly retention?: number | undefined;
  readonly lastSnapshotAt?: string | undefined;
  /** One line per difference from the settings, each beginning with the field: `retention: '3', declared '5'`. */
  readonly drift: readonly string[];
}

export interface BackupsReport {
  readonly servers: readonly ServerBackups[];
  readonly warnings: readonly string[];
}

interface Look {
  readonly host: ConnectedHost;
  readonly facts: EtcdFacts;
  readonly files: readonly BackupFile[];
  readonly drift: readonly string[];
  /** Set when a snapshot should have come since, and did not. */
  readonly stale: string | undefined;
  /** A restore was begun here and has not ended: it paused the timer, and will resume it. */
  readonly restoring: boolean;
}

/**
 * Makes every server take these backups, from any starting point. A server that already does is not touched.
 * Everything that can be refused is refused before the first server is changed.
 */
export async function configureBackups(cluster: Cluster, settings: BackupSettings, call: Call): Promise<BackupsReport> {
  call.progress.status("looking at the servers");
  const looks = await lookOnEveryServer(cluster, (host) => lookAt(cluster, settings, host));
  const due = looks.filter((look) => look.drift.length > 0 || look.stale !== undefined);
  if (due.length === 0) return report(cluster, settings, looks);
  refuseDuringRestore(looks);
  await refuseUnable(cluster, settings, due);
  const lock = await takeLock(cluster.name, "configure backups", new Map(looks.map(({ host }) => [host.name, host])));
  try {
    await putRight(cluster, settings, due, lock, call);
    const after = await onEveryServer(cluster, (host) => lookAt(cluster, settings, host));
    // A drop-in that overrides our units shows only once they are there.
    const left = after.filter((look) => look.drift.length > 0);
    if (left.length === 0) return report(cluster, settings, after);
    await putRight(cluster, settings, left, lock, call);
    const last = await onEveryServer(cluster, (host) => lookAt(cluster, settings, host));
    refuseLeftover(last);
    return report(cluster, settings, last);
  } finally {
    await lock.release();
  }
}

/** Looks what the servers do about backups: one round trip each. */
export async function readBackups(cluster: Cluster, settings: BackupSettings, call: Call): Promise<BackupsReport> {
  call.progress.status("looking at the servers");
  return report(cluster, settings, await lookOnEveryServer(cluster, (host) => lookAt(cluster, settings, host)));
}

/** Takes our files away again. Snapshots, status and journal stay. */
export async function removeBackups(cluster: Cluster, call: Call): Promise<void> {
  call.progress.status("removing the backups' configuration; snapshots stay");
  const hosts = await lookOnEveryServer(cluster, (host) => Promise.resolve(host));
  const lock = await takeLock(cluster.name, "remove backups", new Map(hosts.map((host) => [host.name, host])));
  const unit = unitName(cluster.name);
  try {
    await onEveryServer(cluster, async (host) => {
      await lock.guard(host).run(sh`systemctl disable --now ${`${unit}.timer`} 2>/dev/null
systemctl stop ${`${unit}.service`} 2>/dev/null
rm -f ${lastWordPath(cluster.name, "timer")} ${lastWordPath(cluster.name, "service")} || exit 1
rmdir ${`/etc/systemd/system/${unit}.timer.d`} ${`/etc/systemd/system/${unit}.service.d`} 2>/dev/null
rm -rf ${configDirectory(cluster.name)} ${`/etc/systemd/system/${unit}.timer`} ${`/etc/systemd/system/${unit}.service`} || exit 1
rmdir /etc/etcd-backup 2>/dev/null
systemctl daemon-reload
systemctl reset-failed ${`${unit}.service`} 2>/dev/null
exit 0`);
    });
  } finally {
    await lock.release();
  }
}

/** Verifies that every server can be reached with its connection as it now is. Changes nothing. */
export async function verifyConnections(cluster: Cluster, call: Call): Promise<void> {
  call.progress.status("checking the connections");
  await lookOnEveryServer(cluster, (host) => host.query(sh`true`));
}

/** Changes on each of these servers what differs, and nothing else. */
async function putRight(
  cluster: Cluster,
  settings: BackupSettings,
  looks: readonly Look[],
  lock: Lock,
  call: Call,
): Promise<void> {
  await onEveryServer(cluster, async (host) => {
    const look = looks.find((one) => one.host.name === host.name);
    if (look === undefined) return;
    call.progress.status(`${host.name}: ${look.drift[0] ?? "taking the snapshot that did not come"}`);
    if (look.drift.length > 0) await lock.guard(host).run(configureScript(cluster, settings, look));
    if (look.stale !== undefined) await saveNow(lock.guard(host), cluster);
  });
}

async function lookAt(cluster: Cluster, settings: BackupSettings, host: ConnectedHost): Promise<Look> {
  const facts = await inspect(host, cluster, toOnCalendar(settings.schedule));
  const files = declaredFiles(cluster, settings, facts);
  const restoring = readOpenAttempt([facts.journal]) !== undefined;
  const drift = backupDrift(cluster.name, files, facts, settings).filter(
    (line) => !restoring || !line.startsWith("enabled: the timer is off"),
  );
  const quiet = drift.length > 0 || !settings.enabled || restoring;
  const all = [...files, ...lastWord(cluster.name, settings.schedule, facts.backups)];
  return { host, facts, files: all, drift, restoring, stale: quiet ? undefined : staleSince(settings.schedule, facts) };
}

function declaredFiles(cluster: Cluster, settings: BackupSettings, facts: EtcdFacts): readonly BackupFile[] {
  const { endpoint, cacert, cert, key } = facts.member;
  return backupFiles({
    cluster: cluster.name,
    server: facts.server,
    serverCount: cluster.servers.length,
    settings,
    directory: directoryOf(cluster, settings),
    etcd: {
      ...{ etcdctl: facts.etcdctl ?? "etcdctl", endpoint, cacert, cert, key, unit: facts.unit },
      ...{ username: cluster.username, password: cluster.password },
    },
  });
}

function directoryOf(cluster: Cluster, settings: BackupSettings): string {
  return settings.directory ?? snapshotDirectory(cluster.name);
}

function refuseDuringRestore(looks: readonly Look[]): void {
  const restoring = looks.find((look) => look.restoring);
  if (restoring === undefined) return;
  throw new BackupError("RESTORE_IN_PROGRESS", "a restore was begun and has not ended", {
    host: restoring.host.name,
    hint: "Finish it first: `pulumi up` with the SnapshotRestore that began it. The backups were not changed.",
  });
}

/** What would make the backups fail later makes the configuration fail now, and nothing has been changed. */
async function refuseUnable(cluster: Cluster, settings: BackupSettings, looks: readonly Look[]): Promise<void> {
  for (const { facts } of looks) {
    const missing = [
      ...(facts.etcdctl === undefined ? ["etcdctl"] : []),
      ...(["flock", "sha256sum", ...(settings.s3 === undefined ? [] : ["curl" as const])] as const).filter(
        (tool) => !facts.tools.has(tool),
      ),
    ];
    if (missing.length === 0) continue;
    throw new BackupError("TOOL_MISSING", `the scheduled backups need ${missing.join(", ")}`, {
      host: facts.server,
      hint: `Install ${missing.join(", ")} there, then run \`pulumi up\` again. Nothing was changed on any server.`,
    });
  }
  await Promise.all(
    looks.map(async ({ host, facts }) => {
      const paths = [facts.member.cacert, facts.member.cert, facts.member.key].filter((path) => path !== undefined);
      const { stdout } = await host.query(sh`for f in ${paths}; do [ -r "$f" ] || printf '%s\n' "$f"; done`);
      if (stdout.trim() === "") return;
      throw new BackupError("SETTING_NOT_FOUND", `there is no certificate ${stdout.trim().split("\n").join(", ")}`, {
        host: host.name,
        hint: "Give `cacert`, `cert` and `key` in etcd({ … }). Nothing was changed on any server.",
      });
    }),
  );
  if (settings.s3 !== undefined) await refuseUnableStore(cluster, settings.s3, looks);
}

/** A server's scheduled runs have the keys or a role of its own; a profile of this machine is nothing to them. */
async function refuseUnableStore(cluster: Cluster, s3: S3Settings, looks: readonly Look[]): Promise<void> {
  const hosts = looks.map(({ host }) => host);
  if (s3.accessKeyId !== undefined) {
    // With keys all servers are the same to S3.
    await Promise.all(hosts.slice(0, 1).map((host) => openStore(s3, cluster.name, host).list()));
    return;
  }
  const { profile, ...own } = s3;
  await Promise.all(
    hosts.map(async (host) => {
      if ((await readServerRole(host)) === undefined) {
        throw new BackupError("STORE_DENIED", "there are no S3 keys for its scheduled backups, and it has no role", {
          host: host.name,
          hint: "Give s3.accessKeyId and s3.secretAccessKey, or a role (instance profile) to the server. Nothing was changed on any server.",
        });
      }
      await openStore(own, cluster.name, host).list();
    }),
  );
}

function configureScript(cluster: Cluster, settings: BackupSettings, look: Look): Command {
  const unit = unitName(cluster.name);
  const folder = configDirectory(cluster.name);
  const directory = directoryOf(cluster, settings);
  const stale = staleFiles(cluster.name, look.files, look.facts);
  const wrong = look.files.filter((file) => !isAsDeclared(file, look.facts));
  return script(
    sh`umask 077
mkdir -p ${folder} && chmod 700 ${folder} || exit 1
[ -d ${directory} ] || mkdir -p ${directory} || exit 1`,
    ...wrong.flatMap((file) => [installFile(file.path, file.content, file.mode), rawScript("[ $? -eq 0 ] || exit 1")]),
    stale.length === 0 ? rawScript("") : sh`rm -f ${stale}`,
    sh`systemctl daemon-reload || exit 1`,
    settings.enabled
      ? sh`systemctl enable ${`${unit}.timer`} 2>&1 && systemctl restart ${`${unit}.timer`}`
      : sh`systemctl disable --now ${`${unit}.timer`} 2>&1`,
  );
}

/** Runs the scheduled backup once, now; fails with what it says of itself. */
async function saveNow(host: Host, cluster: Cluster): Promise<void> {
  await host.run(
    sh`systemctl start ${`${unitName(cluster.name)}.service`} || { journalctl -u ${`${unitName(cluster.name)}.service`} -n 5 -o cat --no-pager >&2; exit 1; }`,
    {
      timeoutMs: 30 * 60_000,
    },
  );
}

function refuseLeftover(looks: readonly Look[]): void {
  const left = looks.flatMap((look) => look.drift.map((line) => `${look.host.name}: ${line}`));
  if (left.length === 0) return;
  throw new BackupError(
    "COMMAND_FAILED",
    `the backups were configured, but something else is still in force:\n${left.join("\n")}`,
    {
      hint: "Remove what overrides our units there, then run `pulumi up` again.",
    },
  );
}

function retentionOf(facts: EtcdFacts): { readonly retention?: number } {
  const retention = backupSetting(facts, "retention");
  return retention === undefined ? {} : { retention: Number(retention) };
}

function report(cluster: Cluster, settings: BackupSettings, looks: readonly Look[]): BackupsReport {
  return {
    servers: looks.map(({ facts, drift, stale }) => {
      const status = parseBackupStatus(facts.backups.status);
      return {
        server: facts.server,
        etcdVersion: facts.etcdVersion,
        directory: directoryOf(cluster, settings),
        timer: facts.backups.timerActive ? "active" : "off",
        schedule: facts.backups.calendar,
        ...retentionOf(facts),
        ...(typeof status?.lastSuccessAt === "string" ? { lastSnapshotAt: status.lastSuccessAt } : {}),
        drift: [...drift, ...(stale === undefined ? [] : [stale])],
      };
    }),
    warnings: looks.flatMap(({ facts, restoring }) => {
      if (restoring)
        return [`${facts.server}: a restore was begun and has not ended: the scheduled backups are paused`];
      const status = parseBackupStatus(facts.backups.status);
      return status === undefined || status.ok
        ? []
        : [
            `${facts.server}: the scheduled backup of ${status.startedAt} failed at ${status.step}: ${status.error ?? "it did not say why"}`,
          ];
    }),
  };
}
