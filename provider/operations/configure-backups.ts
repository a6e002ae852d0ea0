import { distributionOf } from "../distributions";
import type { ServerFacts } from "../distributions/distribution";
import type { BackupSettings, Cluster, S3Settings } from "../model";
import { readOpenAttempt } from "../plan/journal";
import { type Lock, takeLock } from "../plan/lock";
import type { ConnectedHost } from "../transport/connect";
import { sh } from "../transport/shell";
import type { Call } from "./call";
import { lookOnEveryServer, onEveryServer } from "./reach";
import { type LookedAt, refuseDuringRestore, refuseLeftover, refuseUnable } from "./refuse-backups";
import { restartInTurn } from "./rolling-restart";

export type { BackupSettings };

/** What one server really does about backups. Times, never ages. */
export interface ServerBackups {
  readonly server: string;
  readonly etcdVersion: string;
  /** The distribution's own version, where etcd is a part of something. */
  readonly version?: string | undefined;
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

/**
 * Makes every server take these backups, from any starting point. A server that already does is not touched.
 * Everything that can be refused is refused before the first server is changed.
 */
export async function configureBackups(cluster: Cluster, settings: BackupSettings, call: Call): Promise<BackupsReport> {
  call.progress.status("looking at the servers");
  const looks = await lookOnEveryServer(cluster, (host) => lookAt(cluster, settings, host));
  const due = looks.filter((look) => look.drift.length > 0 || look.stale !== undefined);
  if (due.length === 0) return report(looks);
  refuseDuringRestore(looks);
  await refuseUnable(cluster, settings, due);
  const lock = await takeLock(cluster.name, "configure backups", new Map(looks.map(({ host }) => [host.name, host])));
  try {
    await once(cluster, settings, due, lock);
    await restartDue(cluster, settings, looks, due, lock, call);
    await putRight(cluster, settings, due, lock, call);
    await removeOnce(cluster, due, lock, settings);
    const after = await onEveryServer(cluster, (host) => lookAt(cluster, settings, host));
    // What overrides our files shows only once they are there.
    const left = after.filter((look) => look.drift.length > 0);
    if (left.length === 0) return reportDone(after, due, call);
    const last = await putRightAgain(cluster, settings, left, after, lock, call);
    refuseLeftover(last);
    return reportDone(last, due, call);
  } finally {
    await lock.release();
  }
}

/** Looks what the servers do about backups: one round trip each. */
export async function readBackups(cluster: Cluster, settings: BackupSettings, call: Call): Promise<BackupsReport> {
  call.progress.status("looking at the servers");
  return report(await lookOnEveryServer(cluster, (host) => lookAt(cluster, settings, host)));
}

/** Takes our files away again. Snapshots, status and journal stay. */
export async function removeBackups(
  cluster: Cluster,
  call: Call,
  restart: BackupSettings["restart"] = "rolling",
): Promise<void> {
  call.progress.status("removing the backups' configuration; snapshots stay");
  const distribution = distributionOf(cluster);
  const { backups } = distribution;
  const look = async (host: ConnectedHost): Promise<SeenServer> => ({
    host,
    facts: await distribution.inspect(host, cluster),
  });
  const seen = await lookOnEveryServer(cluster, look);
  const hosts = new Map(seen.map(({ host }) => [host.name, host]));
  const lock = await takeLock(cluster.name, "remove backups", hosts);
  const isDue = (facts: ServerFacts): boolean =>
    restart !== "none" && backups.restarts?.isDueAfterRemoval(facts) === true;
  try {
    await onEveryServer(cluster, async (host) => {
      const own = seen.find((one) => one.host.name === host.name);
      if (own !== undefined && !isDue(own.facts)) await lock.guard(host).run(backups.remove(cluster, own.facts));
    });
    const due = seen.flatMap(({ facts }) => (isDue(facts) ? [{ facts, change: backups.remove(cluster, facts) }] : []));
    if (backups.restarts !== undefined && due.length > 0) {
      const servers = seen.map(({ facts }) => facts);
      const secrets = secretsOf(cluster);
      await restartInTurn({ cluster, restarts: backups.restarts, servers, hosts, due, lock, secrets }, call);
    }
    await removeOnce(cluster, seen, lock);
  } finally {
    await lock.release();
  }
}

interface SeenServer {
  readonly host: ConnectedHost;
  readonly facts: ServerFacts;
}

/** Verifies that every server can be reached with its connection as it now is. Changes nothing. */
export async function verifyConnections(cluster: Cluster, call: Call): Promise<void> {
  call.progress.status("checking the connections");
  await lookOnEveryServer(cluster, (host) => host.query(sh`true`));
}

async function lookAt(cluster: Cluster, settings: BackupSettings, host: ConnectedHost): Promise<LookedAt> {
  const look = await distributionOf(cluster).backups.look(host, cluster, settings);
  return { ...look, host, restoring: readOpenAttempt([look.facts.journal]) !== undefined };
}

/** What one server does for all, the first that needs it. */
async function once(cluster: Cluster, settings: BackupSettings, due: readonly LookedAt[], lock: Lock): Promise<void> {
  const { backups } = distributionOf(cluster);
  for (const look of due) {
    const command = backups.once?.(cluster, settings, look);
    if (command === undefined) continue;
    await lock.guard(look.host).run(command, { timeoutMs: 90_000 });
    return;
  }
}

/** What no server needs any more, through the first that named it. */
async function removeOnce(
  cluster: Cluster,
  seen: readonly SeenServer[],
  lock: Lock,
  settings?: BackupSettings,
): Promise<void> {
  const { backups } = distributionOf(cluster);
  for (const { host, facts } of seen) {
    const command = backups.removeOnce?.(facts, settings);
    if (command === undefined) continue;
    await lock.guard(host).run(command, { timeoutMs: 90_000 });
    return;
  }
}

/** Changes and restarts those servers that have to be started again, one at a time. */
async function restartDue(
  cluster: Cluster,
  settings: BackupSettings,
  looks: readonly LookedAt[],
  due: readonly LookedAt[],
  lock: Lock,
  call: Call,
): Promise<void> {
  const { backups } = distributionOf(cluster);
  const { restarts } = backups;
  const changed = due.filter((look) => restarts?.isDue(cluster, settings, look) === true);
  if (restarts === undefined || changed.length === 0) return;
  const roll = {
    ...{ cluster, restarts, lock, servers: looks.map(({ facts }) => facts) },
    hosts: new Map(looks.map(({ host }) => [host.name, host])),
    due: changed.map((look) => ({ facts: look.facts, change: backups.putRight(cluster, settings, look) })),
    secrets: secretsOf(cluster, settings.s3),
  };
  await restartInTurn(roll, call);
}

function secretsOf({ token }: Cluster, s3?: S3Settings): string[] {
  return [token, s3?.accessKeyId, s3?.secretAccessKey, s3?.sessionToken, s3?.proxy].filter((one) => one !== undefined);
}

/** Changes on each of these servers what differs, and nothing else; not where that took a restart. */
async function putRight(
  cluster: Cluster,
  settings: BackupSettings,
  looks: readonly LookedAt[],
  lock: Lock,
  call: Call,
): Promise<void> {
  const { backups } = distributionOf(cluster);
  await onEveryServer(cluster, async (host) => {
    const look = looks.find((one) => one.host.name === host.name);
    if (look === undefined) return;
    call.progress.status(`${host.name}: ${look.drift[0] ?? "taking the snapshot that did not come"}`);
    const guarded = lock.guard(host);
    const isDone = backups.restarts?.isDue(cluster, settings, look) === true;
    if (look.drift.length > 0 && !isDone) await guarded.run(backups.putRight(cluster, settings, look));
    if (look.stale !== undefined) await guarded.run(backups.saveNow(cluster, look), { timeoutMs: 30 * 60_000 });
  });
}

/** Where it takes restarts, what overrides our files showed before the first of them; a second round would not help. */
async function putRightAgain(
  cluster: Cluster,
  settings: BackupSettings,
  left: readonly LookedAt[],
  after: readonly LookedAt[],
  lock: Lock,
  call: Call,
): Promise<readonly LookedAt[]> {
  if (distributionOf(cluster).backups.restarts !== undefined) return after;
  await putRight(cluster, settings, left, lock, call);
  return onEveryServer(cluster, (host) => lookAt(cluster, settings, host));
}

/** The last thing that the resource's row says. */
function reportDone(looks: readonly LookedAt[], due: readonly LookedAt[], call: Call): BackupsReport {
  call.progress.status(`configured and checked: ${due.map((look) => look.host.name).join(", ")}`);
  return report(looks);
}

function report(looks: readonly LookedAt[]): BackupsReport {
  return {
    servers: looks.map(({ facts, drift, stale, directory, timer, schedule, retention, lastSnapshotAt }) => ({
      ...{ server: facts.server, etcdVersion: facts.etcdVersion, directory, timer, schedule },
      ...(facts.version === undefined ? {} : { version: facts.version }),
      ...(retention === undefined ? {} : { retention }),
      ...(lastSnapshotAt === undefined ? {} : { lastSnapshotAt }),
      drift: [...drift, ...(stale === undefined ? [] : [stale])],
    })),
    warnings: [...looks.flatMap(warningsOf), ...advice(looks)],
  };
}

function warningsOf({ facts, restoring, lastFailure }: LookedAt): string[] {
  if (restoring) return [`${facts.server}: a restore was begun and has not ended: finish it with \`pulumi up\``];
  return lastFailure === undefined ? [] : [`${facts.server}: ${lastFailure}`];
}

/** What is to be said of several servers is said once. */
function advice(looks: readonly LookedAt[]): string[] {
  const servers = new Map<string, string[]>();
  for (const { facts, advice = [] } of looks) {
    for (const line of advice) servers.set(line, [...(servers.get(line) ?? []), facts.server]);
  }
  return [...servers].map(([line, names]) => `${names.join(", ")}: ${line}`);
}
