import { CommandError } from "../../provider/errors";
import type { CommandOptions, CommandResult, Host } from "../../provider/transport/host";
import type { Command } from "../../provider/transport/shell";

/** What a host says to a script; a string is its standard output. */
type Reply = string | Error | ((text: string, options: CommandOptions) => string | Promise<string>);

export interface Answer {
  /** Found in the script's text. */
  readonly to: string | RegExp;
  readonly reply: Reply;
  /** Only the first so many times; then the next answer that fits. @default always */
  readonly times?: number;
}

export interface FakeHost extends Host {
  /** What was done so far: `query …`, `run …`, `read …`; of a script, what its answer was scripted to. */
  readonly transcript: string[];
  /** Whole texts of the scripts that were run, in order. */
  readonly scripts: string[];
}

/** A host that answers what the test scripted, and rejects everything else. */
export function fakeHost(
  name: string,
  answers: readonly Answer[] = [],
  files: Readonly<Record<string, string | undefined>> = {},
): FakeHost {
  const transcript: string[] = [];
  const scripts: string[] = [];
  const used = new Map<Answer, number>();
  const answer = async (verb: string, { text }: Command, options: CommandOptions = {}): Promise<CommandResult> => {
    const found = answers.find(
      (one) =>
        (typeof one.to === "string" ? text.includes(one.to) : one.to.test(text)) &&
        (used.get(one) ?? 0) < (one.times ?? Infinity),
    );
    if (found === undefined) throw new Error(`${name} has no answer to: ${verb} ${text}`);
    used.set(found, (used.get(found) ?? 0) + 1);
    transcript.push(`${verb} ${typeof found.to === "string" ? found.to : found.to.source}`);
    scripts.push(text);
    if (found.reply instanceof Error) throw found.reply;
    const stdout = typeof found.reply === "string" ? found.reply : await found.reply(text, options);
    return { stdout, stderr: "" };
  };
  return {
    name,
    transcript,
    scripts,
    query: (command, options) => answer("query", command, options),
    run: (command, options) => answer("run", command, options),
    readFile: (path) => {
      transcript.push(`read ${path}`);
      return path in files
        ? Promise.resolve(files[path])
        : Promise.reject(new Error(`${name} has no answer to: read ${path}`));
    },
    readRange: (path) => Promise.reject(new Error(`${name} has no answer to: a range of ${path}`)),
    writeFile: (path) => Promise.reject(new Error(`${name} has no answer to: write ${path}`)),
  };
}

/** How a script fails on a host. */
export function commandFails(host: string, stderr: string, exitCode = 1): CommandError {
  return new CommandError("a script", { host, exitCode, stderr });
}
