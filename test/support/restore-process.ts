import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Cluster } from "../../provider/model";
import type { RestoreRequest } from "../../provider/operations/restore";
import { repository } from "../lab/equipment";
import type { Machine } from "../lab/machine";
import { waitFor } from "../lab/wait";

/** A restore in a process of its own, as an operator's is: one that can be killed. */
export interface RestoreProcess {
  /** Kills it without a chance to clean up. Resolves when it is gone. */
  kill(): Promise<void>;
}

export function restoreInProcess(cluster: Cluster, request: RestoreRequest): RestoreProcess {
  const module = (path: string): string => JSON.stringify(join(repository, "provider", path));
  const program = `
    const { restoreSnapshot } = require(${module("operations/restore.ts")});
    const { silent } = require(${module("operations/call.ts")});
    let order = "";
    process.stdin.on("data", (text) => (order += text)).on("end", () => {
      const { cluster, request } = JSON.parse(order);
      restoreSnapshot(cluster, request, { progress: silent }).then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
    });`;
  const child = spawn(process.execPath, ["--import", "tsx", "--eval", program], {
    ...{ cwd: repository, stdio: ["pipe", "ignore", "inherit"] },
  });
  child.stdin?.end(JSON.stringify({ cluster, request }));
  return {
    kill: async () => {
      const ended = child.exitCode === null ? once(child, "exit") : undefined;
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Resolves when a line of the last attempt in a server's journal matches. Read from the machine's disk: that is quick, and the machine may be off. */
export async function journalHas(machine: Machine, pattern: RegExp, since: number): Promise<void> {
  await waitFor(
    `${machine.name}'s journal says ${pattern.source}`,
    () => (pattern.test(readJournal(machine).slice(since)) ? true : undefined),
    { deadlineMs: 120_000, everyMs: 5 },
  );
}

/** Where the next attempt's lines will begin. */
export function journalEnd(machine: Machine): number {
  return readJournal(machine).length;
}

function readJournal(machine: Machine): string {
  const path = join(machine.root, "var/lib/etcd-backup/demo/journal");
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}
