import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Machine } from "../lab/machine";
import type { LabProgram } from "./lab-program";

/** What must not be seen, by what to call it, in every spelling that it travels in. */
export type Secrets = Readonly<Record<string, string>>;

/** The names of the secrets that a text gives away. */
export function secretsIn(text: string, secrets: Secrets): readonly string[] {
  return Object.entries(secrets).flatMap(([name, secret]) => (text.includes(secret) ? [name] : []));
}

/** A secret as it is, in hexadecimal and in base64. */
export function spellings(name: string, secret: string): Secrets {
  return {
    [name]: secret,
    [`${name}, in hexadecimal`]: Buffer.from(secret).toString("hex"),
    // Without its end, which depends on what follows.
    [`${name}, in base64`]: Buffer.from(secret)
      .toString("base64")
      .slice(0, Math.floor(secret.length / 3) * 4),
  };
}

export interface TracedUp {
  readonly code: number;
  /** Everything that `pulumi` started on this machine: programs with arguments and environment. */
  readonly executed: string;
  /** Its output together with its debug log. */
  readonly printed: string;
}

/** `pulumi up` at debug level, with every program that it starts recorded. */
export async function tracedUp(program: LabProgram): Promise<TracedUp> {
  const trace = join(program.directory, "..", "runner.strace");
  const log = ["--logtostderr", "--logflow", "-v=9"];
  const { code, stdout, stderr } = await program.run(["up", "--yes", "--skip-preview", ...log], {
    env: { PATH: `${tracer(program, trace)}:${program.env["PATH"] ?? ""}` },
  });
  return { code, executed: readFileSync(trace, "utf8"), printed: stdout + stderr };
}

/** A folder for PATH whose `pulumi` is the real one, with every program that it starts recorded in `file`. */
function tracer(program: LabProgram, file: string): string {
  const folder = join(program.directory, "..", "traced");
  mkdirSync(folder, { recursive: true });
  const words = `strace -f -qq --seccomp-bpf -v -s 65535 -e trace=execve -e signal=none -o '${file}'`;
  writeFileSync(join(folder, "pulumi"), `#!/bin/sh\nPATH=\${PATH#*:}\nexec ${words} pulumi "$@"\n`);
  chmodSync(join(folder, "pulumi"), 0o755);
  return folder;
}

/** Parts the lines in which the engine writes down what it sends and receives, every secret input of every provider's resources too, from all others. */
export function withoutDumps(printed: string): { readonly dumped: string; readonly others: string } {
  const engines =
    /"msg":"(eventSink::Debug\(<{%reset%}>)?((Unm|M)arshaling property for RPC|Planner decided (not )?to|RegisterResource RPC finished)/;
  const lines = printed.split("\n");
  return {
    dumped: lines.filter((line) => engines.test(line)).join("\n"),
    others: lines.filter((line) => !engines.test(line)).join("\n"),
  };
}

/** Secrets that stand in plain text in the state, its history or the stack's file, each with its path. */
export function secretsInState(program: LabProgram, secrets: Secrets): readonly string[] {
  const files = readdirSync(join(program.directory, ".."), { recursive: true, withFileTypes: true }).filter(
    // What the program itself was given, and the trace, are read elsewhere or hold them by right.
    (entry) =>
      entry.isFile() &&
      !["lab.json", "index.js", "runner.strace"].includes(entry.name) &&
      !entry.parentPath.includes("node_modules"),
  );
  if (files.length <= 2) throw new Error("there is no state");
  return files.flatMap((entry) => {
    const path = join(entry.parentPath, entry.name);
    return secretsIn(readFileSync(path, "utf8"), secrets).map((name) => `${path}: ${name}`);
  });
}

/** What `pulumi` itself had to say. */
export function withoutLog(printed: string): string {
  return printed
    .split("\n")
    .filter((line) => !line.startsWith('{"time":'))
    .join("\n");
}

export interface SecretFiles {
  /** Files that hold a secret and that others than root may read. */
  readonly open: readonly string[];
  /** All files that hold one. */
  readonly all: readonly string[];
  /** Lines of the journal that hold one. */
  readonly journal: readonly string[];
}

/** Looks for secrets in all that was written on a machine since `markTime`. */
export async function secretFiles(machine: Machine, secrets: Secrets): Promise<SecretFiles> {
  const listed = await machine.exec(
    `umask 077
mkdir /dev/shm/hunt && cat >/dev/shm/hunt/secrets
newer() { find / /run /tmp /dev/shm -xdev -path /dev/shm/hunt -prune -o -type f -newer /root/before "$@" -exec grep -alF -f /dev/shm/hunt/secrets {} + || :; }
newer -perm /o=r
echo --
newer
echo --
journalctl --no-pager | grep -aF -f /dev/shm/hunt/secrets || :
rm -r /dev/shm/hunt`,
    { stdin: `${Object.values(secrets).join("\n")}\n` },
  );
  const [open = "", all = "", journal = ""] = listed.split("--\n");
  const lines = (text: string): readonly string[] =>
    [...new Set(text.split("\n").filter((line) => line !== ""))].sort();
  return { open: lines(open), all: lines(all), journal: lines(journal) };
}

/** Remembers on a machine that what is there now was there before. */
export async function markTime(machine: Machine): Promise<void> {
  await machine.exec("touch /root/before; sleep 0.1");
}

export interface WatchedFiles {
  /** Paths that were seen, with every mode that they were seen with: `/etc/x 600`. */
  stop(): Promise<readonly string[]>;
}

/** Sees what comes and goes in folders of a machine, as far as it stays for a moment. */
export function watchFiles(machine: Machine, folders: readonly string[]): WatchedFiles {
  const seen = new Set<string>();
  let watching = true;
  const look = async (): Promise<void> => {
    for (const folder of folders) {
      const entries = await readdir(join(machine.root, folder), { recursive: true }).catch(() => []);
      for (const entry of entries) {
        const found = await stat(join(machine.root, folder, entry)).catch(() => undefined);
        if (found?.isFile() === true) seen.add(`${folder}/${entry} ${(found.mode & 0o7777).toString(8)}`);
      }
    }
  };
  const watch = (async () => {
    while (watching && machine.isRunning) {
      await look();
      await pause(15);
    }
  })();
  return {
    stop: async () => {
      watching = false;
      await watch;
      return [...seen].sort();
    },
  };
}
