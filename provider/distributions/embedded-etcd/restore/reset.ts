import { setTimeout as pause } from "node:timers/promises";
import { BackupError, hasCode } from "../../../errors";
import { installFile } from "../../../transport/install-file";
import type { Host, HostReader } from "../../../transport/host";
import { type Command, redact, script, sh, titled } from "../../../transport/shell";
import { parsePairs, parseParts } from "../../parts";
import { formatConfig } from "../settings/config-text";
import { formatEnvironmentFile } from "../settings/environment";
import { resetArguments } from "../settings/exec-start";
import type { EmbeddedFacts } from "../facts";
import { loopbackOf } from "../loopback";
import { knownSecrets } from "../known-secrets";
import { removeDropIn, type RestorePlaces } from "./restore-places";
import { setting } from "../settings/config-files";

/** K3s says so, and exits 0: only both together are success. RKE2 and old versions put other words around it. */
const DONE = "restart without --cluster-reset flag now";

/**
 * Restores the staged snapshot with the distribution's own reset, as a unit of its own: neither a lost connection nor
 * its length is of any harm. Rejects unless it exits 0 and says that it is done; it is ended at the deadline.
 */
export async function runReset(
  host: Host,
  facts: EmbeddedFacts,
  places: RestorePlaces,
  token: string | undefined,
  deadlineMs: number,
): Promise<void> {
  await host.run(startReset(facts, places, token, Math.ceil(deadlineMs / 1000)));
  const seen = await waitForEnd(host, places, Date.now() + deadlineMs + 60_000);
  if (!seen.done) throw resetFailed(facts, seen, token);
  await host.run(endReset(facts, places));
}

/** Ends what a reset has started, and takes its configuration away. Safe when none was. */
export function endReset(facts: EmbeddedFacts, places: RestorePlaces): Command {
  return script(
    sh`systemctl stop ${places.resetUnit} 2>/dev/null
case $(systemctl show ${places.resetUnit} -p ActiveState --value) in
inactive | failed | '') ;;
*) echo ${`the reset is still running: stop it with \`systemctl kill -s KILL ${places.resetUnit}\``} >&2; exit 1 ;;
esac
systemctl reset-failed ${places.resetUnit} 2>/dev/null
rm -f ${`${places.work}/reset.env`} || exit 1`,
    removeDropIn(places),
    killContainers(facts),
  );
}

/** RKE2 runs etcd and the API server in containers, which outlive it. */
export function killContainers(facts: EmbeddedFacts): Command {
  if (facts.killScript === undefined || !facts.program.needsKillScript) return script();
  // Its exit code is that of whatever it tidies up last.
  return sh`${`${facts.program.prefix}_DATA_DIR`}=${facts.dataDir} ${facts.killScript} >/dev/null 2>&1 || :`;
}

function startReset(facts: EmbeddedFacts, places: RestorePlaces, token: string | undefined, seconds: number): Command {
  const { words, secrets } = resetArguments(facts.args);
  const reset = [
    ...[facts.binary, "server", ...words],
    ...["--cluster-reset", `--cluster-reset-restore-path=${places.staged}`],
    // A configured S3 would be asked for the local file; disabled snapshots made old versions ignore these settings.
    ...["--etcd-s3=false", "--etcd-disable-snapshots=false"],
    `--etcd-arg=advertise-client-urls=https://${loopbackOf(facts.address)}:2379`,
    // systemd would put variables in once more.
  ].map((word) => word.replaceAll("$", "$$$$"));
  const dropIn = formatConfig("A restore is under way. Removed by the restore itself.", {
    ...secrets,
    ...(token === undefined ? {} : { token }),
    server: "",
    ...(setting(facts.settings, "etcd-s3-config-secret") === undefined ? {} : { "etcd-s3-config-secret": "" }),
  });
  const { prefix } = facts.program;
  const environment = facts.environment.filter(({ name }) => name !== `${prefix}_URL`);
  const files = [`${places.work}/reset.env`, ...facts.environmentFiles];
  const properties = [
    "Type=oneshot",
    "RemainAfterExit=yes",
    "Delegate=yes",
    "LimitNOFILE=1048576",
    "TasksMax=infinity",
  ];
  const options = [...properties, ...files.map((file) => `EnvironmentFile=${file}`)].flatMap((one) => ["-p", one]);
  return titled(
    "begin the reset",
    script(
      sh`mkdir -p ${`${facts.configFile}.d`} && ( umask 077; : >${places.log} ) && chmod 600 ${places.log} || exit 1`,
      installFile(places.dropIn, dropIn, 0o600),
      sh`[ $? -eq 0 ] || exit 1`,
      installFile(`${places.work}/reset.env`, formatEnvironmentFile(environment), 0o600),
      sh`[ $? -eq 0 ] || exit 1
systemctl stop ${places.resetUnit} 2>/dev/null
systemctl reset-failed ${places.resetUnit} 2>/dev/null
systemd-run --quiet --no-block --unit=${places.resetUnit} ${options} -- /bin/sh -c ${`unset ${prefix}_URL NOTIFY_SOCKET; exec timeout -k 30 "$@" >>"$0" 2>&1`} ${places.log} ${seconds} ${reset}`,
    ),
  );
}

interface ResetSeen {
  readonly done: boolean;
  readonly isUnderWay: boolean;
  /** False after a reboot: a unit of the moment does not come back. */
  readonly isKnown: boolean;
  readonly status: string;
  /** The end of its log, and above it what it called fatal. */
  readonly log: string;
}

async function waitForEnd(host: HostReader, places: RestorePlaces, end: number): Promise<ResetSeen> {
  for (;;) {
    const answer = await host.query(lookAtReset(places)).catch((error: unknown) => {
      // It runs on without us: a connection that breaks off is no reason to give it up.
      if (Date.now() > end || hasCode(error, "LOCK_LOST")) throw error;
      return undefined;
    });
    const seen = answer === undefined ? undefined : readReset(answer.stdout);
    if (seen !== undefined && (!seen.isUnderWay || Date.now() > end)) return seen;
    await pause(1000);
  }
}

function readReset(answer: string): ResetSeen {
  const parts = parseParts(answer, MARK);
  const show = parsePairs(parts.get("unit") ?? "");
  const shown = (name: string): string => show.get(name)?.[0] ?? "";
  const [state, status] = [shown("ActiveState"), shown("ExecMainStatus")];
  return {
    done: state === "active" && status === "0" && parts.get("said") === "done",
    // With a job still queued it has not begun.
    isUnderWay: state === "activating" || (state === "inactive" && !["", "0"].includes(shown("Job"))),
    isKnown: shown("LoadState") !== "not-found",
    status,
    log: parts.get("log") ?? "",
  };
}

const MARK = "=reset";

function lookAtReset(places: RestorePlaces): Command {
  return sh`log=${places.log}
printf '\n%s unit\n' ${MARK}; systemctl show ${places.resetUnit} -p LoadState -p ActiveState -p Job -p ExecMainStatus
printf '\n%s said\n' ${MARK}; ! grep -qF ${DONE} "$log" 2>/dev/null || echo done
printf '\n%s log\n' ${MARK}; { grep -a 'level=fatal\|^panic' "$log"; grep -av '^{"level":"\(info\|debug\)"' "$log" | tail -n 8; } 2>/dev/null | cut -c 1-400 | awk '!seen[$0]++' | tail -n 10`;
}

function resetFailed(facts: EmbeddedFacts, seen: ResetSeen, token: string | undefined): BackupError {
  const log = redact(seen.log, knownSecrets(facts, token));
  const what = howItEnded(seen);
  const said = log.split("\n").map((line) => `  | ${line}`);
  const other = log.includes("encrypted with different token");
  return new BackupError(
    other ? "TOKEN_MISMATCH" : "COMMAND_FAILED",
    [`${facts.program.name} server --cluster-reset: ${what}`, ...said].join("\n"),
    {
      host: facts.server,
      ...(other ? { hint: "Give the server token of the time of the snapshot as `token`." } : {}),
    },
  );
}

function howItEnded({ isUnderWay, isKnown, status }: ResetSeen): string {
  if (!isKnown) return "was cut off: the server was restarted";
  if (isUnderWay || status === "124") return "did not end before its deadline";
  if (status === "137") return "was killed: it did not end at its deadline, or there was no memory left";
  return status === "0" ? "did not say that it was done" : `exit ${status}`;
}
