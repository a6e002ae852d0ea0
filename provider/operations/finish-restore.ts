import { posix } from "node:path";
import { distributionOf } from "../distributions";
import { SAFETY_PREFIX } from "../distributions/distribution";
import type { EqualMembers } from "../distributions/members";
import type { Cluster } from "../model";
import type { Applied } from "../plan/apply";
import type { Progress } from "../model";
import type { Attempt, Journal } from "../plan/journal";
import type { Hosts } from "../plan/plan";
import { attemptDirectory } from "../plan/server-directory";
import { sh } from "../transport/shell";
import type { ClusterLook } from "./look-at-cluster";
import type { RestoreReport } from "./restore";
import { wakeAgents } from "./wake-agents";
import { type RestoreMarker, triggersKey } from "./restore-identity";
import type { RestoreJob } from "./run-restore";

interface Ran extends Applied {
  readonly proven: EqualMembers | undefined;
  /** Milliseconds since the epoch. */
  readonly began: number;
}

/** Puts a restore that is proven on record: the backups run again, the marker lies on every server, the journal is closed. */
export async function finishRestore(
  job: RestoreJob,
  look: ClusterLook,
  journal: Journal,
  attempt: Attempt,
  ran: Ran,
): Promise<RestoreReport> {
  const { cluster, request, call, hosts } = job;
  const { restores } = distributionOf(cluster);
  const { location, takenAt } = attempt.snapshot;
  const alarmed = (ran.proven?.alarms ?? []).map(
    (alarm) => `The alarm ${alarm} came back with the data: etcd refuses writes until \`etcdctl alarm disarm\`.`,
  );
  call.progress.status("waiting for the agents");
  const notes = [...alarmed, ...(await wakeAgents(cluster, look))];
  for (const line of notes) call.progress.warn(line);
  const report: RestoreReport = {
    restoredAt: new Date().toISOString(),
    restored: attempt.snapshot,
    ...(attempt.revisionBefore === undefined ? {} : { revisionBefore: attempt.revisionBefore }),
    revisionAfter: ran.proven?.revision ?? 0,
    members: ran.proven?.members ?? [],
    ...(await leftBehind(job, look, attempt.attempt)),
    steps: ran.steps,
    durationMs: Date.now() - ran.began,
    report: [`${cluster.name} was restored to ${location}, taken ${takenAt}.`, ...notes].join(" "),
  };
  const marker: RestoreMarker = {
    ...{ identity: attempt.identity, requested: request.snapshot, triggers: triggersKey(request), report },
  };
  await Promise.all(
    look.servers.map(async (facts) => {
      const finish = restores.finish(cluster.name, facts, attempt.attempt, JSON.stringify(marker));
      await hosts.get(facts.server)?.run(finish);
    }),
  );
  await forgetElsewhere(cluster, look, hosts, attempt.attempt);
  await journal.close("done");
  tell(report, call.progress);
  return report;
}

/** What an attempt remembers on machines without etcd goes last: an API server may run on a server's machine, under a name of its own. */
export async function forgetElsewhere(
  cluster: Cluster,
  look: ClusterLook,
  hosts: Hosts,
  attempt: string,
): Promise<void> {
  const etcd = new Set(look.servers.map((facts) => facts.server));
  const others = [...hosts.values()].filter((host) => !etcd.has(host.name));
  const command = sh`rm -rf ${attemptDirectory(cluster.name, attempt)}`;
  await Promise.all(others.map((host) => host.run(command)));
}

function tell({ restored, revisionAfter, safetySnapshots, setAside }: RestoreReport, progress: Progress): void {
  const named = (paths: readonly string[]): string => (paths.length === 0 ? "none" : paths.join(", "));
  progress.info(`Restored to ${restored.location}; the revision is ${revisionAfter} now.`);
  progress.info(`Old data, set aside: ${named(setAside)}. Safety snapshots: ${named(safetySnapshots)}.`);
  progress.info("Restart what watches etcd and was not restarted with it.");
  progress.status("restored and proven");
}

/** What the attempt really left on the servers: a member that had lost its data left none aside, and was not saved. */
async function leftBehind(
  { cluster }: RestoreJob,
  look: ClusterLook,
  attempt: string,
): Promise<Pick<RestoreReport, "safetySnapshots" | "setAside">> {
  const { restores, snapshots } = distributionOf(cluster);
  const found = await Promise.all(
    look.servers.map(async (facts) => {
      const safety = `${snapshots.directories(cluster, facts)[0]}/${SAFETY_PREFIX}${attempt}-`;
      const answer = await look.hosts.get(facts.server)
        ?.query(sh`for p in ${restores.setAside(facts, attempt)} ${safety}*; do
  [ ! -e "$p" ] || printf '%s\n' "$p"
done`);
      const paths = (answer?.stdout ?? "").split("\n").filter((path) => path !== "");
      return (
        paths
          .map((path) => ({ server: facts.server, path, safety: path.startsWith(safety) }))
          // What a save that was cut off has left is no snapshot.
          .filter(({ path, safety }) => !safety || snapshots.readName(posix.basename(path)) !== undefined)
      );
    }),
  );
  return {
    safetySnapshots: found.flat().flatMap((one) => (one.safety ? [`file://${one.server}${one.path}`] : [])),
    setAside: found.flat().flatMap((one) => (one.safety ? [] : [`${one.server}:${one.path}`])),
  };
}
