/** Tells people what is going on while an operation runs. */
export interface Progress {
  /** The live status of the resource's row; the next one replaces it. */
  status(text: string): void;
  /** A line that stays. */
  info(text: string): void;
  warn(text: string): void;
}

/** What every operation is given beside its own arguments. */
export interface Call {
  readonly progress: Progress;
  /** When to give up, in milliseconds since the epoch; undefined: each operation's own default. */
  readonly deadline?: number | undefined;
}

export const silent: Progress = { status() {}, info() {}, warn() {} };
