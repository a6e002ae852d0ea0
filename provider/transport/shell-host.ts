import type { Duplex } from "node:stream";
import { BackupError, CommandError } from "../errors";
import { type Machine, PortClosedError } from "./channel";
import type { ConnectedHost, StreamOptions, Tunnel } from "./connect";
import { count } from "./connection-counts";
import { DialError, messageOf } from "./dial-error";
import { ABSENT, readFileScript, readRangeScript, writeFileScript } from "./file-scripts";
import type { CommandOptions, CommandResult, WriteOptions } from "./host";
import { runScript } from "./run-script";
import type { ScriptRequest, ScriptResult } from "./script-request";
import type { Command } from "./shell";
import { TerminalRequired } from "./sudo-refusal";
import { runScriptOnTerminal } from "./terminal-sudo";
import { openTunnel } from "./tunnel";

/** A host made of a machine that can start processes: everything is a script. */
export class ShellHost implements ConnectedHost {
  readonly name: string;
  private readonly machine: Machine;
  private readonly sudoPassword: string | undefined;
  private readonly quirks: HostQuirks;

  constructor(name: string, machine: Machine, sudoPassword: string | undefined, quirks: HostQuirks) {
    this.name = name;
    this.machine = machine;
    this.sudoPassword = sudoPassword;
    this.quirks = quirks;
  }

  query(command: Command, options: CommandOptions = {}): Promise<CommandResult> {
    return this.runText(command, options);
  }

  run(command: Command, options: CommandOptions = {}): Promise<CommandResult> {
    return this.runText(command, options);
  }

  async readFile(path: string): Promise<string | undefined> {
    try {
      return (await this.runText(readFileScript(path), {})).stdout;
    } catch (error) {
      if (error instanceof CommandError && error.exitCode === ABSENT) return undefined;
      throw error;
    }
  }

  async readRange(path: string, offset: number, length: number): Promise<Uint8Array> {
    if (length === 0) return new Uint8Array();
    const { stdout } = await this.execute({
      command: readRangeScript(path, offset, length),
      timeoutMs: DEFAULT_TIMEOUT_MS,
    });
    return stdout;
  }

  async writeFile(path: string, content: string, options: WriteOptions = {}): Promise<void> {
    const bytes = Buffer.from(content);
    const command = writeFileScript(path, bytes.length, options.mode ?? 0o644);
    await this.execute({ command, stdin: bytes, timeoutMs: DEFAULT_TIMEOUT_MS });
  }

  async stream(command: Command, options: StreamOptions): Promise<void> {
    const { stdin, stdout, timeoutMs } = options;
    await this.execute({ command, stdin, sink: stdout, timeoutMs });
  }

  async openStream(host: string, port: number): Promise<Duplex> {
    count(this.name, "tunnels");
    return this.named(() => this.machine.openStream(host, port));
  }

  openTunnel(host: string, port: number): Promise<Tunnel> {
    return openTunnel(() => this.openStream(host, port));
  }

  private async runText(command: Command, options: CommandOptions): Promise<CommandResult> {
    const { stdin, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    const { stdout, stderr } = await this.execute({ command, stdin, timeoutMs });
    return { stdout: stdout.toString("utf8"), stderr };
  }

  private execute(request: Omit<ScriptRequest, "sudoPassword">): Promise<ScriptResult> {
    const whole: ScriptRequest = { ...request, sudoPassword: this.sudoPassword };
    return this.named(async () => {
      if (!this.quirks.sudoNeedsTerminal) {
        try {
          return await runScript(this.counted, this.name, whole);
        } catch (error) {
          if (!(error instanceof TerminalRequired)) throw error;
          // Nothing was started: sudo refuses before it reads anything.
          this.quirks.sudoNeedsTerminal = true;
        }
      }
      return runScriptOnTerminal(this.counted, this.name, whole);
    });
  }

  private get counted(): Machine {
    return {
      isRoot: this.machine.isRoot,
      launch: (argv, options) => {
        count(this.name, "commands");
        return this.machine.launch(argv, options);
      },
      openStream: (host, port) => this.machine.openStream(host, port),
    };
  }

  private async named<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof DialError) throw error.toBackupError(this.name);
      if (error instanceof BackupError) throw error;
      const what = messageOf(error);
      if (error instanceof PortClosedError)
        throw new BackupError("CLUSTER_UNHEALTHY", what, { host: this.name, cause: error });
      throw new BackupError("HOST_UNREACHABLE", what, { host: this.name, cause: error });
    }
  }
}

/** What was learned about a connection's server and is worth remembering. */
export interface HostQuirks {
  sudoNeedsTerminal: boolean;
}

const DEFAULT_TIMEOUT_MS = 60_000;
