import { randomBytes } from "node:crypto";
import { PassThrough, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { BackupError } from "../errors";
import type { Channel, Ending, Machine } from "./channel";
import { fileCommand, type Privilege, scriptBytes } from "./loader";
import { privilegeFor, runScript } from "./run-script";
import { refuseBadEnding, type ScriptRequest, type ScriptResult, secretsOf, timeoutError } from "./script-request";
import { redact, sh } from "./shell";
import { sudoRefusal, wrongSudoPassword } from "./sudo-refusal";

/**
 * Runs a script where sudo insists on a terminal. A terminal mixes what goes over it (echo, line ends, both outputs in one),
 * so nothing does but the password: script, input and outputs are 0600 files in a folder of the user's own, gone afterwards.
 */
export async function runScriptOnTerminal(
  machine: Machine,
  host: string,
  request: ScriptRequest,
): Promise<ScriptResult> {
  const asUser: Machine = {
    isRoot: true,
    launch: (argv, options) => machine.launch(argv, options),
    openStream: (to, port) => machine.openStream(to, port),
  };
  const folder = await stage(asUser, host, request);
  const seconds = Math.max(1, Math.ceil(request.timeoutMs / 1000));
  const startedAt = Date.now();
  let ending: Ending;
  try {
    ending = await runStaged(machine, host, request, folder, seconds);
  } catch (error) {
    await runScript(asUser, host, { command: sh`rm -rf -- ${folder}`, timeoutMs: FILES_MS }).catch((left: unknown) => {
      throw new AggregateError([error, left], `${folder} is left behind on ${host}`);
    });
    throw error;
  }
  const timedOut = Date.now() - startedAt >= seconds * 1000 - 500;
  const command = sh`trap ${`rm -rf -- '${folder}'`} EXIT
tail -c 65536 ${`${folder}/stderr`} >&2
cat -- ${`${folder}/stdout`}`;
  const failed = ending.kind !== "exit" || ending.code !== 0;
  const result = await runScript(asUser, host, {
    command,
    timeoutMs: Math.max(FILES_MS, request.timeoutMs),
    ...(failed ? { sink: new PassThrough().resume() } : { sink: request.sink }),
  });
  if (failed) request.sink?.destroy();
  refuseBadEnding(host, request, ending, result.stderr, timedOut ? seconds : undefined);
  return result;
}

const FILES_MS = 60_000;

/** Puts script and input where root can read them, as the user. */
async function stage(asUser: Machine, host: string, request: ScriptRequest): Promise<string> {
  const script = scriptBytes(request.command.text);
  // The runtime folder lies in memory: right for secrets, too small for a snapshot.
  const isLarge = request.sink !== undefined || request.stdin instanceof Readable;
  const command = sh`set -eu
umask 077
runtime=\${XDG_RUNTIME_DIR:-}
test ${isLarge ? "large" : "small"} = small || runtime=
folder=
for parent in "$runtime" "\${HOME:-}"; do
  if test -n "$parent" && test -w "$parent"; then folder=$(mktemp -d "$parent/.etcd-backup.XXXXXX") && break; fi
done
test -n "$folder" || { echo "neither XDG_RUNTIME_DIR nor HOME can be written" >&2; exit 1; }
trap 'rm -rf -- "$folder"' EXIT
cd "$folder"
: >stdout
: >stderr
dd bs=1 count=${script.length} of=script 2>/dev/null
cat >stdin
trap - EXIT
echo "$folder"`;
  const { stdout } = await runScript(asUser, host, {
    command,
    stdin: staged(script, request.stdin),
    timeoutMs: Math.max(FILES_MS, request.timeoutMs),
  });
  const folder = stdout.toString("utf8").trim();
  if (/^\/[\w@%+=:,./-]+$/.test(folder)) return folder;
  throw new BackupError("COMMAND_FAILED", `the name of the user's folder cannot be used: ${folder}`, { host });
}

function staged(script: Buffer, input: ScriptRequest["stdin"]): Buffer | Readable {
  if (!(input instanceof Readable)) return Buffer.concat([script, Buffer.from(input ?? "")]);
  const joined = new PassThrough();
  joined.write(script);
  pipeline(input, joined).catch((error: Error) => joined.destroy(error));
  return joined;
}

async function runStaged(
  machine: Machine,
  host: string,
  request: ScriptRequest,
  folder: string,
  seconds: number,
): Promise<Ending> {
  const id = randomBytes(12).toString("hex");
  const ready = `ready-${id}`;
  const prompt = `password-${id}:`;
  const privilege = privilegeFor(machine, request.sudoPassword, prompt);
  const channel = await machine.launch(fileCommand(privilege, ready, seconds, folder), { pty: true });
  const { ending, shown } = await watchTerminal(channel, host, request, { prompt, privilege, ready, seconds });
  if (shown.includes(ready) || ending.kind === "lost") return ending;
  throw sudoRefusal(host, "sudo refused", redact(shown.replaceAll(prompt, ""), secretsOf(request)));
}

interface TerminalTerms {
  readonly prompt: string;
  readonly privilege: Privilege;
  readonly ready: string;
  readonly seconds: number;
}

/** Answers the one question that may come over the terminal. */
async function watchTerminal(
  channel: Channel,
  host: string,
  request: ScriptRequest,
  terms: TerminalTerms,
): Promise<{ ending: Ending; shown: string }> {
  let shown = "";
  let timer: NodeJS.Timeout | undefined;
  const gaveUp = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(timeoutError(host, request, terms.seconds, "")), terms.seconds * 1000 + 10_000);
    channel.stdin.on("error", () => undefined);
    channel.stderr.resume();
    let answered = false;
    channel.stdout.on("data", (chunk: Buffer) => {
      shown = (shown + chunk.toString("utf8")).slice(-64 * 1024);
      const prompts = shown.split(terms.prompt).length - 1;
      if (prompts > 1) reject(wrongSudoPassword(host));
      else if (prompts === 1 && !answered) {
        answered = true;
        channel.stdin.write(`${request.sudoPassword ?? ""}\n`);
      }
    });
  });
  try {
    const ending = await Promise.race([channel.ended, gaveUp]);
    return { ending, shown };
  } catch (error) {
    channel.abandon();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
