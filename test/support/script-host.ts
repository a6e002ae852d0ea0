import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandError } from "../../provider/errors";
import { readFileScript } from "../../provider/transport/file-scripts";
import type { CommandOptions, CommandResult, Host } from "../../provider/transport/host";
import { installFile } from "../../provider/transport/install-file";
import type { Command } from "../../provider/transport/shell";

/** A host that runs scripts with the real `sh`, on a machine whose units, our state and /proc/net lie in a folder of this one. */
export interface ScriptHost extends Host {
  /** The folder: plain letters, so that it may stand in any word. */
  readonly root: string;
  /** Puts a program in front of PATH: text of a shell script. */
  stub(program: string, text: string): void;
  remove(): void;
}

export function scriptHost(name = "s1", shell: readonly [string, ...string[]] = ["sh"]): ScriptHost {
  const root = mkdtempSync(join(tmpdir(), "script-host-"));
  const bin = join(root, "bin");
  mkdirSync(bin);
  const places = [
    ["/etc/systemd/system", join(root, "units")],
    ["/var/lib/etcd-backup", join(root, "state")],
    ["/proc/net", join(root, "net")],
  ] as const;
  const asThere = (text: string): string => places.reduce((all, [there, here]) => all.replaceAll(here, there), text);
  const execute = ({ text }: Command, { stdin = "" }: CommandOptions = {}): Promise<CommandResult> => {
    const moved = places.reduce((all, [there, here]) => all.replaceAll(there, here), text);
    const [program, ...words] = shell;
    // Without a HOME of its own, bash would read what this user has it begin with.
    const env = { PATH: `${bin}:${process.env["PATH"] ?? ""}`, LC_ALL: "C", ROOT: root, HOME: root };
    const child = spawn(program, [...words, "-c", moved], { env, stdio: ["pipe", "pipe", "pipe"] });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
    child.stdin.on("error", () => undefined).end(stdin);
    return new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) => {
        if (code === 0) resolve({ stdout: asThere(stdout), stderr: asThere(stderr) });
        else reject(new CommandError("a script", { host: name, exitCode: code ?? undefined, stderr }));
      });
    });
  };
  return {
    name,
    root,
    stub: (program, text) => {
      writeFileSync(join(bin, program), `#!/bin/sh\n${text}\n`);
      chmodSync(join(bin, program), 0o755);
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
    query: execute,
    run: execute,
    readFile: (path) => execute(readFileScript(path)).then(({ stdout }) => stdout, absent),
    readRange: () => Promise.reject(new Error("not here")),
    writeFile: async (path, content, options) => {
      await execute(installFile(path, content, options?.mode ?? 0o644));
    },
  };
}

function absent(error: unknown): undefined {
  if (error instanceof CommandError && error.exitCode === 66) return undefined;
  throw error;
}
