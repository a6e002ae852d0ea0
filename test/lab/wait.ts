import { setTimeout as pause } from "node:timers/promises";

/** Asks until the answer is not undefined, and returns it. An error is an answer of "not yet", and is told at the deadline. */
export async function waitFor<T>(
  what: string,
  ask: () => T | undefined | Promise<T | undefined>,
  { deadlineMs, everyMs = 100 }: { readonly deadlineMs: number; readonly everyMs?: number },
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      const seen = last instanceof Error ? `; last seen: ${last.message}` : "";
      throw new Error(`${what}: not after ${deadlineMs / 1000} s${seen}`, { cause: last });
    }
    await pause(everyMs);
  }
}
