import { distributionOf } from "../distributions";
import type { RestoreStagesRequest } from "../distributions/distribution";
import { megabytes } from "../distributions/free-space";
import type { EqualMembers } from "../distributions/members";
import type { Cluster } from "../model";
import type { Hosts, Plan } from "../plan/plan";
import type { FoundSnapshot } from "./find-snapshot";
import type { ClusterLook } from "./look-at-cluster";
import type { RestoreRequest } from "./restore";

/** A plan, and what its servers' proven members look like once it ran. */
export interface RestorePlan {
  readonly plan: Plan;
  /** What the distribution says of it beside its stages. */
  readonly notes: readonly string[];
  readonly proven: () => EqualMembers | undefined;
}

export interface WantedRestore {
  readonly attempt: string;
  readonly identity: string;
  readonly request: RestoreRequest;
  /** Not needed to put an attempt back, or to finish one that crossed. */
  readonly snapshot: FoundSnapshot | undefined;
  readonly deadline?: number | undefined;
}

/** Builds the plan of one attempt from what was seen. */
export function planRestore(cluster: Cluster, look: ClusterLook, wanted: WantedRestore): RestorePlan {
  const { attempt, identity, request, snapshot, deadline = Infinity } = wanted;
  const { restores } = distributionOf(cluster);
  let proven: EqualMembers | undefined;
  const stagesRequest: RestoreStagesRequest = {
    ...{
      cluster,
      attempt,
      members: look.members,
      quorum: look.quorum,
      snapshotName: snapshot?.file.name,
      token: request.token ?? cluster.token,
    },
    safety: request.safetySnapshot ? safetyOrder(look) : [],
    ...{ bumpRevision: request.bumpRevision, highestRevision: highestRevision(look) },
    fetch: async (server: string, path: string): Promise<void> => {
      const host = look.hosts.get(server);
      if (host === undefined || snapshot === undefined) throw new Error(`nothing to stage on ${server}`);
      await snapshot.fetch(host, path);
    },
    // A deadline that is over still leaves the moment that a healthy cluster needs.
    patienceMs: (most = PATIENCE_MS) => Math.min(most, Math.max(10_000, deadline - Date.now())),
    proven: (members: EqualMembers): void => {
      proven = members;
    },
  };
  const resumes = look.open?.attempt === attempt;
  const expectQuorum = resumes ? look.open.quorumBefore : look.quorum;
  return {
    plan: {
      identity,
      title: `the restore of ${cluster.name}`,
      stages: restores.stages(look.servers, stagesRequest),
      settle: (hosts: Hosts) => restores.settle(look.servers, stagesRequest, hosts),
      async proveUntouched() {
        // Without a quorum before there is nothing that must serve again.
        if (expectQuorum) await look.members.waitForQuorum(PATIENCE_MS);
        // Who answered before is known only to the process that looked before.
        if (!resumes) await look.members.waitForAnswers(livingServers(look), PATIENCE_MS);
      },
    },
    notes: snapshot === undefined ? [] : restores.describe(look.servers, stagesRequest, snapshot.file),
    proven: () => proven,
  };
}

/** The highest revision that any client can have seen, as far as anybody knows; 0 when nobody does. */
export function highestRevision(look: ClusterLook): number {
  const now = [...look.status.values()].flatMap((status) => (status === undefined ? [] : [status.revision]));
  return Math.max(0, look.marker?.report.revisionAfter ?? 0, ...now);
}

/** etcd elects a leader in seconds; a large database is read for a while first. */
const PATIENCE_MS = 180_000;

/** Servers whose etcd answers: their data is saved before anything stops. */
function livingServers({ servers, status }: ClusterLook): string[] {
  return servers.map((facts) => facts.server).filter((server) => status.get(server) !== undefined);
}

/** The one that has most comes first: where one is enough, it is that. */
function safetyOrder(look: ClusterLook): string[] {
  const revision = (server: string): number => look.status.get(server)?.revision ?? 0;
  return livingServers(look).sort((a, b) => revision(b) - revision(a));
}

/** The plan in words. Times, never ages: two previews of the same plan read the same. */
export function describePlan(
  look: ClusterLook,
  { plan, notes }: RestorePlan,
  cluster: Cluster,
  request: RestoreRequest,
  snapshot: FoundSnapshot,
): string[] {
  const living = livingServers(look);
  const silent = look.servers.map((facts) => facts.server).filter((server) => !living.includes(server));
  const revisions = look.servers.flatMap((facts) => {
    const status = look.status.get(facts.server);
    return status === undefined
      ? []
      : [`${facts.server} ${status.revision}${status.memberId === status.leaderId ? " (leader)" : ""}`];
  });
  return [
    `Restore ${cluster.name} to ${snapshot.title}, ${megabytes(snapshot.file.sizeBytes)}, taken ${snapshot.file.takenAt}.`,
    `Everything written to etcd after ${snapshot.file.takenAt} will be lost.`,
    revisions.length === 0 ? "Revision now: no member answers." : `Revision now: ${revisions.join(", ")}.`,
    look.quorum ? "The cluster has a quorum." : "The cluster has no quorum.",
    ...(silent.length === 0
      ? []
      : [
          `No answer from etcd on ${silent.join(", ")}.${look.quorum ? " With a quorum alive, replacing a lost member is the smaller act." : ""}`,
        ]),
    safetyLine(request, savedServers(plan)),
    ...plan.stages.map(
      (stage, index) => `${index + 1}. ${stage[0]?.title ?? ""}: ${stage.map((step) => step.server).join(", ")}`,
    ),
    ...notes,
  ];
}

/** One may be enough: the distribution decides. */
function savedServers({ stages }: Plan): string[] {
  return stages.flat().flatMap(({ id, server }) => (id.endsWith(":safety-snapshot") ? [server] : []));
}

function safetyLine(request: RestoreRequest, saved: readonly string[]): string {
  if (!request.safetySnapshot) return "No safety snapshot, as asked.";
  return saved.length === 0
    ? "No safety snapshot can be taken: no member answers. The old data directories are kept all the same."
    : `A safety snapshot is taken and verified first on ${saved.join(", ")}.`;
}

/** Names an attempt: sortable, and a time that people recognise in a directory listing. */
export function nameAttempt(): string {
  return new Date().toISOString().replace(/[-:]|\.\d+/g, "");
}
