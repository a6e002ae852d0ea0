import type { BackupSettings, Cluster } from "../../model";
import { readOpenAttempt } from "../../plan/journal";
import { installFile } from "../../transport/install-file";
import { type Command, rawScript, script, sh, titled } from "../../transport/shell";
import type { BackupsLook, Finding, ScheduledBackups } from "../distribution";
import { backupDrift, isAsDeclared, staleFiles } from "./backup-drift";
import { backupSetting } from "./backup-settings";
import { type BackupStatus, parseBackupStatus } from "./backup-status";
import { toOnCalendar } from "./cron";
import type { EtcdFacts } from "./facts";
import { inspect } from "./inspect";
import { lastWord } from "./last-word";
import { configDirectory, lastWordPath, unitName } from "./places";
import { snapshotDirectory } from "./save-snapshot";
import { staleSince } from "./stale-backups";
import { type BackupFile, backupFiles } from "./units";

/** A systemd timer, a hardened service, and one script. */
export const scheduledBackups: ScheduledBackups<EtcdFacts> = {
  async look(host, cluster, settings) {
    const facts = await inspect(host, cluster, toOnCalendar(settings.schedule));
    const restoring = readOpenAttempt([facts.journal]) !== undefined;
    // A restore that has not ended paused the timer, and will resume it.
    const drift = backupDrift(cluster.name, declaredFiles(cluster, settings, facts), facts, settings).filter(
      (line) => !restoring || !line.startsWith("enabled: the timer is off"),
    );
    const quiet = drift.length > 0 || !settings.enabled || restoring;
    const status = parseBackupStatus(facts.backups.status);
    const retention = backupSetting(facts, "retention");
    return {
      facts,
      drift,
      stale: quiet ? undefined : staleSince(settings.schedule, facts),
      directory: directoryOf(cluster, settings),
      timer: facts.backups.timerActive ? "active" : "off",
      schedule: facts.backups.calendar,
      retention: retention === undefined ? undefined : Number(retention),
      lastSnapshotAt: status?.lastSuccessAt ?? undefined,
      lastFailure: lastFailure(cluster.name, status, facts.backups.lastRunResult),
    };
  },

  async unable(host, _, settings, { facts }) {
    const tools = ["flock", "sha256sum", ...(settings.s3 === undefined ? [] : ["curl" as const])] as const;
    const missing = [
      ...(facts.etcdctl === undefined ? ["etcdctl"] : []),
      ...tools.filter((tool) => !facts.tools.has(tool)),
    ].join(", ");
    const { cacert, cert, key } = facts.member;
    const certificates = [cacert, cert, key].filter((path) => path !== undefined);
    const { stdout } = await host.query(sh`for f in ${certificates}; do [ -r "$f" ] || printf '%s\n' "$f"; done`);
    const unreadable = stdout.trim().split("\n").join(", ");
    const findings: Finding[] = [];
    if (missing !== "") {
      const text = `${facts.server}: the scheduled backups need ${missing}; install ${missing} there`;
      findings.push({ code: "TOOL_MISSING", text });
    }
    if (unreadable !== "") {
      const text = `${facts.server}: there is no certificate ${unreadable}; give \`cacert\`, \`cert\` and \`key\` in etcd({ … })`;
      findings.push({ code: "SETTING_NOT_FOUND", text });
    }
    return findings;
  },

  putRight(cluster, settings, look) {
    return configureScript(cluster, settings, look);
  },

  saveNow(cluster) {
    const service = `${unitName(cluster.name)}.service`;
    return titled(
      "run the scheduled backup now",
      sh`systemctl start ${service} || { journalctl -u ${service} -n 5 -o cat --no-pager >&2; exit 1; }`,
    );
  },

  remove(cluster) {
    const unit = unitName(cluster.name);
    return titled(
      "remove the scheduled backups",
      sh`systemctl disable --now ${`${unit}.timer`} 2>/dev/null
systemctl stop ${`${unit}.service`} 2>/dev/null
rm -f ${lastWordPath(cluster.name, "timer")} ${lastWordPath(cluster.name, "service")} || exit 1
rmdir ${`/etc/systemd/system/${unit}.timer.d`} ${`/etc/systemd/system/${unit}.service.d`} 2>/dev/null
rm -rf ${configDirectory(cluster.name)} ${`/etc/systemd/system/${unit}.timer`} ${`/etc/systemd/system/${unit}.service`} || exit 1
rmdir /etc/etcd-backup 2>/dev/null
systemctl daemon-reload
systemctl reset-failed ${`${unit}.service`} 2>/dev/null
exit 0`,
    );
  },
};

/** A run that was cut off, or could not even begin, left the status of the one before: then systemd knows better. */
function lastFailure(
  cluster: string,
  status: BackupStatus | undefined,
  result: string | undefined,
): string | undefined {
  if (status !== undefined && !status.ok) {
    return `the scheduled backup of ${status.startedAt} failed at ${status.step}: ${status.error ?? "it did not say why"}`;
  }
  if (result === undefined || result === "success") return undefined;
  return `the last scheduled backup failed (${result}): see \`journalctl -u ${unitName(cluster)}\``;
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

function configureScript(cluster: Cluster, settings: BackupSettings, { facts }: BackupsLook<EtcdFacts>): Command {
  const files = [
    ...declaredFiles(cluster, settings, facts),
    ...lastWord(cluster.name, settings.schedule, facts.backups),
  ];
  const unit = unitName(cluster.name);
  const folder = configDirectory(cluster.name);
  const directory = directoryOf(cluster, settings);
  const stale = staleFiles(cluster.name, files, facts);
  const wrong = files.filter((file) => !isAsDeclared(file, facts));
  return titled(
    "configure the scheduled backups",
    script(
      sh`umask 077
mkdir -p ${folder} && chmod 700 ${folder} || exit 1
[ -d ${directory} ] || mkdir -p ${directory} || exit 1`,
      ...wrong.flatMap((file) => [
        installFile(file.path, file.content, file.mode),
        rawScript("[ $? -eq 0 ] || exit 1"),
      ]),
      stale.length === 0 ? rawScript("") : sh`rm -f ${stale}`,
      sh`systemctl daemon-reload || exit 1`,
      settings.enabled
        ? sh`systemctl enable ${`${unit}.timer`} 2>&1 && systemctl restart ${`${unit}.timer`}`
        : sh`systemctl disable --now ${`${unit}.timer`} 2>&1`,
    ),
  );
}
