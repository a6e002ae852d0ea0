import type { Command } from "./shell";

export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** What the command reads on its standard input. @default nothing */
  readonly stdin?: string | undefined;
  /** The command is ended on the server after this long. @default 60 000 */
  readonly timeoutMs?: number | undefined;
}

/** What looking may do to a host. */
export interface HostReader {
  readonly name: string;
  /** Runs a POSIX `sh` script that changes nothing, with privileges. Rejects with CommandError unless it exits 0. */
  query(command: Command, options?: CommandOptions): Promise<CommandResult>;
  readFile(path: string): Promise<string | undefined>;
  /** Reads up to `length` bytes at `offset`: fewer only where the file ends. */
  readRange(path: string, offset: number, length: number): Promise<Uint8Array>;
}

export interface WriteOptions {
  /** @default 0o644 */
  readonly mode?: number;
}

/** What applying may do. A step receives it only when it runs. */
export interface Host extends HostReader {
  /** Runs a POSIX `sh` script, with privileges. Rejects with CommandError unless it exits 0. */
  run(command: Command, options?: CommandOptions): Promise<CommandResult>;
  /** Whole or not at all: temporary file beside it (same mode, from the first byte on), sync, rename. Missing folders are made, 0755. */
  writeFile(path: string, content: string, options?: WriteOptions): Promise<void>;
}
