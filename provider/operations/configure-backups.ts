import { distributionOf } from "../distributions";
import type { BackupsLook } from "../distributions/distribution";
import { BackupError } from "../errors";
import type { BackupSettings, Cluster, S3Settings } from "../model";
import { readOpenAttempt } from "../plan/journal";
import { type Lock, takeLock } from "../plan/lock";
import { openStore } from "../stores/open-store";
import { readServerRole } from "../stores/server-role";
import type { ConnectedHost } from "../transport/connect";
import { sh } from "../transport/shell";
import type { Call } from "./call";
import { lookOnEveryServer, onEveryServer } from "./reach";

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

interface Look extends BackupsLook {
  readonly host: ConnectedHost;
  /** A restore was begun here and has not ended: it paused the backups, and will resume them. */
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
  if (due.length === 0) return report(looks);
  refuseDuringRestore(looks);
  await refuseUnable(cluster, settings, due);
  const lock = await takeLock(cluster.name, "configure backups", new Map(looks.map(({ host }) => [host.name, host])));
  try {
    await putRight(cluster, settings, due, lock, call);
    const after = await onEveryServer(cluster, (host) => lookAt(cluster, settings, host));
    // What overrides our files shows only once they are there.
    const left = after.filter((look) => look.drift.length > 0);
    if (left.length === 0) return reportDone(after, due, call);
    await putRight(cluster, settings, left, lock, call);
    const last = await onEveryServer(cluster, (host) => lookAt(cluster, settings, host));
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
export async function removeBackups(cluster: Cluster, call: Call): Promise<void> {
  call.progress.status("removing the backups' configuration; snapshots stay");
  const hosts = await lookOnEveryServer(cluster, (host) => Promise.resolve(host));
  const lock = await takeLock(cluster.name, "remove backups", new Map(hosts.map((host) => [host.name, host])));
  const { backups, inspect } = distributionOf(cluster);
  try {
    await onEveryServer(cluster, async (host) => {
      const facts = await inspect(host, cluster);
      await lock.guard(host).run(backups.remove(cluster, facts));
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

async function lookAt(cluster: Cluster, settings: BackupSettings, host: ConnectedHost): Promise<Look> {
  const look = await distributionOf(cluster).backups.look(host, cluster, settings);
  return { ...look, host, restoring: readOpenAttempt([look.facts.journal]) !== undefined };
}

/** Changes on each of these servers what differs, and nothing else. */
async function putRight(
  cluster: Cluster,
  settings: BackupSettings,
  looks: readonly Look[],
  lock: Lock,
  call: Call,
): Promise<void> {
  const { backups } = distributionOf(cluster);
  await onEveryServer(cluster, async (host) => {
    const look = looks.find((one) => one.host.name === host.name);
    if (look === undefined) return;
    call.progress.status(`${host.name}: ${look.drift[0] ?? "taking the snapshot that did not come"}`);
    const guarded = lock.guard(host);
    if (look.drift.length > 0) await guarded.run(backups.putRight(cluster, settings, look));
    if (look.stale !== undefined) await guarded.run(backups.saveNow(cluster, look), { timeoutMs: 30 * 60_000 });
  });
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
  const { backups } = distributionOf(cluster);
  const findings = (await Promise.all(looks.map((look) => backups.unable(look.host, settings, look)))).flat();
  const [first] = findings;
  if (first !== undefined) {
    throw new BackupError(first.code, findings.map((finding) => finding.text).join("\n"), {
      hint: "Nothing was changed on any server.",
    });
  }
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

/** The last thing that the resource's row says. */
function reportDone(looks: readonly Look[], due: readonly Look[], call: Call): BackupsReport {
  call.progress.status(`configured and checked: ${due.map((look) => look.host.name).join(", ")}`);
  return report(looks);
}

function report(looks: readonly Look[]): BackupsReport {
  return {
    servers: looks.map(({ facts, drift, stale, directory, timer, schedule, retention, lastSnapshotAt }) => ({
      ...{ server: facts.server, etcdVersion: facts.etcdVersion, directory, timer, schedule },
      ...(facts.version === undefined ? {} : { version: facts.version }),
      ...(retention === undefined ? {} : { retention }),
      ...(lastSnapshotAt === undefined ? {} : { lastSnapshotAt }),
      drift: [...drift, ...(stale === undefined ? [] : [stale])],
    })),
    warnings: looks.flatMap(({ facts, restoring, lastFailure }) => {
      if (restoring) {
        return [`${facts.server}: a restore was begun and has not ended: the scheduled backups are paused`];
      }
      return lastFailure === undefined ? [] : [`${facts.server}: ${lastFailure}`];
    }),
  };
}
