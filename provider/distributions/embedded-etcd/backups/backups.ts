import type { BackupSettings, Cluster } from "../../../model";
import { readOpenAttempt } from "../../../plan/journal";
import { installFile } from "../../../transport/install-file";
import { type Command, rawScript, script, sh, titled } from "../../../transport/shell";
import type { BackupsLook, Restarts, ScheduledBackups } from "../../distribution";
import { askKubernetes, type KubernetesLook } from "./ask-kubernetes";
import { configDrift, isEdited, presentDropIn, restartDrift } from "./backup-drift";
import { backupAdvice, backupFindings, missingFeatures } from "./backup-findings";
import { flagOn, setting } from "../settings/config-files";
import { type DropIn, dropIn, dropInPaths } from "./drop-in";
import type { EmbeddedFacts } from "../facts";
import { inspect } from "../inspect";
import type { Program } from "../program";
import { applySecret, deleteSecret, s3Secret, secretDrift } from "./s3-secret";
import { saveScheduled } from "./save-scheduled";
import { lastFailure, lastScheduledAt, staleSince } from "./scheduled-snapshots";

/** One drop-in of ours; the server itself takes the snapshots. It reads its settings when it starts. */
export function scheduledBackups(program: Program): ScheduledBackups<EmbeddedFacts> {
  return {
    async look(host, cluster, settings) {
      const facts = await inspect(program, host, cluster);
      // One server answers for all what the cluster has.
      const secret = cluster.servers[0]?.name === host.name ? s3Secret(cluster, settings, facts.version) : undefined;
      const asked = { secret: secret?.name, directory: settings.directory };
      const answer = await askKubernetes(host, facts, asked);
      return compare(cluster, settings, facts, answer);
    },

    unable: (_, cluster, settings, { facts }) => Promise.resolve(backupFindings(cluster, settings, facts)),

    once(cluster, settings, { facts, drift }) {
      const secret = s3Secret(cluster, settings, facts.version);
      const differs = drift.some((line) => line.startsWith("s3.configSecret: "));
      return secret !== undefined && differs ? applySecret(facts, secret) : undefined;
    },

    putRight(cluster, settings, { facts }) {
      const ours = dropIn(cluster, settings, facts);
      const { directory } = settings;
      return titled(
        "configure the scheduled snapshots",
        script(
          // The servers make none but their own.
          directory === undefined ? script() : sh`[ -d ${directory} ] || mkdir -p -m 700 ${directory} || exit 1`,
          ...(writes(ours, facts)
            ? [
                installFile(ours.path, ours.content, 0o600),
                rawScript("[ $? -eq 0 ] || exit 1"),
                removeOther(facts, ours.path),
              ]
            : [sh`chmod 600 ${ours.path} && chown root:root ${ours.path} || exit 1`]),
        ),
      );
    },

    restarts,

    saveNow: (_, { facts }) => saveScheduled(facts),

    remove: (_, facts) =>
      titled(
        "remove the settings of the scheduled snapshots",
        // The folder goes only when it is empty, and so most likely ours.
        sh`rm -f ${dropInPaths(facts)} || exit 1
rmdir ${`${facts.configFile}.d`} 2>/dev/null
exit 0`,
      ),

    removeOnce(facts, settings) {
      const secret = facts.settings.values.get("etcd-s3-config-secret");
      const isOurs =
        secret !== undefined && dropInPaths(facts).some((path) => path === secret.file) && secret.value !== "";
      // Until somebody else restarts them, the servers still read it.
      const isUsed = settings?.s3?.configSecret === secret?.value || settings?.restart === "none";
      return isOurs && facts.unitActive && !isUsed ? deleteSecret(facts, secret.value) : undefined;
    },
  };
}

const restarts: Restarts<EmbeddedFacts> = {
  isDue(cluster, settings, { facts }) {
    const ours = dropIn(cluster, settings, facts);
    const mayRestart = facts.unitActive && settings.restart !== "none";
    return mayRestart && (writes(ours, facts) || restartDrift(ours, facts) !== undefined);
  },

  isDueAfterRemoval: (facts) => facts.unitActive && presentDropIn(facts) !== undefined,

  begin: ({ unit }) =>
    titled(
      `restart ${unit}`,
      sh`systemctl reset-failed ${unit} 2>/dev/null
systemctl restart --no-block ${unit}`,
    ),

  putBack(facts) {
    const before = presentDropIn(facts);
    if (before === undefined) return titled("take the new settings away again", sh`rm -f ${dropInPaths(facts)}`);
    const file = installFile(before.path, `${before.text}\n`, Number.parseInt(before.mode, 8));
    const written = rawScript("[ $? -eq 0 ] || exit 1");
    return titled("put the previous settings back", script(file, written, removeOther(facts, before.path)));
  },
};

/** Takes away what lies in the place where our file is not meant to be. */
function removeOther(facts: EmbeddedFacts, path: string): Command {
  return sh`rm -f ${dropInPaths(facts).filter((other) => other !== path)} || exit 1`;
}

/** Whether our file has to be written. Another mode alone is no reason: a file that was written asks for a restart. */
function writes(ours: DropIn, facts: EmbeddedFacts): boolean {
  const there = presentDropIn(facts);
  return there === undefined || isEdited(ours, there);
}

function compare(
  cluster: Cluster,
  settings: BackupSettings,
  facts: EmbeddedFacts,
  answer: KubernetesLook,
): BackupsLook<EmbeddedFacts> {
  const ours = dropIn(cluster, settings, facts);
  const restoring = readOpenAttempt([facts.journal]) !== undefined;
  const restart = restoring ? undefined : restartDrift(ours, facts);
  const mayRestart = settings.restart !== "none";
  const secret = answer.secret === undefined ? undefined : s3Secret(cluster, settings, facts.version);
  const secretLine = secret === undefined ? undefined : secretDrift(secret, answer.secret ?? "{}");
  const drift = [
    ...missingFeatures(cluster, settings, facts.version),
    ...configDrift(ours, facts),
    ...(restart !== undefined && mayRestart ? [restart] : []),
    ...(answer.hasDirectory ? [] : [`directory: there is no ${settings.directory ?? ""}`]),
    ...(secretLine === undefined ? [] : [secretLine]),
  ];
  const isActive = facts.unitActive && !flagOn(facts.settings, "etcd-disable-snapshots");
  const quiet = drift.length > 0 || !settings.enabled || restoring || !facts.unitActive;
  return {
    facts,
    drift,
    stale: quiet ? undefined : staleSince(settings.schedule, facts),
    directory: facts.snapshotDirectory,
    timer: isActive ? "active" : "off",
    schedule: [setting(facts.settings, "etcd-snapshot-schedule-cron") ?? "0 */12 * * *"],
    retention: Number(setting(facts.settings, "etcd-snapshot-retention") ?? 5),
    lastSnapshotAt: lastScheduledAt(facts),
    lastFailure: answer.snapshots === undefined ? undefined : lastFailure(facts, answer.snapshots),
    advice: [
      ...backupAdvice(settings, facts),
      ...(restart === undefined || mayRestart ? [] : [`${restart}; \`restart: "none"\` leaves that to you`]),
      ...(facts.unitActive ? [] : [`${facts.unit} does not run: its settings come into force when it is started`]),
    ],
  };
}
