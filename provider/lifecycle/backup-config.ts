import type { Cluster, S3Settings } from "../model";
import {
  type BackupSettings,
  type BackupsReport,
  configureBackups,
  readBackups,
  removeBackups,
  type ServerBackups,
  verifyConnections,
} from "../operations/configure-backups";
import { backupsDefaults, backupsRule } from "./check-backups";
import { distributionIn } from "./check-cluster";
import { withCredentials, withS3Credentials } from "./credentials";
import { omit, pick } from "./fields";
import { checkInputs } from "./inputs";
import type { Lifecycle, LifecycleCall } from "./lifecycle";
import { same, sameButReachedOtherwise } from "./same";
import { withFolder } from "./store-inputs";

export interface BackupConfigInputs {
  readonly cluster: Cluster;
  readonly schedule: string;
  readonly retention: number;
  readonly directory?: string;
  readonly snapshotName: string;
  readonly enabled: boolean;
  readonly compress?: boolean;
  readonly restart?: "rolling" | "none";
  readonly reconcileInterval?: string;
  readonly s3?: S3Settings;
  readonly onDestroy: "remove" | "retain";
}

export interface BackupConfigState extends BackupConfigInputs {
  readonly servers: readonly Omit<ServerBackups, "drift">[];
  readonly warnings: readonly string[];
  /** What runs and is not what was declared, `server: field: …`. */
  readonly drift: readonly string[];
}

/** Makes a cluster take the backups described. */
export const backupConfig: Lifecycle<BackupConfigInputs, BackupConfigState> = {
  check(given) {
    return Promise.resolve(complete(given));
  },

  diff(state, inputs) {
    const replaces = identityChanges(state.cluster, inputs.cluster);
    const changes = desired.some((key) => !same(state[key], inputs[key])) || state.drift.length > 0;
    // The old one's files and the new one's are the same files on the same servers.
    return { changes: changes || replaces.length > 0, replaces, deleteBeforeReplace: replaces.length > 0 };
  },

  async reconcile(inputs, state, call) {
    const cluster = withCredentials(inputs.cluster, call.credentials);
    const id = inputs.cluster.name;
    if (state !== undefined && onlyReachedOtherwise(state, inputs)) {
      await verifyConnections(cluster, call);
      const { servers, warnings, drift } = state;
      return { id, state: { ...inputs, servers, warnings, drift } };
    }
    const report = await configureBackups(cluster, settings(inputs, call), call);
    const left = state === undefined ? [] : await leaveServers(state, inputs, call);
    return { id, state: observed(inputs, { ...report, warnings: [...report.warnings, ...left] }) };
  },

  async read(state, call) {
    // A resource adopted by its id has never been checked.
    const { inputs } = complete(pick(state, desired));
    return observed(
      inputs,
      await readBackups(withCredentials(inputs.cluster, call.credentials), settings(inputs, call), call),
    );
  },

  observedInputs(state) {
    return { ...pick(state, desired), ...(state.drift.length === 0 ? {} : { drift: state.drift }) };
  },

  async delete(state, call) {
    if (state.onDestroy !== "remove") return;
    await removeBackups(withCredentials(state.cluster, call.credentials), call, state.restart);
  },
};

const desired = [
  "cluster",
  "schedule",
  "retention",
  "directory",
  "snapshotName",
  "enabled",
  "compress",
  "restart",
  "reconcileInterval",
  "s3",
  "onDestroy",
] as const satisfies readonly (keyof BackupConfigInputs)[];

function complete(given: unknown): ReturnType<typeof checkInputs<BackupConfigInputs>> {
  const distribution = distributionIn(given);
  const checked = checkInputs<BackupConfigInputs>(given, backupsRule(distribution), backupsDefaults(distribution));
  return { ...checked, inputs: withFolder(checked.inputs) };
}

function settings(inputs: BackupConfigInputs, call: LifecycleCall): BackupSettings {
  return { ...omit(inputs, "cluster", "onDestroy", "s3"), s3: withS3Credentials(inputs.s3, call.credentials) };
}

function observed(inputs: BackupConfigInputs, report: BackupsReport): BackupConfigState {
  return {
    ...inputs,
    servers: report.servers.map((server) => omit(server, "drift")),
    warnings: report.warnings,
    drift: report.servers.flatMap(({ server, drift }) => drift.map((line) => `${server}: ${line}`)),
  };
}

function identityChanges(old: Cluster, wanted: Cluster): string[] {
  if (typeof wanted !== "object") return [];
  return (["name", "distribution"] as const).filter((key) => old[key] !== wanted[key]).map((key) => `cluster.${key}`);
}

function onlyReachedOtherwise(state: BackupConfigState, inputs: BackupConfigInputs): boolean {
  const others = desired.filter((key) => key !== "cluster");
  return (
    state.drift.length === 0 &&
    others.every((key) => same(state[key], inputs[key])) &&
    sameButReachedOtherwise(state.cluster, inputs.cluster)
  );
}

/** Takes our files from servers that are no longer listed; says which could not be reached, as one that is gone for good cannot. */
async function leaveServers(
  state: BackupConfigState,
  inputs: BackupConfigInputs,
  call: LifecycleCall,
): Promise<string[]> {
  if (inputs.onDestroy === "retain") return [];
  const listed = addresses(inputs.cluster);
  const gone = addresses(state.cluster).flatMap((address, index) =>
    listed.includes(address) ? [] : (state.cluster.servers[index] ?? []),
  );
  const left = await Promise.all(
    gone.map(async (server) => {
      const once = { ...server, connection: { ...server.connection, dialErrorLimit: 0 } };
      const alone = withCredentials(
        { ...state.cluster, servers: [once], apiServers: [], agents: [] },
        call.credentials,
      );
      try {
        // Of the other members nothing is known here: no restart.
        await removeBackups(alone, call, "none");
        return undefined;
      } catch (error) {
        return `${server.name} is no longer listed, and its backups could not be removed: ${firstLine(error)}`;
      }
    }),
  );
  return left.filter((warning) => warning !== undefined);
}

function addresses(cluster: Cluster): string[] {
  return cluster.servers.map((server) => {
    const { host, port = 22, local, proxy } = { ...cluster.connection, ...server.connection };
    return JSON.stringify([host, port, local, proxy?.host]);
  });
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";
}
