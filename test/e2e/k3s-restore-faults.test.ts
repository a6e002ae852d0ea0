import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { hashToken } from "../../provider/distributions/embedded-etcd/token";
import { type RestoreReport, type RestoreRequest, restoreSnapshot } from "../../provider/operations/restore";
import { closeConnections } from "../../provider/transport/connect";
import { k3sNames } from "../lab/k3s-files";
import type { Machine } from "../lab/machine";
import { waitFor } from "../lab/wait";
import { type K3sLab, labelOf, startK3sLab } from "../support/k3s-program";
import {
  asItWas,
  type Canary,
  leftovers,
  localSnapshots,
  proveK3sRestored,
  proveWritable,
  saveByItself,
  usersFiles,
  writeAfter,
  writeCanary,
} from "../support/k3s-restore-oracles";
import { listeningCall } from "../support/restore-oracles";
import { journalEnd, journalHas, restoreInProcess } from "../support/restore-process";

// `npm run test:faults -- --all` runs them all, on both distributions.
const all = process.env["FAULTS"] === "all";
const testOfAll: typeof test | undefined = all ? test : undefined;

describe.each(all ? (["k3s", "rke2"] as const) : (["k3s"] as const))("%s", (distribution) => {
  let lab: K3sLab;
  let canary: Canary;
  let snapshot: string;
  let kept: readonly (readonly string[])[];
  let own: readonly string[];
  let attempts = 0;
  const { unit } = k3sNames[distribution];
  const label = labelOf(distribution);

  beforeAll(async () => {
    lab = await startK3sLab({
      machines: ["s1", "s2", "s3", "x1"],
      k3s: { distribution, servers: ["s1", "s2", "s3"] },
    });
    canary = await writeCanary(lab.k3s, "kept");
    snapshot = `file://s2${await saveByItself(lab.k3s, machine("s2"), "good")}`;
    await saveByItself(lab.k3s, machine("s3"), "other");
    kept = await everywhere((server) => localSnapshots(lab.k3s, server));
    own = await everywhere((server) => usersFiles(lab.k3s, server));
  }, 180_000);
  beforeEach(async () => {
    attempts += 1;
    await lab.k3s.healthy();
    // Again after each restore: what has to be gone, or, where the restore fails, what has to be there still.
    await writeAfter(lab.k3s, canary.name);
  });
  afterEach(async () => {
    for (const server of lab.k3s.servers) await server.exec("rm -rf /run/stand-in-faults");
    await closeConnections();
  });
  afterAll(async () => {
    await closeConnections();
    await lab.lab.down();
  });

  /** Faults of the reset: all before the point of no return. */
  interface Abandoned {
    readonly title: string;
    readonly fault: readonly [name: string, parameter?: string];
    readonly seconds?: number;
    readonly says: RegExp;
    readonly inCi?: true;
  }
  const abandoned: readonly Abandoned[] = [
    {
      ...{ title: "fails when it has written over everything", fault: ["reset-fails", "the disk is on fire"] },
      ...{ says: /failed at s1:reset: .*exit 1\n.*the disk is on fire/s, inCi: true },
    },
    {
      title: "says that it is done, and exits 1",
      fault: [
        "reset-fails",
        "Managed etcd cluster membership has been reset, restart without --cluster-reset flag now",
      ],
      says: /failed at s1:reset: .*exit 1\n/s,
    },
    {
      ...{ title: "exits 0 without the words of success", fault: ["reset-exits-early"] },
      says: /failed at s1:reset: .*did not say that it was done/s,
    },
    {
      ...{ title: "never ends, although it says that it is up", fault: ["reset-never-ends"], seconds: 40 },
      ...{ says: /failed at s1:reset: .*did not end before its deadline/s, inCi: true },
    },
  ];
  test.each(abandoned.filter(({ inCi }) => all || inCi === true))(
    `${label}: the reset $title: every server as it was, with the newest data`,
    async ({ fault: [name, parameter = ""], seconds, says }) => {
      await fault("s1", name, parameter);
      const before = await everywhere((server) => asItWas(lab.k3s, server));
      const deadline = seconds === undefined ? {} : { deadline: Date.now() + seconds * 1000 };
      const failed = restore({ deadline });
      await expect(failed).rejects.toMatchObject({ code: "RESTORE_ABANDONED" });
      await expect(failed).rejects.toThrow(says);
      await expect(failed).rejects.toThrow("put back as it was");
      await expectAsItWas(before);
    },
  );

  test(`${label}: another token than the snapshot's, found out by the reset alone: what it wrote over is put back`, async () => {
    const x1 = machine("x1");
    const strange = await lab.lab.startK3s({ distribution, servers: ["x1"] });
    // Else it would be refused before anything is touched: this looks as if the token were the right one.
    await strange.putKeys(x1, { [`/not/bootstrap/${hashToken(lab.k3s.token)}`]: "x" });
    const path = await saveByItself(strange, x1, "strange");
    copyFileSync(join(x1.root, path), join(machine("s1").root, "srv/strange"));
    const before = await everywhere((server) => asItWas(lab.k3s, server));
    const failed = restoreSnapshot(
      lab.cluster,
      { ...requestOf("strange"), snapshot: "file://s1/srv/strange" },
      listeningCall(),
    );
    await expect(failed).rejects.toMatchObject({ code: "RESTORE_ABANDONED", cause: { code: "TOKEN_MISMATCH" } });
    await expect(failed).rejects.toThrow(/failed at s1:reset: .*different token/s);
    await expectAsItWas(before);
  });

  testOfAll?.(
    `${label}: the restored server does not start at all: nothing can have been written, so every server is put back`,
    async () => {
      const before = await everywhere((server) => asItWas(lab.k3s, server));
      await breakUnit("s1");
      const failed = restore({ deadline: { deadline: Date.now() + 30_000 } });
      await expect(failed).rejects.toMatchObject({ code: "RESTORE_ABANDONED" });
      await expect(failed).rejects.toThrow(/failed at cluster:serve/);
      await mendUnit("s1");
      await expectAsItWas(before);
    },
  );

  test(`${label}: a server does not join after the point of no return: reported with the next command, the next up finishes`, async () => {
    await fault("s3", "start-never-ends");
    const request = requestOf("waits for s3");
    const failed = restoreSnapshot(lab.cluster, request, { ...listeningCall(), deadline: Date.now() + 40_000 });
    await expect(failed).rejects.toMatchObject({ code: "RESTORE_INTERRUPTED" });
    await expect(failed).rejects.toThrow(/stopped at s3:api/);
    await expect(failed).rejects.toThrow("run `pulumi up` again");
    await mend("s3");
    await machine("s3").exec(`systemctl kill -s KILL ${unit}`);
    const call = listeningCall();
    await restoreSnapshot(lab.cluster, request, call);
    expect(call.infos.join("\n")).toContain("goes on");
    await expectRestored();
  });

  testOfAll?.(
    `${label}: another snapshot supersedes a restore that was interrupted; what both set aside is kept`,
    async () => {
      const b = await writeCanary(lab.k3s, `b${attempts}`);
      const other = `file://s1${await saveByItself(lab.k3s, machine("s1"), `b${attempts}`)}`;
      kept = await everywhere((server) => localSnapshots(lab.k3s, server));
      await writeAfter(lab.k3s, b.name);
      await fault("s3", "start-never-ends");
      const failed = restore({ deadline: { deadline: Date.now() + 40_000 } });
      await expect(failed).rejects.toMatchObject({ code: "RESTORE_INTERRUPTED" });
      await mend("s3");
      const report = await restoreSnapshot(lab.cluster, { ...requestOf("b"), snapshot: other }, listeningCall());
      await proveK3sRestored(lab.k3s, b);
      await expectKept();
      expect(report.restored.location).toBe(other);
    },
  );

  const killedAt = [
    "s1:stage",
    "s1:safety-snapshot",
    "s2:stop",
    "s3:set-aside",
    "s1:reset",
    "s1:start",
    "s2:rejoin",
    "s3:rejoin",
    "s1:stale-nodes",
  ];
  const inCi = ["s1:reset", "s2:rejoin"];
  const events = all ? ["begin", "done"] : ["begin"];
  test.each(
    killedAt
      .filter((step) => all || inCi.includes(step))
      .flatMap((step) => events.map((event) => [event, step] as const)),
  )(`${label}: killed at "%s %s": the next up puts back or goes on, and restores`, async (event, step) => {
    const [server = ""] = step.split(":");
    const since = journalEnd(machine(server));
    const request = requestOf(`killed at ${event} ${step}`);
    const killed = restoreInProcess(lab.cluster, request);
    await journalHas(machine(server), new RegExp(`^${event}\\t\\d+\\t${step}(\\t|$)`, "m"), since);
    await killed.kill();
    const call = listeningCall();
    await unlocked(() => restoreSnapshot(lab.cluster, request, call));
    expect(call.infos.join("\n")).toMatch(/was cut off; its servers are put back first|goes on/);
    await expectRestored();
  });

  testOfAll?.(
    `${label}: killed before the point of no return, and then asked for a snapshot that is not there: put back, nothing restored`,
    async () => {
      const before = await everywhere((server) => asItWas(lab.k3s, server));
      const since = journalEnd(machine("s1"));
      const killed = restoreInProcess(lab.cluster, requestOf("killed for good"));
      await journalHas(machine("s1"), /^begin\t\d+\ts1:reset/m, since);
      await killed.kill();
      const missing = { ...requestOf("missing"), snapshot: "file://s1/srv/not-there" };
      await expect(unlocked(() => restoreSnapshot(lab.cluster, missing, listeningCall()))).rejects.toMatchObject({
        code: "SNAPSHOT_NOT_FOUND",
      });
      await expectAsItWas(before);
    },
  );

  const lostAt = [
    ["s1", "s1:reset"],
    ["s2", "s2:set-aside"],
    ["s1", "s1:start"],
    ["s3", "s3:rejoin"],
    ["s1", "s2:rejoin"],
  ] as const;
  test.each(lostAt.filter(([, step]) => all || step === "s1:reset"))(
    `${label}: %s loses power at %s: the next up, when it is back, restores`,
    async (lost, step) => {
      const [server = ""] = step.split(":");
      const since = journalEnd(machine(server));
      const request = requestOf(`power lost on ${lost} at ${step}`);
      // What is gone does not come back by itself here: no use in trying for long.
      const impatient = { ...lab.cluster.connection, dialErrorLimit: 1, perDialTimeout: 3 };
      const running = restoreSnapshot({ ...lab.cluster, connection: impatient }, request, {
        ...listeningCall(),
        deadline: Date.now() + 60_000,
      });
      const failed = expect(running).rejects.toMatchObject({ code: expect.stringMatching(/RESTORE_|HOST_/) as string });
      await journalHas(machine(server), new RegExp(`^begin\\t\\d+\\t${step}`, "m"), since);
      await machine(lost).powerLoss();
      await failed;
      await closeConnections();
      await machine(lost).boot();
      await unlocked(() => restoreSnapshot(lab.cluster, request, listeningCall()));
      await expectRestored();
    },
  );

  function machine(name: string): Machine {
    return lab.lab.machine(name);
  }

  function everywhere<T>(what: (server: Machine) => Promise<T>): Promise<T[]> {
    return Promise.all(lab.k3s.servers.map(what));
  }

  async function fault(server: string, name: string, parameter = ""): Promise<void> {
    const path = `/run/stand-in-faults/${name}`;
    await machine(server).exec(`mkdir -p /run/stand-in-faults && cat >${path}`, { stdin: parameter });
  }

  async function mend(server: string): Promise<void> {
    await machine(server).exec("rm -rf /run/stand-in-faults");
  }

  /** It does not start on restored data; on what was there before it starts as ever. */
  async function breakUnit(server: string): Promise<void> {
    const db = `${lab.k3s.dataDir}/server/db`;
    const count = (await machine(server).exec(`ls -d ${db}/etcd.before-* 2>/dev/null | wc -l`)).trim();
    const check = `/bin/sh -c 'test $$(ls -d ${db}/etcd.before-* 2>/dev/null | wc -l) -le ${count}'`;
    await machine(server).exec(
      `mkdir -p /etc/systemd/system/${unit}.d && cat >/etc/systemd/system/${unit}.d/broken.conf && systemctl daemon-reload`,
      { stdin: `[Service]\nExecStartPre=${check}\n` },
    );
  }

  async function mendUnit(server: string): Promise<void> {
    await machine(server).exec(`rm -r /etc/systemd/system/${unit}.d && systemctl daemon-reload`);
  }

  function requestOf(trigger: string): RestoreRequest {
    return { snapshot, triggers: [attempts, trigger], safetySnapshot: true, bumpRevision: false };
  }

  function restore({ deadline = {} }: { deadline?: { deadline?: number } }): Promise<RestoreReport> {
    return restoreSnapshot(lab.cluster, requestOf("fails"), { ...listeningCall(), ...deadline });
  }

  /** What a killed process has begun on a server goes on there for a while: until it ends, nobody takes over. */
  async function unlocked<T>(work: () => Promise<T>): Promise<T> {
    return await waitFor(
      "the lock of the dead process is free",
      async () => {
        try {
          return { result: await work() };
        } catch (error) {
          if (error instanceof Error && "code" in error && error.code === "LOCKED") return undefined;
          return { error: error as Error };
        }
      },
      { deadlineMs: 120_000, everyMs: 500 },
    ).then((ended) => {
      if (ended.error !== undefined) throw ended.error;
      return ended.result;
    });
  }

  async function expectAsItWas(before: readonly string[]): Promise<void> {
    await lab.k3s.healthy();
    expect(await everywhere((server) => asItWas(lab.k3s, server))).toEqual(before);
    for (const server of lab.k3s.servers) {
      expect(await lab.k3s.keys(server, "after/kept")).toEqual(["after/kept"]);
    }
    await proveWritable(lab.k3s);
    await expectKept();
  }

  async function expectRestored(): Promise<void> {
    await proveK3sRestored(lab.k3s, canary);
    await expectKept();
  }

  /** What neither a restore nor a failed one may take away, and what none may leave. */
  async function expectKept(): Promise<void> {
    for (const [index, server] of lab.k3s.servers.entries()) {
      expect([server.name, await usersFiles(lab.k3s, server)]).toEqual([server.name, own[index]]);
      const snapshots = await localSnapshots(lab.k3s, server);
      expect([server.name, snapshots]).toEqual([server.name, expect.arrayContaining([...(kept[index] ?? [])])]);
      expect([server.name, await leftovers(lab.k3s, server)]).toEqual([server.name, []]);
    }
  }
});
