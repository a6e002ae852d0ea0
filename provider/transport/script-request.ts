import type { Readable, Writable } from "node:stream";
import { BackupError, CommandError } from "../errors";
import type { Ending } from "./channel";
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

/** Says of a script what is safe to say: its title, or its first line that does something, without secrets. */
export function describeScript(command: Command): string {
  if (command.title !== undefined) return command.title;
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
