import type { Restarts } from "../../../provider/distributions/distribution";
import type { MemberLook, Members } from "../../../provider/distributions/members";
import { BackupError } from "../../../provider/errors";
import type { Cluster } from "../../../provider/model";
import { silent } from "../../../provider/operations/call";
import { restartInTurn } from "../../../provider/operations/rolling-restart";
import type { ConnectedHost } from "../../../provider/transport/connect";
import type { EtcdMember } from "../../../provider/transport/etcd";
import { sh } from "../../../provider/transport/shell";
import { type FakeHost, fakeHost } from "../../support/fake-host";
import { embeddedFacts } from "../../support/embedded-facts";

const names = ["s1", "s2", "s3"];
const restarts: Restarts = {
  isDue: () => true,
  isDueAfterRemoval: () => true,
  begin: () => sh`systemctl restart`,
  putBack: () => sh`put back`,
};

test("one after the other, the leader last, each looked at before and after", async () => {
  const roll = rolling({ leader: "s1" });
  await roll.run();
  expect(roll.log).toEqual(["s2 change", "s2 restart", "s3 change", "s3 restart", "s1 change", "s1 restart"]);
});

test.each<[string, Partial<MemberLook> | undefined, string]>([
  ["does not answer", undefined, "the member of s3 does not answer"],
  ["is a learner", { isLearner: true }, "the member of s3 is a learner still"],
  ["knows no leader", { leaderId: "0" }, "the member of s3 knows no leader"],
])("while another member %s no server is touched", async (_, look, said) => {
  const roll = rolling({ leader: "s1", due: ["s1", "s2"], looks: { s3: look } });
  const error = await roll.failure();
  expect(error.code).toBe("CLUSTER_UNHEALTHY");
  expect(error.message).toContain(said);
  expect(error.message).toContain("Changed and restarted: no server. Not touched: s2, s1.");
  expect(roll.log).toEqual([]);
});

test("members that nobody listed count: without them there may be no quorum", async () => {
  const roll = rolling({ leader: "s1", servers: ["s1", "s2"], voters: 3 });
  expect((await roll.failure()).message).toContain("etcd lists 3 voters, and only 1 others are known here");
  expect(roll.log).toEqual([]);
});

test.each([[["s1"]], [["s1", "s2"]]])("%j are restarted although their API is away meanwhile", async (servers) => {
  const roll = rolling({ leader: "s1", servers });
  await roll.run();
  expect(roll.log).toHaveLength(2 * servers.length);
});

describe("a server that does not come back", () => {
  test("gets its previous files, is restarted with them, and the rest is left alone", async () => {
    const roll = rolling({ leader: "s1", stays: { s3: ["down"] } });
    const error = await roll.failure();
    expect(roll.log).toEqual(["s2 change", "s2 restart", "s3 change", "s3 restart", "s3 put back", "s3 restart"]);
    expect(error).toMatchObject({ code: "CLUSTER_UNHEALTHY" });
    expect(error.message).toContain("s3: k3s.service did not come back with its new files");
    expect(error.message).toContain("  | fatal: bad [secret]");
    expect(error.message).toContain("Its previous files were put back, and it runs with them again.");
    expect(error.message).toContain("Changed and restarted: s2. Not touched: s1.");
  });

  test("and not with its previous files either: that is said too", async () => {
    const roll = rolling({ leader: "s1", stays: { s2: ["down", "down"] } });
    const { message } = await roll.failure();
    expect(message).toContain("Its previous files could not be brought into force again");
    expect(message).toContain("systemctl status k3s.service");
    expect(message).toContain("Changed and restarted: no server. Not touched: s3, s1.");
  });

  test("and runs as before, because its restart never came, is no server that came back", async () => {
    const { message } = await rolling({ leader: "s1", stays: { s2: ["same"] } }).failure();
    expect(message).toContain("s2: k3s.service did not come back");
  });

  test("is given up early when it ends again and again", async () => {
    const roll = rolling({ leader: "s1", stays: { s2: ["ends"] }, patienceMs: 60_000 });
    expect((await roll.failure()).message).toContain("it ended 5 times when it was started");
  });

  test("is not put back by somebody who has lost the lock", async () => {
    const roll = rolling({ leader: "s1", lost: "s2" });
    expect((await roll.failure()).code).toBe("LOCK_LOST");
    expect(roll.log).toEqual(["s2 change"]);
  });
});

interface Given {
  readonly leader: string;
  /** @default all three */
  readonly servers?: readonly string[];
  /** @default all servers */
  readonly due?: readonly string[];
  readonly looks?: Readonly<Record<string, Partial<MemberLook> | undefined>>;
  readonly voters?: number;
  /** How a server's first restarts end, instead of well. */
  readonly stays?: Readonly<Record<string, readonly ("down" | "ends" | "same")[]>>;
  /** The server at whose restart the lock is gone. */
  readonly lost?: string;
  readonly patienceMs?: number;
}

interface Rolling {
  readonly log: string[];
  run(): Promise<void>;
  failure(): Promise<BackupError>;
}

function rolling(given: Given): Rolling {
  const { leader, servers: known = names, due = known, looks = {}, voters = known.length, stays = {} } = given;
  const log: string[] = [];
  const servers = known.map((server) => embeddedFacts({ server }));
  const hosts = new Map(known.map((name) => [name, machine(name, log, given, stays[name] ?? [])]));
  const lookOf = (name: string): MemberLook | undefined => {
    if (name in looks && looks[name] === undefined) return undefined;
    return { memberId: name, leaderId: leader, isLearner: false, ...looks[name] } as MemberLook;
  };
  const member = (name: string): Partial<EtcdMember> => ({
    status: () => Promise.resolve(lookOf(name) as Awaited<ReturnType<EtcdMember["status"]>>),
    members: () => Promise.resolve(Array.from({ length: voters }, () => ({ isLearner: false }) as never)),
  });
  const members: Pick<Members, "look" | "use"> = {
    look: () => Promise.resolve(new Map(known.map((name) => [name, lookOf(name)]))),
    use: (facts, work) => work(member(facts.server) as EtcdMember),
  };
  const run = (): Promise<void> =>
    restartInTurn(
      {
        ...{ cluster: { name: "prod" } as Cluster, restarts, servers, members, secrets: ["s3cret"] },
        hosts: hosts as unknown as ReadonlyMap<string, ConnectedHost>,
        due: servers.filter(({ server }) => due.includes(server)).map((facts) => ({ facts, change: sh`change` })),
        lock: { guard: (host) => host, release: () => Promise.resolve() },
        ...{ patienceMs: given.patienceMs ?? 300, settleMs: 100 },
      },
      { progress: silent },
    );
  return {
    ...{ log, run },
    failure: async () => {
      const error: unknown = await run().catch((reason: unknown) => reason);
      if (!(error instanceof BackupError)) throw new Error("it did not fail", { cause: error });
      return error;
    },
  };
}

/** A machine whose unit starts anew at every restart. */
function machine(name: string, log: string[], { lost }: Given, stays: readonly string[]): FakeHost {
  let starts = 0;
  const does = (what: string): string => {
    log.push(`${name} ${what}`);
    return "";
  };
  return fakeHost(name, [
    { to: "change", reply: () => does("change") },
    { to: "put back", reply: () => does("put back") },
    {
      to: "systemctl restart",
      reply: () => {
        if (name === lost) throw new BackupError("LOCK_LOST", "gone", { host: name });
        starts++;
        return does("restart");
      },
    },
    {
      to: "ExecMainStartTimestampMonotonic",
      reply: () => {
        const how = starts === 0 ? undefined : stays[starts - 1];
        const state = how === undefined || how === "same" ? "active" : "activating";
        const since = how === "same" ? starts - 1 : starts;
        return `ActiveState=${state}\nSubState=x\nExecMainStartTimestampMonotonic=${since}\nNRestarts=${how === "ends" ? 5 : 0}\n`;
      },
    },
    { to: "journalctl", reply: "fatal: bad s3cret\n" },
  ]);
}
