import type { Cluster } from "../model";
import type { OpenAttempt } from "../plan/journal";
import type { Call } from "./call";
import { findSnapshot } from "./find-snapshot";
import { inParallel } from "../in-parallel";
import { lookAtCluster } from "./look-at-cluster";
import { describePlan, nameAttempt, planRestore } from "./plan-restore";
import { reachServer } from "./reach";
import type { RestoreRequest } from "./restore";
import { restoreFindings } from "./restore-findings";
import { isDone, restoreIdentity, type RestoreMarker } from "./restore-identity";

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

/** Looks, and says what a restore would do. Changes nothing. */
export async function previewRestore(cluster: Cluster, request: RestoreRequest, call: Call): Promise<RestorePreview> {
  call.progress.status("looking at the cluster");
  const gone = await unreachable(cluster);
  if (gone.length > 0) return { snapshot: request.snapshot, lines: [], refusals: gone, done: false };
  const look = await lookAtCluster(cluster);
  const free = look.open === undefined;
  if (free && request.snapshot === "latest" && isDone(look.marker, request, undefined)) return donePreview(look.marker);
  const snapshot = await findSnapshot(cluster, request.snapshot, request.s3, look);
  const identity = restoreIdentity(cluster, snapshot.title, request.triggers);
  if (free && isDone(look.marker, request, identity)) return donePreview(look.marker);
  const attempt = nameAttempt();
  const planned = planRestore(cluster, look, { attempt, identity, request, snapshot });
  return {
    snapshot: snapshot.title,
    lines: [...openLines(look.open, identity), ...describePlan(look, planned, cluster, request, snapshot)],
    refusals: (await restoreFindings(cluster, look, snapshot, request)).map((finding) => finding.text),
    done: false,
  };
}

/** Listed servers that cannot be reached although others can. When none can, the look itself says so. */
async function unreachable(cluster: Cluster): Promise<string[]> {
  const results = await inParallel(cluster.servers, (server) => reachServer(cluster, server));
  const failures = results.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
  if (failures.length === cluster.servers.length) return [];
  return failures.map((error) => {
    const what = error instanceof Error ? error.message : String(error);
    return `${what}\nIf the server is gone for good, take it out of \`servers\`.`;
  });
}

function donePreview({ report }: RestoreMarker): RestorePreview {
  const { location } = report.restored;
  return {
    snapshot: location,
    lines: [
      `Already restored to ${location} at ${report.restoredAt}: nothing will be done. Change \`triggers\` to restore again.`,
    ],
    refusals: [],
    done: true,
  };
}

function openLines(open: OpenAttempt | undefined, identity: string): string[] {
  if (open === undefined) return [];
  if (!open.crossed) {
    return [
      `An earlier restore (${open.attempt}) was cut off. Its servers are put back first, or it goes on where it cannot.`,
    ];
  }
  return open.identity === identity
    ? [`An earlier attempt of this restore (${open.attempt}) goes on where it stopped.`]
    : [`An earlier restore (${open.attempt}) did not end; this one supersedes it.`];
}
