import { hasCode } from "../errors";
import type { Cluster, S3Settings } from "../model";
import { verifyConnections } from "../operations/configure-backups";
import { type RestoreReport, type RestoreRequest, restoreSnapshot } from "../operations/restore";
import { distributionIn } from "./check-cluster";
import { restoreDefaults, restoreRule } from "./check-restore";
import { type Credentials, withCredentials, withS3Credentials } from "./credentials";
import { parseDuration } from "../duration";
import { pick } from "./fields";
import { checkInputs } from "./inputs";
import { Interrupted, type Lifecycle, type LifecycleCall } from "./lifecycle";
import { lookAhead } from "./look-ahead";
import { same } from "./same";
import { withoutKeeping } from "./store-inputs";
import { holdsUnknown } from "./unknown";

export interface SnapshotRestoreInputs {
  readonly cluster: Cluster;
  readonly snapshot?: string;
  readonly s3?: S3Settings;
  readonly triggers: readonly unknown[];
  readonly safetySnapshot: boolean;
  readonly bumpRevision: boolean;
  readonly token?: string;
  readonly accept?: readonly string[];
  readonly deadline?: string;
}

/** Without the report's fields nothing was restored, or a restore was interrupted. */
export type SnapshotRestoreState = SnapshotRestoreInputs & Partial<RestoreReport>;

/** Brings a cluster back to a snapshot, once; does nothing as long as none is named. */
export const snapshotRestore: Lifecycle<SnapshotRestoreInputs, SnapshotRestoreState> = {
  async check(given, old, call) {
    const distribution = distributionIn(given);
    const checked = checkInputs<SnapshotRestoreInputs>(given, restoreRule(distribution), restoreDefaults(distribution));
    const inputs = withoutKeeping(checked.inputs);
    if (checked.failures.length > 0 || !isDue(inputs, old)) return { inputs, failures: checked.failures };
    // Nothing can be added to what is not known yet, and nothing will be looked at.
    const credentials = holdsUnknown(inputs) ? undefined : call.credentials;
    const cluster = credentials === undefined ? inputs.cluster : withCredentials(inputs.cluster, credentials);
    return { inputs, failures: await lookAhead(cluster, request(inputs, credentials), call) };
  },

  diff(state, inputs) {
    const changed = stored.filter((key) => !same(state[key], inputs[key]));
    const renamed = state.cluster.name === inputs.cluster.name ? [] : ["cluster.name"];
    // Taking the name away must not be a replacement: its new half would find nothing to do, but would look like a restore.
    const replaces = inputs.snapshot === undefined ? [] : [...changed.filter(decidesRestore), ...renamed];
    // A refresh forgets that the restore was interrupted, the state does not.
    return { changes: changed.length > 0 || isUnfinished(state), replaces };
  },

  async reconcile(inputs, state, call) {
    const id = inputs.snapshot === undefined ? inputs.cluster.name : `${inputs.cluster.name}/${inputs.snapshot}`;
    if (inputs.snapshot === undefined) {
      warnOfUnfinished(state, call);
      return { id, state: { ...reportOf(state), ...inputs } };
    }
    const cluster = withCredentials(inputs.cluster, call.credentials);
    if (state?.restoredAt !== undefined) {
      if (!same(state.cluster, inputs.cluster)) await verifyConnections(cluster, call);
      return { id, state: { ...reportOf(state), ...inputs } };
    }
    try {
      const report = await restoreSnapshot(cluster, request(inputs, call.credentials), withDeadline(inputs, call));
      return { id, state: { ...inputs, ...report } };
    } catch (error) {
      if (hasCode(error, "RESTORE_INTERRUPTED")) throw new Interrupted<SnapshotRestoreState>(id, inputs, error);
      throw error;
    }
  },

  // What a restore did stays what it did.
  read(state) {
    return Promise.resolve(state);
  },

  delete(state, call) {
    warnOfUnfinished(state, call);
    return Promise.resolve();
  },
};

const defaultDeadlineMs = 30 * 60_000;

const stored = [
  "cluster",
  "snapshot",
  "s3",
  "triggers",
  "safetySnapshot",
  "bumpRevision",
  "token",
  "accept",
  "deadline",
] as const satisfies readonly (keyof SnapshotRestoreInputs)[];

const reported = [
  "restoredAt",
  "restored",
  "revisionBefore",
  "revisionAfter",
  "safetySnapshots",
  "members",
  "setAside",
  "steps",
  "durationMs",
  "report",
] as const satisfies readonly (keyof RestoreReport)[];

/** A restore is due when there is no resource yet, or another snapshot or trigger is named: then, and only then, may check look. */
function isDue(inputs: SnapshotRestoreInputs, old: SnapshotRestoreInputs | undefined): boolean {
  if (inputs.snapshot === undefined) return false;
  return old === undefined || !same(old.snapshot, inputs.snapshot) || !same(old.triggers, inputs.triggers);
}

function decidesRestore(key: (typeof stored)[number]): boolean {
  return key === "snapshot" || key === "triggers";
}

function request(inputs: SnapshotRestoreInputs, credentials: Credentials = {}): RestoreRequest {
  const { snapshot = "", triggers, safetySnapshot, bumpRevision, token, accept = [] } = inputs;
  const s3 = withS3Credentials(inputs.s3, credentials);
  return { snapshot, triggers, safetySnapshot, bumpRevision, token, accept, s3 };
}

/** Both deadlines hold where both are given; 30 minutes where none is. */
function withDeadline(inputs: SnapshotRestoreInputs, call: LifecycleCall): LifecycleCall {
  const own = inputs.deadline === undefined ? undefined : parseDuration(inputs.deadline);
  const fallback = call.deadline === undefined ? defaultDeadlineMs : Infinity;
  return { ...call, deadline: Math.min(Date.now() + (own ?? fallback), call.deadline ?? Infinity) };
}

function reportOf(state: SnapshotRestoreState | undefined): Partial<RestoreReport> {
  return state === undefined ? {} : pick(state, reported);
}

function isUnfinished(state: SnapshotRestoreState): boolean {
  return state.snapshot !== undefined && state.restoredAt === undefined;
}

function warnOfUnfinished(state: SnapshotRestoreState | undefined, call: LifecycleCall): void {
  if (state === undefined || !isUnfinished(state)) return;
  call.progress.warn(
    `the restore of ${state.snapshot ?? ""} was interrupted and is not finished: name it again to finish it`,
  );
}
