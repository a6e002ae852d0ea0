import { finishRestore } from "../distributions/etcd/finish-restore";
import { restorePlaces, resumeBackups, workDirectory } from "../distributions/etcd/restore-scripts";
import { SAFETY_PREFIX, snapshotDirectory } from "../distributions/etcd/save-snapshot";
import { BackupError } from "../errors";
import { type Cluster, formatLocation, parseLocation, type S3Settings } from "../model";
import { applyPlan, putBack } from "../plan/apply";
import { journalFor, type Journal, type OpenAttempt } from "../plan/journal";
import { type Lock, takeLock } from "../plan/lock";
import type { Hosts } from "../plan/plan";
import { script, sh } from "../transport/shell";
import type { Call } from "./call";
import { findSnapshot, type FoundSnapshot } from "./find-snapshot";
import { type ClusterLook, lookAtCluster } from "./look-at-cluster";
import { describePlan, livingServers, planRestore } from "./plan-restore";
import { inParallel } from "./in-parallel";
import { reachServer, type ReachedHosts } from "./reach";
import { restoreFindings } from "./restore-findings";
import { isDone, restoreIdentity, type RestoreMarker, triggersKey } from "./restore-identity";
import { wasTakenHere } from "./taken-here";

export interface RestoreRequest {
  /** A location, a file name, or `latest`. */
  readonly snapshot: string;
  readonly s3?: S3Settings | undefined;
  readonly triggers: readonly unknown[];
  readonly safetySnapshot: boolean;
  readonly bumpRevision: boolean;
}

/** What a restore would do, in words; and what stands in its way. */
export interface RestorePreview {
  /** The snapshot's resolved location. */
  readonly snapshot: string;
  /** The plan, a line each, for people. */
  readonly lines: readonly string[];
  /** Why it would be refused, a line each; empty when it would run. */
  readonly refusals: readonly string[];
  /** True when this very restore is already done: applying would do nothing. */
  readonly done: boolean;
}

/** What a restore did. */
export interface RestoreReport {
  readonly restoredAt: string;
  readonly restored: { readonly location: string; readonly sizeBytes: number; readonly takenAt: string };
  readonly revisionBefore?: number | undefined;
  readonly revisionAfter: number;
  /** Locations of the snapshots that living members took first. */
  readonly safetySnapshots: readonly string[];
  readonly members: readonly { readonly name: string; readonly id: string; readonly peerUrls: readonly string[] }[];
  /** Where the old data lies, `server:path`. */
  readonly setAside: readonly string[];
  readonly steps: readonly { readonly id: string; readonly title: string; readonly durationMs: number }[];
  readonly durationMs: number;
  readonly report: string;
}

/** Looks, and says what a restore would do. Changes nothing. */
export async function previewRestore(cluster: Cluster, request: RestoreRequest, call: Call): Promise<RestorePreview> {
  call.progress.status("looking at the cluster");
  const gone = await unreachable(cluster);
  if (gone.length > 0) return { snapshot: request.snapshot, lines: [], refusals: gone, done: false };
  const look = await lookAtCluster(cluster);
  const early = isDone(look.marker, request, undefined) && request.snapshot === "latest" ? look.marker : undefined;
  if (early !== undefined && look.open === undefined) return donePreview(early);
  const snapshot = await findSnapshot(cluster, request.snapshot, request.s3, look.hosts);
  const identity = restoreIdentity(cluster, snapshot.title, request.triggers);
  if (look.open === undefined && isDone(look.marker, request, identity)) return donePreview(look.marker);
  const attempt = nameAttempt();
  const { plan } = planRestore(cluster, look, attempt, identity, request, snapshot);
  return {
    snapshot: snapshot.title,
    lines: [...openLines(look.open, identity), ...describePlan(look, plan, attempt, cluster, request, snapshot)],
    refusals: await restoreFindings(cluster, look, snapshot),
    done: false,
  };
}

/**
 * Brings the cluster back to a snapshot, once: a restore that this cluster completed last is reported, not repeated;
 * one that was interrupted goes on.
 * Throws RESTORE_ABANDONED when every server is as it was, RESTORE_INTERRUPTED when only the next attempt can finish it.
 */
export async function restoreSnapshot(cluster: Cluster, request: RestoreRequest, call: Call): Promise<RestoreReport> {
  refuseNow(request);
  call.progress.status("looking at the cluster");
  // Looked at before the lock is taken, because taking it is a change: what is done already must change nothing.
  const first = await lookAtCluster(cluster);
  if (first.open === undefined) {
    if (request.snapshot === "latest" && isDone(first.marker, request, undefined)) return first.marker.report;
    const snapshot = await findSnapshot(cluster, request.snapshot, request.s3, first.hosts);
    refuseTakenHere(snapshot);
    if (isDone(first.marker, request, restoreIdentity(cluster, snapshot.title, request.triggers)))
      return first.marker.report;
    await refuseFindings(cluster, first, snapshot);
  }
  const hosts = await participants(cluster, first.hosts);
  const lock = await takeLock(cluster.name, `restore ${request.snapshot}`, hosts);
  try {
    return await underLock(cluster, request, call, hosts, lock);
  } finally {
    await lock.release();
  }
}

async function underLock(
  cluster: Cluster,
  request: RestoreRequest,
  call: Call,
  raw: ReachedHosts,
  lock: Lock,
): Promise<RestoreReport> {
  const began = Date.now();
  const hosts: Hosts = new Map([...raw].map(([name, host]) => [name, lock.guard(host)]));
  const journal = journalFor(cluster.name, hosts);
  let look = await lookAtCluster(cluster);
  if (look.open !== undefined) {
    const resumed = await settleOpenAttempt(cluster, request, call, look, look.open, hosts, journal);
    if (resumed !== undefined) return resumed;
    look = await lookAtCluster(cluster);
  }
  const snapshot = await findSnapshot(cluster, request.snapshot, request.s3, look.hosts);
  const identity = restoreIdentity(cluster, snapshot.title, request.triggers);
  if (isDone(look.marker, request, identity)) return look.marker.report;
  await refuseFindings(cluster, look, snapshot);
  const attempt = nameAttempt();
  const { plan, proven } = planRestore(cluster, look, attempt, identity, request, snapshot, call.deadline);
  for (const line of describePlan(look, plan, attempt, cluster, request, snapshot)) call.progress.info(line);
  await journal.open({
    ...{ attempt, identity, quorumBefore: look.quorum },
    snapshot: { location: snapshot.title, sizeBytes: snapshot.file.sizeBytes, takenAt: snapshot.file.takenAt },
  });
  const { steps } = await applyPlan(plan, hosts, journal, call.progress, { deadline: call.deadline });
  const equal = proven();
  const revisions = [...look.status.values()].flatMap((status) =>
    status === undefined ? [] : [Number(status.revision)],
  );
  return finish(cluster, look, hosts, journal, request, {
    identity,
    attempt,
    report: {
      restoredAt: new Date().toISOString(),
      restored: { location: snapshot.title, sizeBytes: snapshot.file.sizeBytes, takenAt: snapshot.file.takenAt },
      ...(revisions.length === 0 ? {} : { revisionBefore: Math.max(...revisions) }),
      revisionAfter: equal?.revision ?? 0,
      safetySnapshots: request.safetySnapshot ? safetyLocations(cluster, look, attempt) : [],
      members: equal?.members ?? [],
      setAside: await setAside(cluster, look, attempt),
      steps,
      durationMs: Date.now() - began,
      report: `${cluster.name} was restored to ${snapshot.title}, taken ${snapshot.file.takenAt}.`,
    },
  });
}

/** Ends what an earlier attempt left: goes on where there is only forward, else puts back. Undefined: the way is free. */
async function settleOpenAttempt(
  cluster: Cluster,
  request: RestoreRequest,
  call: Call,
  look: ClusterLook,
  open: OpenAttempt,
  hosts: Hosts,
  journal: Journal,
): Promise<RestoreReport | undefined> {
  const began = Date.now();
  const { plan, proven } = planRestore(cluster, look, open.attempt, open.identity, request, undefined, call.deadline);
  const crossing = plan.stages.flat().some((step) => step.pointOfNoReturn === "crossing" && open.began.has(step.id));
  const forward = open.crossed || (crossing && (await plan.settle(hosts)) === "forward");
  if (!forward) {
    call.progress.info(`An earlier restore (${open.attempt}) was cut off; its servers are put back first.`);
    await putBack(plan, plan.stages, hosts, journal, call.progress, new Error("an earlier attempt was cut off"));
    return undefined;
  }
  if (!open.crossed) await journal.crossed();
  if (!(await isSameRestore(cluster, request, look, open))) {
    call.progress.info(
      `An earlier restore (${open.attempt}) did not end; this one supersedes it. What it set aside is kept.`,
    );
    await leave(cluster, look, open, hosts);
    await journal.close("superseded");
    return undefined;
  }
  call.progress.info(`An earlier attempt of this restore (${open.attempt}) goes on.`);
  const { steps } = await applyPlan(plan, hosts, journal, call.progress, { resume: { ...open, crossed: true } });
  const equal = proven();
  return finish(cluster, look, hosts, journal, request, {
    identity: open.identity,
    attempt: open.attempt,
    report: {
      restoredAt: new Date().toISOString(),
      restored: open.snapshot,
      revisionAfter: equal?.revision ?? 0,
      safetySnapshots: [],
      members: equal?.members ?? [],
      setAside: await setAside(cluster, look, open.attempt),
      steps,
      durationMs: Date.now() - began,
      report: `${cluster.name} was restored to ${open.snapshot.location}; the attempt that began at ${open.attempt} was finished.`,
    },
  });
}

async function isSameRestore(
  cluster: Cluster,
  request: RestoreRequest,
  look: ClusterLook,
  open: OpenAttempt,
): Promise<boolean> {
  // A latest that was begun is the one that is meant, whatever was saved since.
  if (request.snapshot === "latest") return true;
  // The snapshot itself may be gone by now: it is on the servers already.
  const location =
    parseLocation(request.snapshot) === undefined
      ? (await findSnapshot(cluster, request.snapshot, request.s3, look.hosts)).title
      : request.snapshot;
  return restoreIdentity(cluster, location, request.triggers) === open.identity;
}

/** Leaves an attempt that another restore supersedes: what it paused runs again, what it set aside stays. */
async function leave(cluster: Cluster, look: ClusterLook, open: OpenAttempt, hosts: Hosts): Promise<void> {
  await Promise.all(
    look.servers.map(async (facts) => {
      const places = restorePlaces(cluster.name, facts, open.attempt);
      await hosts.get(facts.server)?.run(script(resumeBackups(cluster.name, places), sh`rm -rf ${places.work}`));
    }),
  );
}

async function finish(
  cluster: Cluster,
  look: ClusterLook,
  hosts: Hosts,
  journal: Journal,
  request: RestoreRequest,
  ended: { readonly identity: string; readonly attempt: string; readonly report: RestoreReport },
): Promise<RestoreReport> {
  const marker: RestoreMarker = {
    identity: ended.identity,
    requested: request.snapshot,
    triggers: triggersKey(request),
    report: ended.report,
  };
  const etcd = new Map(look.servers.map((facts) => [facts.server, facts]));
  await Promise.all(
    [...hosts].map(([name, host]) => {
      const facts = etcd.get(name);
      return facts === undefined
        ? host.run(sh`rm -rf ${workDirectory(cluster.name, ended.attempt)}`)
        : host.run(
            finishRestore(cluster.name, JSON.stringify(marker), restorePlaces(cluster.name, facts, ended.attempt)),
          );
    }),
  );
  await journal.close("done");
  return ended.report;
}

/** The servers, and the machines whose API servers stop and start with them. */
async function participants(cluster: Cluster, hosts: ReachedHosts): Promise<ReachedHosts> {
  const all = new Map(hosts);
  for (const server of cluster.apiServers ?? [])
    if (!all.has(server.name)) all.set(server.name, await reachServer(cluster, server));
  return all;
}

/** Listed servers that cannot be reached although others can. When none can, the look itself says so. */
async function unreachable(cluster: Cluster): Promise<string[]> {
  const results = await inParallel(cluster.servers, (server) => reachServer(cluster, server));
  const failures = results.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
  if (failures.length === cluster.servers.length) return [];
  return failures.map((error) => `${messageOf(error)}\nIf the server is gone for good, take it out of \`servers\`.`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function refuseFindings(cluster: Cluster, look: ClusterLook, snapshot: FoundSnapshot): Promise<void> {
  const findings = await restoreFindings(cluster, look, snapshot);
  if (findings.length === 0) return;
  throw new BackupError(
    findings.some((finding) => finding.includes("no space")) ? "NO_SPACE" : "TOOL_MISSING",
    findings.join("\n"),
    {
      hint: "Nothing was touched.",
    },
  );
}

function refuseNow(request: RestoreRequest): void {
  if (request.snapshot.trim() !== "") return;
  throw new BackupError("INVALID_INPUT", "snapshot is empty", {
    hint: "Name a snapshot, or leave it out: then nothing is restored.",
  });
}

function refuseTakenHere(snapshot: FoundSnapshot): void {
  if (!wasTakenHere(snapshot.title)) return;
  throw new BackupError("RESTORE_TO_NOW", `${snapshot.title} was taken by this very update: it would restore to now`, {
    hint: "Name an older snapshot.",
  });
}

function donePreview(marker: RestoreMarker): RestorePreview {
  const { report } = marker;
  return {
    snapshot: report.restored.location,
    lines: [
      `Already restored to ${report.restored.location} at ${report.restoredAt}: nothing will be done. Change \`triggers\` to restore again.`,
    ],
    refusals: [],
    done: true,
  };
}

function openLines(open: OpenAttempt | undefined, identity: string): string[] {
  if (open === undefined) return [];
  if (!open.crossed)
    return [
      `An earlier restore (${open.attempt}) was cut off. Its servers are put back first, or it goes on where it cannot.`,
    ];
  return open.identity === identity
    ? [`An earlier attempt of this restore (${open.attempt}) goes on where it stopped.`]
    : [`An earlier restore (${open.attempt}) did not end; this one supersedes it.`];
}

function safetyLocations(cluster: Cluster, look: ClusterLook, attempt: string): string[] {
  return livingServers(look).map((server) => {
    const clock = look.servers.find((facts) => facts.server === server)?.clock ?? 0;
    const path = `${snapshotDirectory(cluster.name)}/${SAFETY_PREFIX}${attempt}-${server}-${clock}.db`;
    return formatLocation({ kind: "file", server, path });
  });
}

/** Where old data really lies now: a member that had lost its data left none. */
async function setAside(cluster: Cluster, look: ClusterLook, attempt: string): Promise<string[]> {
  const found = await Promise.all(
    look.servers.map(async (facts) => {
      const { aside, asideWal } = restorePlaces(cluster.name, facts, attempt);
      const answer = await look.hosts.get(facts.server)
        ?.query(sh`for p in ${[aside, ...(asideWal === undefined ? [] : [asideWal])]}; do
  [ ! -e "$p" ] || printf '%s\n' "$p"
done`);
      return (answer?.stdout ?? "").split("\n").flatMap((path) => (path === "" ? [] : [`${facts.server}:${path}`]));
    }),
  );
  return found.flat();
}

/** Sortable, and a time that people recognise in a directory listing. */
function nameAttempt(): string {
  return new Date().toISOString().replace(/[-:]|\.\d+/g, "");
}
