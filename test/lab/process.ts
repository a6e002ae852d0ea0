import { spawn } from "node:child_process";
import { openSync, closeSync, readFileSync } from "node:fs";

export interface Finished {
  readonly stdout: string;
  readonly stderr: string;
  /** The exit code; 128 and the signal's number are not made up: a killed process has -1. */
  readonly code: number;
}

export interface RunOptions {
  readonly stdin?: string | undefined;
  readonly cwd?: string | undefined;
  /** The whole environment. @default this process's own */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** @default 60 000 */
  readonly timeoutMs?: number | undefined;
}

/** Runs a program to its end, whatever its exit code. Rejects when it cannot be started or passes its deadline; then its group is killed. */
export function finish(command: string, words: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const { stdin = "", cwd, env = process.env, timeoutMs = 60_000 } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, words, { cwd, env, stdio: ["pipe", "pipe", "pipe"], detached: true });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    // Who does not read its input may end before it was written.
    child.stdin.on("error", () => undefined).end(stdin);
    const overdue = setTimeout(() => {
      killGroup(child.pid);
      const seen = `${stdout}\n${stderr}`.trim().slice(-2000);
      reject(
        new Error(`${[command, ...words].join(" ").slice(0, 500)}: not done after ${timeoutMs / 1000} s\n${seen}`),
      );
    }, timeoutMs);
    child.on("error", (error) => {
      clearTimeout(overdue);
      reject(error);
    });
    child.on("close", (code) => {
      clearTimeout(overdue);
      resolve({ stdout, stderr, code: code ?? -1 });
    });
  });
}

/** Runs a program and returns its output. Rejects unless it exits 0. */
export async function run(command: string, words: readonly string[], options: RunOptions = {}): Promise<string> {
  const { stdout, stderr, code } = await finish(command, words, options);
  if (code === 0) return stdout;
  throw new Error(`${[command, ...words].join(" ").slice(0, 500)}: exit code ${code}\n${stderr}${stdout}`.trim());
}

/** A process that was started, told apart from a later one with the same number. */
export interface ProcessMark {
  readonly pid: number;
  readonly startedAt: string;
}

export function markProcess(pid: number): ProcessMark | undefined {
  try {
    // The name, in parentheses, may hold spaces; the start time is the twentieth field after it.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return fields[0] === "Z" ? undefined : { pid, startedAt: `${boot} ${fields[19] ?? ""}` };
  } catch {
    return undefined;
  }
}

export function isAlive(mark: ProcessMark): boolean {
  return markProcess(mark.pid)?.startedAt === mark.startedAt;
}

export interface DaemonOptions {
  /** The file that its output is added to. */
  readonly log: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Starts a daemon that outlives this process, its output in a file. */
export function startDaemon(
  command: string,
  words: readonly string[],
  { log, env = process.env }: DaemonOptions,
): ProcessMark {
  const output = openSync(log, "a");
  const child = spawn(command, words, { env, stdio: ["ignore", output, output], detached: true });
  closeSync(output);
  child.unref();
  const mark = child.pid === undefined ? undefined : markProcess(child.pid);
  if (mark === undefined) throw new Error(`${command} cannot be started, see ${log}`);
  return mark;
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It ended by itself just now.
  }
}
