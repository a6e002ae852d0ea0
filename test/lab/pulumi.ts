import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { repository } from "./equipment";
import type { LabParts } from "./lab";
import { finish, type Finished } from "./process";

export type PulumiOptions = {
  /** @default "lab" */
  readonly stack?: string;
} & (
  | {
      /** A project that is there, with its Pulumi.yaml. */
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
  const directory = "directory" in options ? options.directory : writeProject(join(own, "program"), options.files);
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
    PULUMI_SKIP_CONFIRMATIONS: "true",
    NO_COLOR: "1",
  };
  const run: PulumiProject["run"] = (words, { timeoutMs = 600_000, env: more = {} } = {}) =>
    finish("pulumi", [...words, "--non-interactive"], { cwd: directory, env: { ...env, ...more }, timeoutMs });
  const created = await run(["stack", "init", stack]);
  if (created.code !== 0) throw new Error(`the stack cannot be made: ${created.stderr}`);
  return { directory, stack, env, run, stateFile: join(backend, ".pulumi/stacks", "TODO", `${stack}.json`) };
}

/** Its packages are the repository's, so `pulumi-etcd-backup` is this checkout. */
function writeProject(directory: string, files: Readonly<Record<string, string>>): string {
  const defaults = {
    "Pulumi.yaml": "name: lab\nmain: index.ts\nruntime:\n  name: nodejs\n  options:\n    typescript: true\n",
    "package.json": '{ "name": "lab-program", "private": true }\n',
    "tsconfig.json":
      '{ "compilerOptions": { "strict": true, "target": "ES2022", "module": "nodenext", "skipLibCheck": true } }\n',
  };
  for (const [path, content] of Object.entries({ ...defaults, ...files })) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), content);
  }
  symlinkSync(join(repository, "node_modules"), join(directory, "node_modules"));
  return directory;
}
