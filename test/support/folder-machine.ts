import { spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "../lab/wait";
import type { ScriptEnd } from "./script-channel";

/** A machine that is a folder: scripts run with the real `sh`, unchanged, and find its /etc and /var/lib where those of this machine are. Needs root. */
export interface FolderMachine {
  /** Has the folders `etc` and `lib`. */
  readonly root: string;
  /** Puts a program in front of PATH: text of a shell script. */
  stub(program: string, text: string): void;
  run(text: string): Promise<ScriptEnd>;
  /** The same, ended by force when it has written a file and not yet given it its name. */
  losePowerWhileWriting(text: string): Promise<never>;
  /** Paths of the files below a folder. */
  files(folder: string): readonly string[];
  remove(): void;
}

export function folderMachine(): FolderMachine {
  const root = mkdtempSync(join(tmpdir(), "folder-machine-"));
  for (const folder of ["etc", "lib", "bin"]) mkdirSync(join(root, folder));
  for (const file of ["passwd", "group"]) copyFileSync(join("/etc", file), join(root, "etc", file));
  const start = (text: string): ReturnType<typeof spawn> => {
    const script = 'mount --bind "$ROOT/etc" /etc && mount --bind "$ROOT/lib" /var/lib && exec sh -c "$1"';
    return spawn("unshare", ["--mount", "sh", "-c", script, "sh", text], {
      env: { ROOT: root, PATH: `${join(root, "bin")}:${process.env["PATH"] ?? ""}`, LC_ALL: "C" },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
  };
  const stub = (program: string, text: string): void => {
    writeFileSync(join(root, "bin", program), `#!/bin/sh\n${text}\n`);
    chmodSync(join(root, "bin", program), 0o755);
  };
  return {
    root,
    stub,
    run: (text) =>
      new Promise((resolve, reject) => {
        const child = start(text);
        let [stdout, stderr] = ["", ""];
        child.stdout?.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
        child.stderr?.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
        child.once("error", reject);
        child.once("close", (code) => resolve({ stdout, stderr, code: code ?? 137 }));
      }),
    losePowerWhileWriting: async (text) => {
      stub("sync", ': >"$ROOT/reached"; exec sleep 600');
      const child = start(text);
      try {
        await waitFor("a file is written", () => existsSync(join(root, "reached")) || undefined, {
          deadlineMs: 20_000,
          everyMs: 10,
        });
      } finally {
        process.kill(-(child.pid ?? NaN), "SIGKILL");
        rmSync(join(root, "bin/sync"));
      }
      throw new Error("the power was lost");
    },
    files: (folder) =>
      readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(root.length)),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}
