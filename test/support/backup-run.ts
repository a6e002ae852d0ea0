import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backupScript } from "../../provider/distributions/etcd/backup-script";
import { type BackupStatus, parseBackupStatus } from "../../provider/distributions/etcd/backup-status";
import { type BackupUnitInput, backupFiles } from "../../provider/distributions/etcd/units";
import { untilTrue } from "./local-etcd";

export interface BackupRun {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A place on this machine where the files of a server's backups lie, so that its script can be run here. */
export interface BackupPlace {
  /** Where its snapshots go. */
  readonly snapshots: string;
  readonly state: string;
  readonly script: string;
  /** Writes the files as a server would get them; `change` adds lines of sh to the settings. */
  configure(input: Omit<BackupUnitInput, "directory" | "serverCount">, change?: string): void;
  /** Runs the script, by the words before it. */
  run(words?: readonly [string, ...string[]], env?: NodeJS.ProcessEnv): Promise<BackupRun>;
  /** Starts it where all its processes end with it, and gives how to kill them. */
  start(): { kill(): Promise<void> };
  status(): BackupStatus | undefined;
  remove(): void;
}

export function makeBackupPlace(): BackupPlace {
  const root = mkdtempSync(join(tmpdir(), "backup-place-"));
  const [snapshots, state, script, settings] = ["snapshots", "state", "save.sh", "settings"].map((n) => join(root, n));
  if (snapshots === undefined || state === undefined || script === undefined || settings === undefined) {
    throw new Error("unreachable");
  }
  for (const directory of [snapshots, state]) mkdirSync(directory, { mode: 0o700 });
  return {
    snapshots,
    state,
    script,
    configure(input, change = "") {
      writeFileSync(script, backupScript);
      const files = backupFiles({ ...input, serverCount: 3, directory: snapshots });
      for (const { path, content, mode } of files) {
        if (!path.startsWith(`/etc/etcd-backup/${input.cluster}/`) || path.endsWith("/save.sh")) continue;
        const moved = content.replaceAll(`/etc/etcd-backup/${input.cluster}`, root);
        const name = path.slice(path.lastIndexOf("/") + 1);
        writeFileSync(join(root, name), name === "settings" ? `${moved}state='${state}'\n${change}\n` : content, {
          mode,
        });
      }
    },
    async run(words = ["sh"], env = process.env) {
      const [program, ...before] = words;
      const child = spawn(program, [...before, script, settings], { env, stdio: ["ignore", "pipe", "pipe"] });
      let [stdout, stderr] = ["", ""];
      child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString("utf8")));
      child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString("utf8")));
      const exitCode = await new Promise<number | null>((resolve, reject) => {
        child.on("close", resolve).on("error", reject);
      });
      return { exitCode, stdout, stderr };
    },
    start() {
      const child = spawn("unshare", ["--pid", "--fork", "--kill-child", "sh", script, settings], { stdio: "ignore" });
      const ended = new Promise((resolve) => child.on("close", resolve));
      return {
        async kill() {
          child.kill("SIGKILL");
          await ended;
          await untilTrue("the killed run lets go of its lock", () => free(join(state, "save.lock")));
        },
      };
    },
    status() {
      const path = join(state, "status.json");
      return existsSync(path) ? parseBackupStatus(readFileSync(path, "utf8")) : undefined;
    },
    remove() {
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function free(lock: string): Promise<void> {
  return new Promise((resolve, reject) => {
    spawn("flock", ["-n", lock, "true"]).on("close", (code) =>
      code === 0 ? resolve() : reject(new Error("still held")),
    );
  });
}
