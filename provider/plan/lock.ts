import { randomUUID } from "node:crypto";
import { BackupError, CommandError } from "../errors";
import { inParallel } from "../in-parallel";
import type { Host } from "../transport/host";
import { type Command, rawScript, sh, titled } from "../transport/shell";
import { describeHolder, isDead, thisProcess } from "./holder";
import type { Hosts } from "./plan";
import { serverDirectory } from "./server-directory";
import { behind, wrapHost } from "./wrapped-host";

const LEASE_SECONDS = 60;
const LOCK_LOST_EXIT = 76;
const RELEASE_MS = 10_000;

/** The right to change a cluster. It lies on its servers, so that every operator sees it. */
export interface Lock {
  /** The same host, whose changes first check that the lock is still ours. */
  guard(host: Host): Host;
  release(): Promise<void>;
}

/**
 * Takes the cluster's lock on every given server, in sorted order, all or none.
 * Within this process it queues; held by another one, it rejects with LOCKED and names holder, operation and since when.
 * A lease that ran out, or whose holder is a dead process of this machine, is taken over.
 */
export async function takeLock(cluster: string, operation: string, hosts: Hosts): Promise<Lock> {
  const leaveQueue = await joinQueue(cluster);
  const token = randomUUID();
  const directory = serverDirectory(cluster);
  const taken: Host[] = [];
  const release = async (): Promise<void> => {
    clearInterval(heartbeat);
    // A server that has gone keeps its lease until it ends by itself; nobody waits for that.
    await inTime(inParallel(taken, (host) => host.run(releaseScript(directory, token))));
    leaveQueue();
  };
  const heartbeat = setInterval(
    () => {
      // A beat that fails is not lost: the next one, or the check in the next change, finds out.
      void inParallel(taken, (host) => host.run(renewScript(directory, token)));
    },
    (LEASE_SECONDS / 4) * 1000,
  );
  try {
    for (const name of [...hosts.keys()].sort()) {
      const host = hosts.get(name);
      if (host === undefined) continue;
      await takeOn(host, directory, token, operation);
      taken.push(host);
    }
  } catch (error) {
    await release();
    throw error;
  }
  return { guard: (host) => guardedHost(host, directory, token), release };
}

/** Puts the check of the lock before every change. The check and the change are one script: nothing comes between them. */
function guardedHost(host: Host, directory: string, token: string): Host {
  return wrapHost(host, async (command, options) => {
    try {
      return await host.run(behind(checkScript(directory, token), command), options);
    } catch (error) {
      if (!(error instanceof CommandError) || error.exitCode !== LOCK_LOST_EXIT) throw error;
      throw new BackupError("LOCK_LOST", "another operation has taken the lock over; nothing more was done here", {
        host: host.name,
        hint: "Run `pulumi up` again: it looks at what there is now.",
        cause: error,
      });
    }
  });
}

async function takeOn(host: Host, directory: string, token: string, operation: string): Promise<void> {
  // A holder that is known to be dead may be named, so that its lease need not run out.
  let dead = "";
  for (;;) {
    const { stdout } = await host.run(
      titled("take the lock of the cluster", takeScript(directory, token, operation, dead)),
    );
    const [answer = "", heldBy = "", until = "", since = "", holder = "", what = ""] = stdout.trimEnd().split("\n");
    if (answer === "taken") return;
    if (answer === "held" && heldBy !== dead && isDead(holder)) {
      dead = heldBy;
      continue;
    }
    const clock = (seconds: string): string => new Date(Number(seconds) * 1000).toISOString();
    throw new BackupError(
      "LOCKED",
      answer === "busy"
        ? "a change made by another operation is still running"
        : `${describeHolder(holder)} is busy with it: ${what}, since ${clock(since)}`,
      {
        host: host.name,
        hint:
          answer === "busy"
            ? "Wait for it to end, then run `pulumi up` again."
            : `Wait for it to end. If it died, its lock ends at ${clock(until)} by this server's clock.`,
      },
    );
  }
}

// The lease is five lines: token, end, since, holder, operation. Times are the server's own.
// `guard` is held for as long as a change runs, so that nobody takes over in the middle of one; `lease.lock` only while the lease is read and written.
const lockFunctions = rawScript(`
lease_write() {
  printf '%s\\n' "$1" "$(($(date +%s) + ${LEASE_SECONDS}))" "$2" "$3" "$4" >"$d/lease.new" && mv -f "$d/lease.new" "$d/lease"
}
lease_read() {
  token= until=0 since=0 holder= operation=
  [ -s "$d/lease" ] && { read -r token; read -r until; read -r since; read -r holder; read -r operation; } <"$d/lease"
  :
}
`);

function takeScript(directory: string, token: string, operation: string, dead: string): Command {
  return sh`d=${directory} mine=${token} dead=${dead}
umask 077
mkdir -p "$d" || exit 1
${lockFunctions}
exec 9>>"$d/guard"
flock -w 5 9 || { echo busy; exit 0; }
exec 8>>"$d/lease.lock"
flock -w 5 8 || { echo busy; exit 0; }
lease_read
if [ -n "$token" ] && [ "$token" != "$mine" ] && [ "$token" != "$dead" ] && [ "$until" -gt "$(date +%s)" ]; then
  printf '%s\n' held "$token" "$until" "$since" "$holder" "$operation"
  exit 0
fi
lease_write "$mine" "$(date +%s)" ${thisProcess()} ${operation} && echo taken`;
}

function checkScript(directory: string, token: string): Command {
  return sh`d=${directory} mine=${token}
${lockFunctions}
exec 9>>"$d/guard"
flock -w 30 9 || { echo 'another change is still running' >&2; exit 1; }
exec 8>>"$d/lease.lock"
flock -w 30 8
lease_read
[ "$token" = "$mine" ] || { echo "the lock is not ours any more" >&2; exit ${LOCK_LOST_EXIT}; }
lease_write "$mine" "$since" "$holder" "$operation"
exec 8>&-`;
}

function renewScript(directory: string, token: string): Command {
  return sh`d=${directory} mine=${token}
${lockFunctions}
exec 8>>"$d/lease.lock"
flock -w 5 8 || exit 0
lease_read
[ "$token" = "$mine" ] && lease_write "$mine" "$since" "$holder" "$operation"
:`;
}

function releaseScript(directory: string, token: string): Command {
  return sh`d=${directory} mine=${token}
${lockFunctions}
exec 8>>"$d/lease.lock"
flock -w 5 8
lease_read
[ "$token" = "$mine" ] && rm -f "$d/lease"
:`;
}

async function inTime(work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, RELEASE_MS);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}

// Pulumi runs resources concurrently in one process: there they wait for each other instead of refusing.
const queues = new Map<string, Promise<void>>();

async function joinQueue(cluster: string): Promise<() => void> {
  const before = queues.get(cluster);
  let leave: () => void = () => undefined;
  const mine = new Promise<void>((resolve) => {
    leave = resolve;
  });
  queues.set(cluster, before === undefined ? mine : before.then(() => mine));
  await before;
  return leave;
}
