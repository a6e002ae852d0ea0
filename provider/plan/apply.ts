import { BackupError, CommandError, hasCode } from "../errors";
import type { Progress } from "../model";
import type { Host } from "../transport/host";
import type { Journal, OpenAttempt } from "./journal";
import type { Hosts, Plan, Stage, Step } from "./plan";

export interface Applied {
  readonly steps: readonly { readonly id: string; readonly title: string; readonly durationMs: number }[];
}

export interface ApplyOptions {
  /** Steps that this attempt has already done are left out. */
  readonly resume?: OpenAttempt | undefined;
  /** No stage before the point of no return begins later than this, in milliseconds since the epoch. */
  readonly deadline?: number | undefined;
}

/**
 * Runs a plan's stages in order. What fails before the point of no return is put back, and RESTORE_ABANDONED says why;
 * what fails after it stays where it is, and RESTORE_INTERRUPTED says that the next attempt goes on.
 */
export async function applyPlan(
  plan: Plan,
  hosts: Hosts,
  journal: Journal,
  progress: Progress,
  options: ApplyOptions = {},
): Promise<Applied> {
  const { resume, deadline = Infinity } = options;
  const steps: { id: string; title: string; durationMs: number }[] = [];
  const finished = finishedSteps(plan, resume);
  let crossed = resume?.crossed ?? false;
  for (const [index, stage] of plan.stages.entries()) {
    // A started server may have been stopped since, so it is started again.
    const due = stage.filter(
      (step) => step.gate === true || step.pointOfNoReturn === "crossing" || !finished.has(step.id),
    );
    progress.status(`step ${index + 1}/${plan.stages.length}: ${stage[0]?.title ?? ""}`);
    const results = await Promise.allSettled(
      due.map(async (step) => {
        const began = Date.now();
        if (!crossed && !isCrossing(plan.stages.slice(0, index)) && began > deadline)
          throw new BackupError("COMMAND_TIMED_OUT", "the deadline is over");
        await step.run(journal.hostFor(step.id, hostOf(step, hosts)));
        if (step.gate !== true) journal.note(step.server, "done", step.id);
        steps.push({ id: step.id, title: step.title, durationMs: Date.now() - began });
      }),
    );
    const failures = results.flatMap((result) => (result.status === "rejected" ? [asError(result.reason)] : []));
    const [first] = failures;
    if (first === undefined) {
      if (due.some((step) => step.pointOfNoReturn === "crossed")) {
        crossed = true;
        await journal.crossed().catch((error: unknown) => {
          throw hasCode(error, "LOCK_LOST")
            ? error
            : interrupted(
                plan,
                due.map((step) => step.id),
                asError(error),
              );
        });
      }
      continue;
    }
    const failed = due.filter((_, at) => results[at]?.status === "rejected").map((step) => step.id);
    const cause =
      failures.length === 1 ? first : new AggregateError(failures, failures.map((e) => e.message).join("\n"));
    refuseLostLock(failures);
    if (crossed || (isCrossing(plan.stages.slice(0, index + 1)) && (await settle(plan, hosts, cause)) === "forward")) {
      // A server that is away cannot write it now; one that can is enough.
      if (!crossed) await journal.crossed().catch((error: unknown) => refuseLostLock([asError(error)]));
      throw interrupted(plan, failed, cause);
    }
    await putBack(plan, plan.stages.slice(0, index + 1), hosts, journal, progress, cause);
    throw new BackupError("RESTORE_ABANDONED", `${plan.title} failed at ${failed.join(", ")}: ${describe(failures)}`, {
      hint: "Every server was put back as it was, and checked. Mend the cause, then run `pulumi up` again.",
      cause,
    });
  }
  return { steps };
}

/**
 * Puts back what the stages did, the last first; then proves it, and closes the journal as abandoned. A server that
 * cannot be put back does not keep the others from it: those that are left may be a quorum.
 */
export async function putBack(
  plan: Plan,
  stages: readonly Stage[],
  hosts: Hosts,
  journal: Journal,
  progress: Progress,
  cause: Error,
): Promise<void> {
  const stuck = new Map<string, Error>();
  for (const stage of [...stages].reverse()) {
    const due = stage.filter((step) => !stuck.has(step.server));
    progress.status(`putting back: ${stage[0]?.title ?? ""}`);
    const results = await Promise.allSettled(
      due.map(async (step) => {
        await step.undo?.(journal.hostForUndo(hostOf(step, hosts)));
        journal.note(step.server, "undone", step.id);
      }),
    );
    for (const [at, result] of results.entries()) {
      if (result.status === "rejected") stuck.set(due[at]?.server ?? "", asError(result.reason));
    }
    refuseLostLock([...stuck.values()]);
    // Restored members that may run still could become a quorum beside the old one.
    if (stuck.size > 0 && isCrossing([stage])) break;
  }
  if (stuck.size > 0) throw notPutBack(plan, cause, [...stuck.values()]);
  await plan.proveUntouched(hosts).catch((error: unknown) => {
    throw notPutBack(plan, cause, [asError(error)]);
  });
  await journal.close("abandoned");
}

/** A server that was told to start had done all before, or had no part in it: what answers now answers with restored data. */
function finishedSteps(plan: Plan, resume: OpenAttempt | undefined): ReadonlySet<string> {
  if (resume === undefined) return new Set();
  const crossing = plan.stages.findIndex((stage) => isCrossing([stage]));
  const started = new Set(plan.stages[crossing]?.flatMap(({ id, server }) => (resume.began.has(id) ? [server] : [])));
  const before = plan.stages.slice(0, Math.max(0, crossing)).flat();
  return new Set([...resume.done, ...before.filter(({ server }) => started.has(server)).map(({ id }) => id)]);
}

/** Decides which way an attempt that was crossing can go. */
export async function settle(plan: Plan, hosts: Hosts, cause: Error): Promise<"forward" | "back"> {
  // What cannot be told is not put back: going back could lose writes, going on cannot.
  return await plan.settle(hosts).catch((error: unknown) => {
    if (hasCode(error, "LOCK_LOST")) throw error;
    throw interrupted(
      plan,
      ["settle"],
      new AggregateError([cause, error], `${cause.message}\n${asError(error).message}`),
    );
  });
}

/** Whoever has the lock now decides: not even putting back is ours any more. */
function refuseLostLock(failures: readonly Error[]): void {
  const lost = failures.find((failure) => hasCode(failure, "LOCK_LOST"));
  if (lost !== undefined) throw lost;
}

function isCrossing(stages: readonly Stage[]): boolean {
  return stages.some((stage) => stage.some((step) => step.pointOfNoReturn === "crossing"));
}

/** What cannot be gone back from and did not end: the next attempt goes on from there. */
export function interrupted(plan: Plan, failed: readonly string[], cause: Error): BackupError {
  return new BackupError("RESTORE_INTERRUPTED", `${plan.title} stopped at ${failed.join(", ")}: ${describe([cause])}`, {
    hint: "The restored cluster may have taken writes, so nothing was put back. Mend the cause, then run `pulumi up` again: it goes on from here.",
    cause,
  });
}

function notPutBack(plan: Plan, cause: Error, failures: readonly Error[]): BackupError {
  return new BackupError(
    "RESTORE_INTERRUPTED",
    `${plan.title} failed: ${cause.message}\nPutting it back failed too: ${failures.map((e) => e.message).join("\n")}`,
    {
      hint: "No data was deleted. Mend the cause, then run `pulumi up` again: it puts back what is left, and begins anew.",
      cause: failures.length === 1 ? failures[0] : new AggregateError(failures),
    },
  );
}

function hostOf(step: Step, hosts: Hosts): Host {
  const host = hosts.get(step.server);
  if (host === undefined) throw new Error(`plan for a server that is not there: ${step.server}`);
  return host;
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

/** What failed, with what the command itself had to say: at four in the morning nobody wants to look for a log. */
function describe(failures: readonly Error[]): string {
  return failures
    .map((failure) => {
      const said = failure instanceof CommandError ? failure.stderr.trimEnd().split("\n").slice(-10) : [];
      return [failure.message, ...(said.length > 1 ? said.map((line) => `  | ${line}`) : [])].join("\n");
    })
    .join("\n");
}
