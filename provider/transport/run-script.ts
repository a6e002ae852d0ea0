import { randomBytes } from "node:crypto";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { BackupError, CommandError } from "../errors";
import type { Channel, Ending, Machine } from "./channel";
import { type Privilege, scriptBytes, scriptCommand } from "./loader";
import { MarkedOutput } from "./marked-output";
import { type Command, redact } from "./shell";

export interface ScriptRequest {
  readonly command: Command;
  readonly stdin?: string | Uint8Array | Readable | undefined;
  /** Where standard output goes instead of into the result. */
  readonly sink?: Writable | undefined;
  readonly timeoutMs: number;
  readonly sudoPassword?: string | undefined;
}

export interface ScriptResult {
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs a script on a machine, with privileges. Rejects unless it exits 0. */
export async function runScript(machine: Machine, host: string, request: ScriptRequest): Promise<ScriptResult> {
  const id = randomBytes(12).toString("hex");
  const ready = `ready-${id}`;
  const prompt = `password-${id}:`;
  const seconds = Math.max(1, Math.ceil(request.timeoutMs / 1000));
  const privilege = privilegeFor(machine, request.sudoPassword, prompt);
  const script = scriptBytes(request.command.text);
  const startedAt = Date.now();
  const channel = await machine.launch(scriptCommand(privilege, ready, seconds, script.length));
  const conversation = new Conversation(host, channel, request, { ready, prompt, privilege, script });
  const { ending, stdout, stderr } = await conversation.finish(seconds);
  const timedOut = Date.now() - startedAt >= seconds * 1000 - 500;
  refuseBadEnding(host, request, ending, stderr, timedOut ? seconds : undefined);
  return { stdout, stderr };
}

/** Says of a script what is safe to say: its first line that does something, without secrets. */
export function describeScript(command: Command): string {
  const lines = command.text.split("\n").map((line) => line.trim());
  const first = lines.find((line) => line !== "" && !/^(#|set -)/.test(line)) ?? "an empty script";
  const shown = redact(first, command.secrets);
  return shown.length > 100 ? `${shown.slice(0, 100)}…` : shown;
}

/** Turns how a script ended into an error, unless it ended well. */
export function refuseBadEnding(
  host: string,
  request: ScriptRequest,
  ending: Ending,
  stderr: string,
  timedOutAfter: number | undefined,
): void {
  const what = describeScript(request.command);
  const shown = redact(stderr, secretsOf(request));
  if (ending.kind === "exit" && ending.code === 0) return;
  if (ending.kind === "lost") {
    throw new BackupError("HOST_UNREACHABLE", `the connection broke while this ran: ${what}`, {
      host,
      hint: "Whether it was carried out is not known.",
    });
  }
  const exitCode = ending.kind === "exit" ? ending.code : undefined;
  if (timedOutAfter !== undefined && (exitCode === 124 || exitCode === 137 || exitCode === undefined)) {
    throw timeoutError(host, request, timedOutAfter, shown);
  }
  throw new CommandError(what, { host, exitCode, stderr: shown });
}

/** sudo wants a terminal (`requiretty`): nothing was started. */
export class TerminalRequired extends BackupError {
  constructor(refusal: BackupError) {
    super("SUDO_REFUSED", refusal.message);
    this.name = "TerminalRequired";
  }
}

export function timeoutError(host: string, request: ScriptRequest, seconds: number, stderr: string): BackupError {
  const last = stderr.trimEnd().split("\n").at(-1) ?? "";
  return new BackupError(
    "COMMAND_TIMED_OUT",
    `${describeScript(request.command)}: not done after ${seconds} s, ended${last === "" ? "" : `: ${last}`}`,
    { host },
  );
}

export function secretsOf(request: ScriptRequest): readonly string[] {
  return request.sudoPassword === undefined
    ? request.command.secrets
    : [...request.command.secrets, request.sudoPassword];
}

const STDOUT_LIMIT = 8 * 1024 * 1024;
const STDERR_KEPT = 64 * 1024;
/** `timeout -k 5` has had its say by then. */
const GRACE_MS = 10_000;
const SUDO_READY_MS = 30_000;

function privilegeFor(machine: Machine, sudoPassword: string | undefined, prompt: string): Privilege {
  if (machine.isRoot) return { kind: "none" };
  return sudoPassword === undefined ? { kind: "sudo" } : { kind: "sudo-password", prompt };
}

interface Terms {
  readonly ready: string;
  readonly prompt: string;
  readonly privilege: Privilege;
  readonly script: Buffer;
}

/** Talks with one process: answers sudo, hands over the script, collects the output, and gives up in time. */
class Conversation {
  private readonly host: string;
  private readonly channel: Channel;
  private readonly request: ScriptRequest;
  private readonly terms: Terms;
  private readonly stdout: MarkedOutput;
  private readonly stderr: MarkedOutput;
  private readonly chunks: Buffer[] = [];
  private received = 0;
  private complaints = "";
  private answered = false;
  private sent = false;
  private fail: (error: Error) => void = () => undefined;
  private readonly failed: Promise<never>;

  constructor(host: string, channel: Channel, request: ScriptRequest, terms: Terms) {
    this.host = host;
    this.channel = channel;
    this.request = request;
    this.terms = terms;
    this.stdout = new MarkedOutput(terms.ready);
    this.stderr = new MarkedOutput(terms.ready);
    this.failed = new Promise<never>((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => undefined);
  }

  async finish(seconds: number): Promise<{ ending: Ending; stdout: Buffer; stderr: string }> {
    const { channel, request } = this;
    // A process that ends without reading its input breaks the pipe; how it ended tells more.
    channel.stdin.on("error", () => undefined);
    channel.stderr.on("data", (chunk: Buffer) => this.readStderr(chunk));
    channel.stdout.on("data", (chunk: Buffer) => this.readStdout(chunk));
    request.sink?.on("error", (error) => this.fail(error));
    if (this.terms.privilege.kind !== "sudo-password") this.sendScript();

    const deadline = setTimeout(
      () => this.fail(timeoutError(this.host, request, seconds, this.complaints)),
      seconds * 1000 + GRACE_MS,
    );
    const sudoDeadline = setTimeout(() => {
      if (this.sudoIsAsked()) this.fail(this.sudoRefusal(`sudo did not let us in within ${SUDO_READY_MS / 1000} s`));
    }, SUDO_READY_MS);
    try {
      const ending = await Promise.race([channel.ended, this.failed]);
      if (ending.kind !== "lost" && this.sudoIsAsked()) throw this.sudoRefusal("sudo refused");
      if (ending.kind === "exit" && ending.code === 0) request.sink?.end();
      else request.sink?.destroy();
      return { ending, stdout: Buffer.concat(this.chunks), stderr: this.complaints };
    } catch (error) {
      channel.abandon();
      request.sink?.destroy();
      throw error;
    } finally {
      clearTimeout(deadline);
      clearTimeout(sudoDeadline);
    }
  }

  private sendScript(): void {
    if (this.sent) return;
    this.sent = true;
    const { stdin } = this.channel;
    const input = this.request.stdin;
    stdin.write(this.terms.script);
    if (input instanceof Readable) pipeline(input, stdin).catch((error: Error) => this.failUnlessEnded(error));
    else stdin.end(input ?? "");
  }

  /** Input that cannot be delivered any more matters only when the process has not ended by itself. */
  private failUnlessEnded(error: Error): void {
    void Promise.race([this.channel.ended, after(2_000)]).then(() => this.fail(error));
  }

  private readStdout(chunk: Buffer): void {
    const bytes = this.stdout.add(chunk);
    if (bytes.length === 0) return;
    const { sink, command } = this.request;
    if (sink !== undefined) {
      if (sink.destroyed || sink.write(bytes)) return;
      this.channel.stdout.pause();
      sink.once("drain", () => this.channel.stdout.resume());
      return;
    }
    this.received += bytes.length;
    if (this.received <= STDOUT_LIMIT) this.chunks.push(bytes);
    else {
      const what = `${describeScript(command)}: it wrote more than ${STDOUT_LIMIT / 1024 / 1024} MiB`;
      this.fail(new BackupError("COMMAND_FAILED", what, { host: this.host }));
    }
  }

  private readStderr(chunk: Buffer): void {
    const bytes = this.stderr.add(chunk);
    this.complaints = (this.complaints + bytes.toString("utf8")).slice(-STDERR_KEPT);
    if (this.terms.privilege.kind !== "sudo-password") return;
    if (this.stderr.isReady) return this.sendScript();
    const prompts = this.stderr.preamble.split(this.terms.prompt).length - 1;
    if (prompts > 1) this.fail(this.wrongPassword());
    else if (prompts === 1 && !this.answered) {
      this.answered = true;
      this.channel.stdin.write(`${this.request.sudoPassword ?? ""}\n`);
    }
  }

  private sudoIsAsked(): boolean {
    return this.terms.privilege.kind !== "none" && !this.stderr.isReady;
  }

  private sudoRefusal(what: string): BackupError {
    const said = redact(this.stderr.preamble.replaceAll(this.terms.prompt, ""), secretsOf(this.request));
    return this.answered && /incorrect password/.test(said) ? this.wrongPassword() : sudoError(this.host, what, said);
  }

  private wrongPassword(): BackupError {
    return new BackupError("SUDO_REFUSED", "wrong sudo password", {
      host: this.host,
      hint: "Correct connection.sudoPassword.",
    });
  }
}

function sudoError(host: string, what: string, said: string): BackupError {
  const last = said.trim().split("\n").at(-1) ?? "";
  const hint = /a password is required/.test(said)
    ? "Give connection.sudoPassword, or allow this user sudo without password (NOPASSWD)."
    : "Connect as root, or as a user who may use sudo for everything.";
  const error = new BackupError("SUDO_REFUSED", `${what}${last === "" ? "" : `: ${last}`}`, { host, hint });
  return /you must have a tty/.test(said) ? new TerminalRequired(error) : error;
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
