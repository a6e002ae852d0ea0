import type { Call } from "../operations/call";
import type { Credentials } from "./credentials";

/** One thing that is wrong with the inputs. `property` is a path such as `cluster.servers[1].name`; empty: the whole. */
export interface CheckFailure {
  readonly property: string;
  readonly reason: string;
}

export interface Diff {
  readonly changes: boolean;
  /** Inputs whose change needs a replacement. */
  readonly replaces: readonly string[];
  /** @default false: the new one is made first */
  readonly deleteBeforeReplace?: boolean;
}

/** What Pulumi's side gives a lifecycle beside the inputs. */
export interface LifecycleCall extends Call {
  /** Used where the inputs name none; never part of a state. */
  readonly credentials: Credentials;
}

/** What one kind of resource does when Pulumi asks. Knows no Pulumi, only plain values. */
export interface Lifecycle<Inputs, State> {
  /** Fills defaults and reports every failure. No I/O; the restore's may look. */
  check(
    inputs: unknown,
    old: Inputs | undefined,
    call: LifecycleCall,
  ): Promise<{ inputs: Inputs; failures: readonly CheckFailure[] }>;
  diff(state: State, inputs: Inputs): Diff;
  /** Makes it so, whether or not it already is. Serves create and update alike. */
  reconcile(inputs: Inputs, state: State | undefined, call: LifecycleCall): Promise<{ id: string; state: State }>;
  /** What there is now. Throws when it cannot look; undefined only when it is certain that it is gone. */
  read(state: State, call: LifecycleCall): Promise<State | undefined>;
  /**
   * Inputs that would have led to what was read. Where they differ from the declared ones, a preview shows how: without
   * them drift is an update that names no property.
   */
  observedInputs?(state: State): object;
  delete(state: State, call: LifecycleCall): Promise<void>;
}

/** Thrown by `reconcile` when something is left behind that the next `up` must go on with: the resource is kept, with this state. */
export class Interrupted<State> extends Error {
  readonly id: string;
  readonly state: State;

  constructor(id: string, state: State, cause: Error) {
    super(cause.message, { cause });
    this.name = "Interrupted";
    this.id = id;
    this.state = state;
  }
}
