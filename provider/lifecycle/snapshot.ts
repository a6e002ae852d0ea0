import { BackupError } from "../errors";
import { type Cluster, type DistributionName, parseLocation, type S3Settings } from "../model";
import { verifyConnections } from "../operations/configure-backups";
import { deleteSnapshot, snapshotExists, type TakenSnapshot, takeSnapshot } from "../operations/take-snapshot";
import { clusterRule, distributionIn } from "./check-cluster";
import { s3Rule } from "./check-s3";
import { withCredentials, withS3Credentials } from "./credentials";
import { omit, pick } from "./fields";
import { checkInputs } from "./inputs";
import type { Lifecycle, LifecycleCall } from "./lifecycle";
import { anything, list, name, object, oneOf, type Rule } from "./rules";
import { same } from "./same";
import { withoutKeeping } from "./store-inputs";

export interface SnapshotInputs {
  readonly cluster: Cluster;
  readonly name: string;
  readonly s3?: S3Settings;
  readonly triggers: readonly unknown[];
  readonly deletionPolicy: "retain" | "delete";
}

export interface SnapshotState extends SnapshotInputs, TakenSnapshot {
  /** False when the file is no longer there. Only a trigger takes a new one. */
  readonly exists: boolean;
}

/** Takes a snapshot once. */
export const snapshot: Lifecycle<SnapshotInputs, SnapshotState> = {
  check(given) {
    const checked = checkInputs<SnapshotInputs>(given, rule(distributionIn(given)), {
      triggers: [],
      deletionPolicy: "retain",
    });
    return Promise.resolve({ ...checked, inputs: withoutKeeping(checked.inputs) });
  },

  diff(state, inputs) {
    const replaces = [
      ...(["name", "triggers"] as const).filter((key) => !same(state[key], inputs[key])),
      ...(state.cluster.name === inputs.cluster.name ? [] : ["cluster.name"]),
    ];
    const stored = (["cluster", "s3", "deletionPolicy"] as const).some((key) => !same(state[key], inputs[key]));
    return { changes: stored || replaces.length > 0, replaces };
  },

  async reconcile(inputs, state, call) {
    const cluster = withCredentials(inputs.cluster, call.credentials);
    if (state === undefined) {
      const request = { name: inputs.name, s3: withS3Credentials(inputs.s3, call.credentials) };
      const taken = await takeSnapshot(cluster, request, call);
      return { id: taken.location, state: { ...inputs, ...taken, exists: true } };
    }
    if (!same(state.cluster, inputs.cluster)) await verifyConnections(cluster, call);
    warnOfOtherStore(state, inputs, call);
    return { id: state.location, state: { ...inputs, ...taken(state), exists: state.exists } };
  },

  async read(state, call) {
    requireTaken(state);
    const { cluster, s3 } = reached(state, call);
    const exists = await snapshotExists(cluster, taken(state), s3, call);
    if (!exists) {
      call.progress.warn(`${state.location} is gone. It is not taken again: change \`triggers\` for a new one.`);
    }
    return { ...state, exists };
  },

  async delete(state, call) {
    if (state.deletionPolicy !== "delete") return;
    const { cluster, s3 } = reached(state, call);
    await deleteSnapshot(cluster, taken(state), s3, call);
  },
};

function rule(distribution: DistributionName | undefined): Rule {
  return object(
    {
      cluster: clusterRule,
      name,
      s3: s3Rule(distribution),
      triggers: list(anything),
      deletionPolicy: oneOf("retain", "delete"),
    },
    {
      required: ["cluster", "name"],
      refused: {
        manifest: "is not supported yet",
        recoveryKit: "is not supported yet",
        retention: "a snapshot taken by hand is never pruned",
      },
    },
  );
}

const outputs = [
  "fileName",
  "location",
  "locations",
  "sizeBytes",
  "sha256",
  "revision",
  "totalKeys",
  "etcdVersion",
  "distributionVersion",
  "tokenHash",
  "server",
  "takenAt",
  "durationMs",
] as const satisfies readonly (keyof TakenSnapshot)[];

function taken(state: SnapshotState): TakenSnapshot {
  return pick(state, outputs);
}

/** The cluster and the store that hold the snapshot: it stays where it was put, whatever the inputs say by now. */
function reached(state: SnapshotState, call: LifecycleCall): { cluster: Cluster; s3: S3Settings | undefined } {
  const s3 = withS3Credentials(state.s3, call.credentials);
  return { cluster: withCredentials(state.cluster, call.credentials), s3: s3 && whereItIs(s3, state) };
}

function whereItIs(s3: S3Settings, state: SnapshotState): S3Settings {
  const location = parseLocation(state.location);
  if (location?.kind !== "s3") return s3;
  const slash = location.key.lastIndexOf("/");
  const folder = slash < 0 ? {} : { folder: location.key.slice(0, slash) };
  return { ...omit(s3, "folder"), bucket: location.bucket, ...folder };
}

function warnOfOtherStore(state: SnapshotState, inputs: SnapshotInputs, call: LifecycleCall): void {
  const moved = (["bucket", "folder", "endpoint"] as const).some((key) => state.s3?.[key] !== inputs.s3?.[key]);
  if (moved) call.progress.warn(`the snapshot stays at ${state.location}: change \`triggers\` to take one elsewhere`);
}

function requireTaken(state: SnapshotState): void {
  if (typeof state.location === "string") return;
  throw new BackupError("INVALID_INPUT", "a snapshot cannot be adopted by its id", {
    hint: "Leave `id` out to take one.",
  });
}
