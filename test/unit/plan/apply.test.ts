import { BackupError, type ErrorCode } from "../../../provider/errors";
import { applyPlan, putBack } from "../../../provider/plan/apply";
import type { Journal, OpenAttempt } from "../../../provider/plan/journal";
import type { Hosts, Plan, Step } from "../../../provider/plan/plan";
import { commandFails, fakeHost } from "../../support/fake-host";

const hosts: Hosts = new Map(["s1", "s2"].map((name) => [name, fakeHost(name)]));
const silent = { status() {}, info() {}, warn() {} };

let seen: string[];
beforeEach(() => (seen = []));

describe("without a failure", () => {
  test("stages run in order, the steps of one at the same time", async () => {
    const { steps } = await applyPlan(plan([both("a"), both("b")]), hosts, journal(), silent);
    expect(without("done")).toEqual([
      "run s1:a",
      "run s2:a",
      "did s1:a",
      "did s2:a",
      "run s1:b",
      "run s2:b",
      "did s1:b",
      "did s2:b",
    ]);
    expect(steps.map((one) => one.id)).toEqual(["s1:a", "s2:a", "s1:b", "s2:b"]);
  });

  test("the point of no return is journalled as soon as the cluster serves", async () => {
    await applyPlan(restore(), hosts, journal(), silent);
    expect(without("did", "done")).toEqual([
      ...[
        "run s1:stop",
        "run s2:stop",
        "run s1:start",
        "run s2:start",
        "run cluster:serve",
        "crossed",
        "run cluster:verify",
      ],
    ]);
  });

  test("steps that are done are journalled, waits are not", async () => {
    await applyPlan(restore(), hosts, journal(), silent);
    expect(only("done")).toEqual(["done s1:stop", "done s2:stop", "done s1:start", "done s2:start"]);
  });
});

describe("before the point of no return", () => {
  const broken = (): Plan => plan([both("a"), [step("s1", "b"), failing("s2", "b")], both("c")]);

  test("a failure undoes stage by stage, backwards, the failed step included", async () => {
    await fails(broken(), "RESTORE_ABANDONED");
    expect(without("did", "done")).toEqual([
      ...["run s1:a", "run s2:a", "run s1:b", "run s2:b"],
      ...[
        "undo s1:b",
        "undo s2:b",
        "undone s1:b",
        "undone s2:b",
        "undo s1:a",
        "undo s2:a",
        "undone s1:a",
        "undone s2:a",
      ],
      ...["prove", "closed abandoned"],
    ]);
  });

  test("it waits for the other steps of the stage before it undoes any", async () => {
    await fails(broken(), "RESTORE_ABANDONED");
    expect(seen.indexOf("did s1:b")).toBeLessThan(seen.indexOf("undo s2:b"));
    expect(seen).toContain("did s1:b");
  });

  test("the error names the step and says what the command said", async () => {
    const noisy = step("s2", "b", { run: () => Promise.reject(commandFails("s2", "first words\nlast words\n")) });
    const error = await fails(plan([both("a"), [noisy]]), "RESTORE_ABANDONED");
    expect(error.message).toContain("the restore of prod failed at s2:b");
    expect(error.message).toContain("  | first words\n  | last words");
    expect(error.hint).toContain("put back");
  });

  test("of several failures none is left out", async () => {
    const error = await fails(plan([[failing("s1", "a"), failing("s2", "a")]]), "RESTORE_ABANDONED");
    expect(error.message).toContain("failed at s1:a, s2:a");
    expect(error.message).toContain("s1:a broke\ns2:a broke");
    expect(error.cause).toBeInstanceOf(AggregateError);
  });

  test("a server that cannot be put back keeps no other from it; nothing is proved, the journal stays open", async () => {
    const stuck = step("s2", "b", { run: reject("no"), undo: reject("stuck") });
    const error = await fails(plan([both("a"), [step("s1", "b"), stuck]]), "RESTORE_INTERRUPTED");
    expect(error.message).toContain("stuck");
    expect(error.message).toContain("no");
    expect(only("undo")).toEqual(["undo s1:b", "undo s1:a"]);
    expect(only("prove", "closed")).toEqual([]);
  });

  test("put back but not as it was: interrupted, and the journal stays open", async () => {
    await fails({ ...broken(), proveUntouched: reject("s1 is silent") }, "RESTORE_INTERRUPTED");
    expect(only("closed")).toEqual([]);
  });

  test("a step without an undo is passed over", async () => {
    const plain: Step = { id: "s1:a", title: "a", server: "s1", run: () => Promise.resolve() };
    await fails(plan([[plain], [failing("s1", "b")]]), "RESTORE_ABANDONED");
    expect(only("undone")).toEqual(["undone s1:b", "undone s1:a"]);
  });

  test("past the deadline no stage begins, and what was done is put back", async () => {
    const error = await applyPlan(plan([both("a")]), hosts, journal(), silent, { deadline: Date.now() - 1 }).catch(
      asIs,
    );
    expect(error).toMatchObject({ code: "RESTORE_ABANDONED", cause: { errors: [{ code: "COMMAND_TIMED_OUT" }, {}] } });
    expect(without("undone")).toEqual(["undo s1:a", "undo s2:a", "prove", "closed abandoned"]);
  });
});

describe("when the lock is lost", () => {
  const lost = new BackupError("LOCK_LOST", "another operation has it", { host: "s2" });

  test("nothing more is done, not even undone, whatever else failed", async () => {
    const stage = [failing("s1", "b"), step("s2", "b", { run: () => Promise.reject(lost) })];
    await expect(applyPlan(plan([both("a"), stage, both("c")]), hosts, journal(), silent)).rejects.toBe(lost);
    expect(without("run", "did", "done")).toEqual([]);
    expect(seen).not.toContain("run s1:c");
  });

  test("while it is settled, neither", async () => {
    const broken: Plan = { ...restore({ serve: reject("silent") }), settle: () => Promise.reject(lost) };
    await expect(applyPlan(broken, hosts, journal(), silent)).rejects.toBe(lost);
    expect(only("undo", "crossed", "closed")).toEqual([]);
  });
});

describe("while crossing", () => {
  test("a failure is decided by looking: back, when nothing was written", async () => {
    await fails(restore({ serve: reject("silent"), settle: "back" }), "RESTORE_ABANDONED");
    expect(only("settle", "undo", "prove", "closed", "crossed")).toEqual([
      "settle",
      ...["undo s1:start", "undo s2:start", "undo s1:stop", "undo s2:stop", "prove", "closed abandoned"],
    ]);
  });

  test("a restored member that cannot be stopped keeps the old data from all: it could serve beside them", async () => {
    const stages = restore({ serve: reject("silent"), settle: "back" }).stages.map((stage) =>
      stage.map((one) => (one.id === "s2:start" ? { ...one, undo: reject("it runs on") } : one)),
    );
    const error = await fails({ ...restore({ settle: "back" }), stages }, "RESTORE_INTERRUPTED");
    expect(error.message).toContain("it runs on");
    expect(only("undo", "prove", "closed")).toEqual(["undo s1:start"]);
  });

  test("a server that goes away as the cluster begins to serve: interrupted, and there is only forward", async () => {
    const away: Journal = { ...journal(), crossed: reject("s2 cannot be reached") };
    const error: unknown = await applyPlan(restore(), hosts, away, silent).catch(asIs);
    expect(error).toMatchObject({ code: "RESTORE_INTERRUPTED" });
    expect(only("settle", "undo", "closed")).toEqual([]);
  });

  test("forward, when something may have been written", async () => {
    const error = await fails(restore({ serve: reject("silent"), settle: "forward" }), "RESTORE_INTERRUPTED");
    expect(error.hint).toContain("goes on from here");
    expect(only("settle", "undo", "crossed", "closed")).toEqual(["settle", "crossed"]);
  });

  test("what cannot be told is not put back", async () => {
    const unknown: Plan = { ...restore({ serve: reject("silent") }), settle: reject("s1 cannot be reached") };
    const error = await fails(unknown, "RESTORE_INTERRUPTED");
    expect(error.message).toContain("silent");
    expect(error.message).toContain("s1 cannot be reached");
    expect(only("undo", "crossed", "closed")).toEqual([]);
  });

  test("a start that fails is decided the same way", async () => {
    await fails(restore({ start: reject("no"), settle: "back" }), "RESTORE_ABANDONED");
    expect(only("settle")).toEqual(["settle"]);
  });

  test("the deadline stops nothing any more", async () => {
    const late = Date.now() + 50;
    const slow = restore({ start: () => new Promise((resolve) => setTimeout(resolve, 80)) });
    await applyPlan(slow, hosts, journal(), silent, { deadline: late });
    expect(seen).toContain("run cluster:verify");
  });
});

test("after the point of no return a failure stays where it is, and nobody looks whether to go back", async () => {
  const error = await fails(restore({ verify: reject("s2 differs") }), "RESTORE_INTERRUPTED");
  expect(error.message).toContain("stopped at cluster:verify: s2 differs");
  expect(only("settle", "undo", "crossed", "closed")).toEqual(["crossed"]);
});

describe("resumed", () => {
  const attempt: OpenAttempt = {
    ...{ attempt: "a1", identity: "id", quorumBefore: true, began: new Set<string>(), undone: new Set<string>() },
    snapshot: { location: "s3://b/x", sizeBytes: 1, takenAt: "" },
    ...{
      done: new Set(["s1:stop", "s2:stop", "s1:start", "s2:start", "cluster:serve", "cluster:verify"]),
      crossed: true,
    },
  };

  test("steps that are done are left out; starts and waits are repeated", async () => {
    await applyPlan(restore(), hosts, journal(), silent, { resume: attempt });
    expect(only("run")).toEqual(["run s1:start", "run s2:start", "run cluster:serve", "run cluster:verify"]);
  });

  test("a server that was told to start has nothing to do that comes before, not even what it had no part in", async () => {
    const started = { ...attempt, done: new Set<string>(), began: new Set(["s2:start"]) };
    await applyPlan(restore(), hosts, journal(), silent, { resume: started });
    expect(only("run").slice(0, 2)).toEqual(["run s1:stop", "run s1:start"]);
  });

  test("a failure only interrupts it again, even in its first stage", async () => {
    const half = { ...attempt, done: new Set(["s1:stop"]) };
    const broken = restore({ stop: reject("no") });
    const error = await applyPlan(broken, hosts, journal(), silent, { resume: half }).catch(asIs);
    expect(error).toMatchObject({ code: "RESTORE_INTERRUPTED" });
    expect(only("settle", "undo")).toEqual([]);
  });
});

test("putting back an attempt of another process undoes all its stages and closes it", async () => {
  await putBack(plan([both("a"), both("b")]), [both("a"), both("b")], hosts, journal(), silent, new Error("cut off"));
  expect(without("undone")).toEqual(["undo s1:b", "undo s2:b", "undo s1:a", "undo s2:a", "prove", "closed abandoned"]);
});

function step(server: string, action: string, more: Partial<Step> = {}): Step {
  const id = `${server}:${action}`;
  return {
    ...{ id, title: action, server: server === "cluster" ? "s1" : server, ...more },
    run: async (host) => {
      seen.push(`run ${id}`);
      await (more.run === undefined ? pause() : more.run(host));
      seen.push(`did ${id}`);
    },
    undo: async (host) => {
      await more.undo?.(host);
      seen.push(`undo ${id}`);
    },
  };
}

function both(action: string, more: Partial<Step> = {}): Step[] {
  return [step("s1", action, more), step("s2", action, more)];
}

function failing(server: string, action: string): Step {
  return step(server, action, { run: reject(`${server}:${action} broke`) });
}

function plan(stages: Plan["stages"]): Plan {
  return {
    ...{ identity: "id", title: "the restore of prod", stages },
    settle: () => Promise.reject(new Error("nobody should have to decide")),
    proveUntouched: () => {
      seen.push("prove");
      return Promise.resolve();
    },
  };
}

interface Course {
  readonly stop?: Step["run"];
  readonly start?: Step["run"];
  readonly serve?: Step["run"];
  readonly verify?: Step["run"];
  readonly settle?: "forward" | "back";
}

/** The shape of a restore: what can be put back, the start, two waits. */
function restore({ stop = pause, start = pause, serve = pause, verify = pause, settle }: Course = {}): Plan {
  const stages = [
    both("stop", { run: stop }),
    both("start", { run: start, pointOfNoReturn: "crossing" }),
    [step("cluster", "serve", { run: serve, gate: true, pointOfNoReturn: "crossed" })],
    [step("cluster", "verify", { run: verify, gate: true })],
  ];
  return {
    ...plan(stages.map((stage) => stage.map(withoutUndoOfWaits))),
    settle: () => {
      seen.push("settle");
      return settle === undefined ? Promise.reject(new Error("undecided")) : Promise.resolve(settle);
    },
  };
}

function withoutUndoOfWaits(one: Step): Step {
  if (one.gate !== true) return one;
  return Object.fromEntries(Object.entries(one).filter(([name]) => name !== "undo")) as unknown as Step;
}

function journal(): Journal {
  const say = (line: string): Promise<void> => {
    seen.push(line);
    return Promise.resolve();
  };
  return {
    hostFor: (_, host) => host,
    hostForUndo: (host) => host,
    note: (_, event, id) => void say(`${event} ${id}`),
    open: ({ attempt }) => say(`open ${attempt}`),
    crossed: () => say("crossed"),
    close: (outcome) => say(`closed ${outcome}`),
  };
}

async function fails(broken: Plan, code: ErrorCode): Promise<BackupError> {
  const error: unknown = await applyPlan(broken, hosts, journal(), silent).catch(asIs);
  expect(error).toBeInstanceOf(BackupError);
  expect(error).toMatchObject({ code });
  return error as BackupError;
}

function only(...verbs: string[]): string[] {
  return seen.filter((line) => verbs.includes(line.split(" ")[0] ?? ""));
}

function without(...verbs: string[]): string[] {
  return seen.filter((line) => !verbs.includes(line.split(" ")[0] ?? ""));
}

function pause(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function reject(what: string): () => Promise<never> {
  return () => Promise.reject(new Error(what));
}

function asIs(error: unknown): unknown {
  return error;
}
