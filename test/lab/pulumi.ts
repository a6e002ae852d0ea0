import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { repository } from "./equipment";
import type { LabParts } from "./lab";
import { finish, type Finished } from "./process";

export type PulumiOptions = {
  /** @default "lab" */
  readonly stack?: string;
} & (
  | {
      /** A project that is there, with its Pulumi.yaml: it is copied, since a stack writes beside it. */
      readonly directory: string;
    }
  | {
      /** A project to write: the text by path. A Pulumi.yaml that runs `index.ts` is added when there is none. */
      readonly files: Readonly<Record<string, string>>;
    }
);

/** A project with a stack on the real engine, with its own backend and home: nothing of the user's is read or changed. */
export interface PulumiProject {
  readonly directory: string;
  readonly stack: string;
  /** The environment it runs in: for the Automation API, too. */
  readonly env: Readonly<Record<string, string>>;
  /** The raw state as the backend keeps it. */
  readonly stateFile: string;
  /** All that `run` has running: the engine, the program, the provider. */
  processes(): readonly number[];
  /** Ends all of it with SIGKILL. */
  kill(): void;
  /** Runs `pulumi` to its end, whatever the exit code. */
  run(words: readonly string[], options?: PulumiRunOptions): Promise<Finished>;
}

export interface PulumiRunOptions {
  /** @default 600 000 */
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

export async function createPulumiProject(lab: LabParts, options: PulumiOptions): Promise<PulumiProject> {
  const { stack = "lab" } = options;
  const base = join(lab.directory, "pulumi");
  mkdirSync(base, { recursive: true });
  const own = mkdtempSync(join(base, "project-"));
  const [backend, home] = [join(own, "backend"), join(own, "home")];
  for (const path of [backend, home]) mkdirSync(path);
  const directory = join(own, "program");
  if ("directory" in options) copyProject(options.directory, directory);
  else writeProject(directory, options.files);
  const env = {
    PATH: [
      lab.equipment.pulumi,
      // Nearer than one that the user has: the test's engine is the same everywhere.
      __dirname,
      join(repository, "node_modules/@pulumi/pulumi"),
      join(repository, "node_modules/.bin"),
      process.env["PATH"] ?? "",
    ].join(":"),
    HOME: home,
    PULUMI_HOME: home,
    PULUMI_BACKEND_URL: `file://${backend}`,
    PULUMI_CONFIG_PASSPHRASE: "lab",
    PULUMI_SKIP_UPDATE_CHECK: "1",
    NO_COLOR: "1",
  };
  const part = basename(own);
  const run: PulumiProject["run"] = (words, { timeoutMs = 600_000, env: more = {} } = {}) =>
    finish(...lab.group.wrap(part, "pulumi", ["--non-interactive", ...words]), {
      ...{ cwd: directory, env: { ...env, ...more }, timeoutMs },
    });
  const created = await run(["stack", "init", stack]);
  if (created.code !== 0) throw new Error(`the stack cannot be made: ${created.stderr}`);
  return {
    ...{ directory, stack, env, run },
    stateFile: join(backend, ".pulumi/stacks", projectName(directory), `${stack}.json`),
    processes: () => lab.group.processes(part),
    kill: () => lab.group.kill(part),
  };
}

function copyProject(from: string, to: string): void {
  const linked = ["node_modules", "dist"];
  const left = new Set([".git", ...linked].map((name) => join(from, name)));
  cpSync(from, to, { recursive: true, filter: (path) => !left.has(path) });
  linkPackages(to);
  // The repository itself is a project: its name resolves to itself.
  if (existsSync(join(from, "dist"))) symlinkSync(join(from, "dist"), join(to, "dist"));
}

function projectName(directory: string): string {
  const [, name] = /^name:\s*["']?([^\s"']+)/m.exec(readFileSync(join(directory, "Pulumi.yaml"), "utf8")) ?? [];
  if (name === undefined) throw new Error(`${directory}/Pulumi.yaml has no name`);
  return name;
}

/** The packages are the repository's, so `pulumi-etcd-backup` is this checkout. */
function linkPackages(directory: string): void {
  symlinkSync(join(repository, "node_modules"), join(directory, "node_modules"));
}

function writeProject(directory: string, files: Readonly<Record<string, string>>): void {
  const defaults = {
    "Pulumi.yaml": "name: lab\nmain: index.ts\nruntime: nodejs\n",
    "package.json": '{ "name": "lab-program", "private": true }\n',
    "tsconfig.json":
      '{ "compilerOptions": { "strict": true, "target": "ES2022", "module": "nodenext", "skipLibCheck": true } }\n',
  };
  for (const [path, content] of Object.entries({ ...defaults, ...files })) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), content);
  }
  linkPackages(directory);
}
