import { distributionOf } from "../distributions";
import { hasCode } from "../errors";
import { type Cluster, parseLocation } from "../model";
import { applyPlan, interrupted, putBack, settle } from "../plan/apply";
import { type Attempt, isKnownTo, journalFor, type Journal, type OpenAttempt } from "../plan/journal";
import type { Hosts, Plan, Stage } from "../plan/plan";
import type { Call } from "./call";
import { findSnapshot, type FoundSnapshot } from "./find-snapshot";
import { finishRestore, forgetElsewhere } from "./finish-restore";
import { type ClusterLook, lookAtCluster } from "./look-at-cluster";
import { highestRevision, nameAttempt, planRestore } from "./plan-restore";
import type { RestoreReport, RestoreRequest } from "./restore";
import { refuseFindings } from "./restore-findings";
import { isDone, outdated, restoreIdentity } from "./restore-identity";
import { refuseTakenHere } from "./taken-here";

/** A restore under the cluster's lock. */
export interface RestoreJob {
  readonly cluster: Cluster;
  readonly request: RestoreRequest;
  readonly call: Call;
  /** Every participating server; each change first checks that the lock is still ours. */
  readonly hosts: Hosts;
  /** Found, and read whole where that can be done, before the lock was taken: reading a large file again takes seconds. */
  readonly snapshot?: FoundSnapshot | undefined;
}

/** Ends what an earlier attempt left open, then restores, unless ending it was the restore. */
export async function runRestore(job: RestoreJob): Promise<RestoreReport> {
  const journal = journalFor(job.cluster.name, job.hosts);
  const look = await lookAtCluster(job.cluster);
  if (look.open === undefined) return beginRestore(job, look, journal);
  const finished = await endOpenAttempt(job, look, look.open, journal);
  return finished ?? beginRestore(job, await lookAtCluster(job.cluster), journal);
}

async function beginRestore(job: RestoreJob, look: ClusterLook, journal: Journal): Promise<RestoreReport> {
  const { cluster, request, call, hosts } = job;
  const snapshot = job.snapshot ?? (await findSnapshot(cluster, request.snapshot, request.s3, look));
  refuseTakenHere(snapshot.title);
  const identity = restoreIdentity(cluster, snapshot.title, request.triggers);
  if (isDone(look.marker, request, identity)) return look.marker.report;
  await refuseFindings(cluster, look, snapshot, request);
  const revision = highestRevision(look);
  const attempt: Attempt = {
    ...{ attempt: nameAttempt(), identity, quorumBefore: look.quorum },
    ...(revision === 0 ? {} : { revisionBefore: revision }),
    snapshot: { location: snapshot.title, sizeBytes: snapshot.file.sizeBytes, takenAt: snapshot.file.takenAt },
  };
  const began = Date.now();
  const { plan, proven } = planRestore(cluster, look, { ...attempt, request, snapshot, deadline: call.deadline });
  call.progress.info(`Restoring ${cluster.name} to ${snapshot.title}, taken ${snapshot.file.takenAt}.`);
  await journal.open(attempt);
  const { steps } = await applyPlan(plan, hosts, journal, call.progress, { deadline: call.deadline });
  return finishRestore(job, look, journal, attempt, { steps, proven: proven(), began }).catch(notRecorded(plan));
}

/** Ends what an earlier attempt left: goes on where there is only forward, else puts back. Undefined: the way is free. */
async function endOpenAttempt(
  job: RestoreJob,
  look: ClusterLook,
  open: OpenAttempt,
  journal: Journal,
): Promise<RestoreReport | undefined> {
  const { cluster, request, call, hosts } = job;
  const began = Date.now();
  const { plan, proven } = planRestore(cluster, look, {
    ...open,
    request,
    snapshot: undefined,
    deadline: call.deadline,
  });
  const cutOff = new Error("an earlier attempt was cut off");
  const starts = plan.stages.flat().filter((step) => step.pointOfNoReturn === "crossing");
  const crossing = starts.some((step) => open.began.has(step.id));
  // Decided once, and partly done: some servers have their old data in place by now, which looking again would start.
  const goingBack = starts.some((step) => open.undone.has(step.id));
  const forward = open.crossed || (crossing && !goingBack && (await settle(plan, hosts, cutOff)) === "forward");
  if (!forward) {
    call.progress.info(`An earlier restore (${open.attempt}) was cut off; its servers are put back first.`);
    await putBack(plan, begunStages(plan, look, open), hosts, journal, call.progress, cutOff);
    return undefined;
  }
  if (!open.crossed) await journal.crossed();
  if (!(await isSameRestore(job, look, open))) {
    // What cannot be restored supersedes nothing.
    const snapshot = await findSnapshot(cluster, request.snapshot, request.s3, look);
    refuseTakenHere(snapshot.title);
    await refuseFindings(cluster, look, snapshot, request);
    call.progress.info(
      `An earlier restore (${open.attempt}) did not end; this one supersedes it. What it set aside is kept.`,
    );
    await supersede(job, look, open);
    await journal.close("superseded");
    return undefined;
  }
  refuseStrangers(look, plan, open);
  call.progress.info(`An earlier attempt of this restore (${open.attempt}) goes on.`);
  const { steps } = await applyPlan(plan, hosts, journal, call.progress, { resume: { ...open, crossed: true } });
  return finishRestore(job, look, journal, open, { steps, proven: proven(), began }).catch(notRecorded(plan));
}

/** What a server without the attempt's journal has done cannot be told; doing it again would stop a member that serves. */
function refuseStrangers(look: ClusterLook, plan: Plan, open: OpenAttempt): void {
  const strangers = look.servers.filter((facts) => !isKnownTo(facts.journal, open)).map((facts) => facts.server);
  if (strangers.length === 0) return;
  const cause = new Error(`the journal on ${strangers.join(", ")} has no line of the attempt ${open.attempt}`);
  throw interrupted(plan, ["resume"], cause);
}

/** A restore that is proven and not yet on record on every server is one that goes on. */
function notRecorded(plan: Plan): (error: unknown) => never {
  return (error) => {
    if (hasCode(error, "LOCK_LOST") || !(error instanceof Error)) throw error;
    throw interrupted(plan, ["finish"], error);
  };
}

/** What never began changed nothing: putting it back would stop servers for nothing. Journals of machines without etcd were not read. */
function begunStages(plan: Plan, look: ClusterLook, open: OpenAttempt): readonly Stage[] {
  const read = new Set(look.servers.map((facts) => facts.server));
  return plan.stages
    .map((stage) => stage.filter((step) => open.began.has(step.id) || !read.has(step.server)))
    .filter((stage) => stage.length > 0);
}

async function isSameRestore({ cluster, request }: RestoreJob, look: ClusterLook, open: OpenAttempt): Promise<boolean> {
  // A latest that was begun is the one that is meant, whatever was saved since.
  if (request.snapshot === "latest") return true;
  // The snapshot itself may be gone by now: it is on the servers already.
  const location =
    parseLocation(request.snapshot) === undefined
      ? (await findSnapshot(cluster, request.snapshot, request.s3, look)).title
      : request.snapshot;
  return restoreIdentity(cluster, location, request.triggers) === open.identity;
}

/** Leaves an attempt to another restore: what it paused or stopped runs again, what it set aside stays. */
async function supersede({ cluster, hosts }: RestoreJob, look: ClusterLook, open: OpenAttempt): Promise<void> {
  const { restores } = distributionOf(cluster);
  const marker = look.marker === undefined ? undefined : JSON.stringify(outdated(look.marker));
  // Before the servers: an API server may run on one of their machines, where what is remembered goes away.
  await Promise.all(
    (cluster.apiServers ?? []).map(async (apiServer) => {
      const leave = restores.leaveApiServer?.(cluster.name, apiServer, open.attempt);
      if (leave !== undefined) await hosts.get(apiServer.name)?.run(leave);
    }),
  );
  await Promise.all(
    look.servers.map(async (facts) => {
      await hosts.get(facts.server)?.run(restores.leave(cluster.name, facts, open.attempt, marker));
    }),
  );
  await forgetElsewhere(cluster, look, hosts, open.attempt);
}
