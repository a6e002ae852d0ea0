import type { Progress } from "../model";

export type { Progress };

/** What every operation is given beside its own arguments. */
export interface Call {
  readonly progress: Progress;
  /** When to give up, in milliseconds since the epoch; undefined: each operation's own default. */
  readonly deadline?: number | undefined;
}

export const silent: Progress = { status() {}, info() {}, warn() {} };
