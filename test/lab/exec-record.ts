import { readFileSync } from "node:fs";
import { isAlive } from "./process";
import { waitFor } from "./wait";
import type { ControlGroup } from "./control-group";

/** What a machine executes, with arguments and environment, from now on. Also a tripwire: silence proves that nobody ran anything. */
export interface ExecRecord {
  /** What was seen so far. */
  read(): string;
  /** Ends the record and returns all of it: strace's lines, one `execve(…)` each. */
  stop(): Promise<string>;
}

/** Follows the given processes and all their children, seen from outside the machine. Returns when it misses nothing any more. */
export async function recordExecs(
  group: ControlGroup,
  { pids, file }: { readonly pids: readonly number[]; readonly file: string },
): Promise<ExecRecord> {
  const follow = pids.flatMap((pid) => ["-p", String(pid)]);
  const words = ["-f", "-v", "-s", "65535", "-e", "trace=execve", "-e", "signal=none", "-o", file, ...follow];
  const log = `${file}.log`;
  const strace = group.start("record", "strace", words, { log });
  await waitFor(
    "strace has attached",
    () => {
      const attached = readFileSync(log, "utf8").match(/^strace: Process \d+ attached/gm)?.length ?? 0;
      if (attached >= pids.length) return true;
      if (!isAlive(strace)) throw new Error(readFileSync(log, "utf8"));
      return undefined;
    },
    { deadlineMs: 15_000, everyMs: 20 },
  );
  return {
    read: () => readFileSync(file, "utf8"),
    stop: async () => {
      if (isAlive(strace)) process.kill(strace.pid, "SIGINT");
      await waitFor("strace has ended", () => (isAlive(strace) ? undefined : true), {
        deadlineMs: 15_000,
        everyMs: 20,
      });
      return readFileSync(file, "utf8");
    },
  };
}
