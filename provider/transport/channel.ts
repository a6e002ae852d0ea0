import type { Duplex, Readable, Writable } from "node:stream";

/** How a process ended, or that we cannot know because the way to it broke. */
export type Ending =
  | { readonly kind: "exit"; readonly code: number }
  | { readonly kind: "signal"; readonly signal: string }
  | { readonly kind: "lost" };

/** One process on a machine. */
export interface Channel {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when the process has ended and its output was read. */
  readonly ended: Promise<Ending>;
  /** Stops listening to it: from here on only its own `timeout` ends it. */
  abandon(): void;
}

/** A way to a machine. */
export interface Machine {
  /** Whether processes start with privileges, so that no sudo is needed. */
  readonly isRoot: boolean;
  /** Starts a process. When this rejects, it has not started. */
  launch(argv: readonly string[], options?: { readonly pty?: boolean }): Promise<Channel>;
  /** Connects to a TCP port as the machine itself reaches it. */
  openStream(host: string, port: number): Promise<Duplex>;
}

/** The machine is there, but nothing listens on a port that it was asked to connect to. */
export class PortClosedError extends Error {
  constructor(host: string, port: number, cause: unknown) {
    super(`nothing answers on ${host}:${port}`, { cause });
    this.name = "PortClosedError";
  }
}
