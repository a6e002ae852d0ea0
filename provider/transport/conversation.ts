import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { BackupError } from "../errors";
import type { Channel, Ending } from "./channel";
import type { Privilege } from "./loader";
import { MarkedOutput } from "./marked-output";
import { describeScript, type ScriptRequest, secretsOf, timeoutError } from "./script-request";
import { redact } from "./shell";
import { sudoRefusal, wrongSudoPassword } from "./sudo-refusal";

export interface Terms {
  readonly ready: string;
  readonly prompt: string;
  readonly privilege: Privilege;
  readonly script: Buffer;
}

/** Talks with one process: answers sudo, hands over the script, collects the output, and gives up in time. */
export class Conversation {
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
      if (this.sudoIsAsked()) this.fail(this.refusal(`sudo did not let us in within ${SUDO_READY_MS / 1000} s`));
    }, SUDO_READY_MS);
    try {
      const ending = await Promise.race([channel.ended, this.failed]);
      if (ending.kind !== "lost" && this.sudoIsAsked()) throw this.refusal("sudo refused");
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
    if (prompts > 1) this.fail(wrongSudoPassword(this.host));
    else if (prompts === 1 && !this.answered) {
      this.answered = true;
      this.channel.stdin.write(`${this.request.sudoPassword ?? ""}\n`);
    }
  }

  private sudoIsAsked(): boolean {
    return this.terms.privilege.kind !== "none" && !this.stderr.isReady;
  }

  private refusal(what: string): BackupError {
    const said = redact(this.stderr.preamble.replaceAll(this.terms.prompt, ""), secretsOf(this.request));
    return sudoRefusal(this.host, what, said);
  }
}

const STDOUT_LIMIT = 8 * 1024 * 1024;
const STDERR_KEPT = 64 * 1024;
/** `timeout -k 5` has had its say by then. */
const GRACE_MS = 10_000;
const SUDO_READY_MS = 30_000;

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
