import type { Resource } from "@pulumi/pulumi";
import { BackupError } from "./errors";
import { backupConfig } from "./lifecycle/backup-config";
import { type Credentials, findCredentials } from "./lifecycle/credentials";
import { parseDuration } from "./duration";
import { type CheckFailure, Interrupted, type Lifecycle, type LifecycleCall } from "./lifecycle/lifecycle";
import { snapshot } from "./lifecycle/snapshot";
import { snapshotRestore } from "./lifecycle/snapshot-restore";
import type { Progress } from "./operations/call";
import { type Properties, toWire } from "./wire";

// The names of these exports are in the state of every resource ever made: they never change.
export const BackupConfig = provide(backupConfig);
export const Snapshot = provide(snapshot);
export const SnapshotRestore = provide(snapshotRestore);

/** What Pulumi's process for dynamic providers calls. Values are plain in both directions, but for secrets on their way out. */
export interface DynamicProvider {
  configure(request: { readonly config: { get(key: string): string | undefined } }): void;
  check(olds: Properties, news: Properties): Promise<{ inputs: Properties; failures: readonly CheckFailure[] }>;
  diff(
    id: string,
    olds: Properties,
    news: Properties,
  ): { changes: boolean; replaces: readonly string[]; deleteBeforeReplace: boolean };
  create(inputs: Properties): Promise<{ id: string; outs: Properties }>;
  read(id: string, olds: Properties): Promise<{ id: string; props: Properties; inputs?: Properties }>;
  update(id: string, olds: Properties, news: Properties): Promise<{ outs: Properties }>;
  delete(id: string, olds: Properties): Promise<void>;
}

type Verb = "create" | "update" | "delete";

/** The properties that the engine keeps for us beside a resource's own. */
interface Hidden {
  readonly __provider?: string;
  readonly __opts?: {
    readonly urn?: string;
    readonly timeouts?: Partial<Readonly<Record<Verb, string>>>;
  };
}

let credentials: Credentials = findCredentials(() => undefined, process.env);

function provide<Inputs extends object, State extends Inputs>(lifecycle: Lifecycle<Inputs, State>): DynamicProvider {
  return {
    // Not async on purpose: Pulumi lets another call in as soon as this one waits for something.
    configure({ config }) {
      credentials = findCredentials((name) => config.get(`etcd-backup:${name}`), process.env);
    },

    check(olds, news) {
      return during(news, undefined, async (call) => {
        const old = Object.keys(olds).length === 0 ? undefined : (own(olds) as Inputs);
        const { inputs, failures } = await lifecycle.check(own(news), old, call);
        return { inputs: toWire({ ...inputs, ...hidden(news) }), failures: failures.map(printable) };
      });
    },

    diff(_id, olds, news) {
      const { deleteBeforeReplace = false, ...diff } = lifecycle.diff(own(olds) as State, own(news) as Inputs);
      return { ...diff, deleteBeforeReplace };
    },

    create(inputs) {
      return during(inputs, "create", async (call) => {
        const { id, state } = await keeping(inputs, lifecycle.reconcile(own(inputs) as Inputs, undefined, call));
        return { id, outs: toWire({ ...state, ...hidden(inputs) }) };
      });
    },

    read(id, olds) {
      return during(olds, undefined, async (call) => {
        const state = await lifecycle.read(own(olds) as State, call);
        if (state === undefined) return { id: "", props: {} };
        const props = toWire({ ...state, ...hidden(olds) });
        if (lifecycle.observedInputs === undefined) return { id, props };
        return { id, props, inputs: toWire({ ...lifecycle.observedInputs(state), ...hidden(olds) }) };
      });
    },

    update(_id, olds, news) {
      return during(news, "update", async (call) => {
        const { state } = await keeping(news, lifecycle.reconcile(own(news) as Inputs, own(olds) as State, call));
        return { outs: toWire({ ...state, ...hidden(news) }) };
      });
    },

    delete(_id, olds) {
      return during(olds, "delete", (call) => lifecycle.delete(own(olds) as State, call));
    },
  };
}

/** Runs one call with its progress on the resource's own row, and lets every line arrive before the call ends. */
async function during<Result>(
  properties: Properties & Hidden,
  verb: Verb | undefined,
  run: (call: LifecycleCall) => Promise<Result>,
): Promise<Result> {
  const { progress, delivered } = openProgress(properties.__opts?.urn);
  const limit = verb === undefined ? undefined : properties.__opts?.timeouts?.[verb];
  const limitMs = limit === undefined ? undefined : parseDuration(limit);
  try {
    return await run({ progress, credentials, deadline: limitMs === undefined ? undefined : Date.now() + limitMs });
  } catch (error) {
    // Pulumi prints the stack of what a check, a read or a delete throws. Where it is ours it says nothing to a user.
    if (error instanceof BackupError) {
      error.message = withCode(error);
      error.stack = "";
    }
    throw error;
  } finally {
    await delivered();
  }
}

/** Gives Pulumi what an interrupted operation leaves behind: it keeps the resource, and the next update goes on. */
async function keeping<Result>(properties: Properties, reconciling: Promise<Result>): Promise<Result> {
  try {
    return await reconciling;
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    const kept = toWire({ ...(error.state as object), ...hidden(properties) });
    const message = error.cause instanceof BackupError ? withCode(error.cause) : error.message;
    throw Object.assign(new Error(message, { cause: error }), { id: error.id, properties: kept, reasons: [message] });
  }
}

/** The code is what a tired reader looks for in docs/errors.md. */
function withCode({ code, message }: BackupError): string {
  return message.startsWith(code) ? message : `${code}: ${message}`;
}

/** A resource's own properties. */
function own(properties: Properties): Properties {
  return Object.fromEntries(Object.entries(properties).filter(([key]) => !key.startsWith("__")));
}

function hidden(properties: Properties & Hidden): Hidden {
  const { __provider, __opts } = properties;
  return { ...(__provider === undefined ? {} : { __provider }), ...(__opts === undefined ? {} : { __opts }) };
}

// The engine prints the value of the property that a failure names, and any but these can hold a secret.
const harmless = [
  ...["schedule", "retention", "directory", "snapshotName", "enabled", "onDestroy", "name", "deadline"],
  ...["compress", "restart", "reconcileInterval", "bumpRevision"],
];

function printable({ property, reason }: CheckFailure): CheckFailure {
  if (property === "" || harmless.includes(property)) return { property, reason };
  return { property: "", reason: `${property}: ${reason}` };
}

/** Progress on a resource's own row, and a promise that all of it has arrived. Without an engine it goes to stderr: stdout belongs to Pulumi. */
function openProgress(urn: string | undefined): { progress: Progress; delivered: () => Promise<void> } {
  const engine = process.argv.at(-1) ?? "";
  const [, stack = "", project = ""] = /^urn:pulumi:(.*?)::(.*?)::/.exec(urn ?? "") ?? [];
  let last: Promise<unknown> = Promise.resolve();
  const say = (severity: "info" | "warn", text: string, ephemeral = false): void => {
    if (urn === undefined || !/:\d+$/.test(engine)) return console.error(text);
    last = last.then(async () => {
      const { log, output, runtime } = await import("@pulumi/pulumi");
      if (!engineIsKnown) runtime.resetOptions(project, stack, -1, engine, "", false, "");
      engineIsKnown = true;
      // Pulumi's log only asks a resource for its URN.
      const row = { urn: output(urn) } as unknown as Resource;
      await log[severity](text, row, undefined, ephemeral);
    });
  };
  const progress: Progress = {
    status: (text) => say("info", text, true),
    info: (text) => say("info", text),
    warn: (text) => say("warn", text),
  };
  return { progress, delivered: async () => void (await last) };
}

let engineIsKnown = false;
