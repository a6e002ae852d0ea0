import { setTimeout as pause } from "node:timers/promises";
import { BackupError } from "../errors";

/** Waits until `look` answers true; its other answers say what was last seen. Rejects with CLUSTER_UNHEALTHY at the deadline. */
export async function waitFor(what: string, look: () => Promise<true | string>, deadlineMs: number): Promise<void> {
  const end = Date.now() + deadlineMs;
  for (let wait = 200; ; wait = Math.min(wait * 1.5, 2000)) {
    const seen = await look();
    if (seen === true) return;
    if (Date.now() + wait > end) {
      throw new BackupError(
        "CLUSTER_UNHEALTHY",
        `${what}: not after ${Math.round(deadlineMs / 1000)} s; last seen: ${seen}`,
      );
    }
    await pause(wait);
  }
}
