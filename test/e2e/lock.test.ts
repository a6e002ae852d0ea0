import { type ChildProcessByStdio, spawn } from "node:child_process";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import type { Connection } from "../../provider/model";
import { type Lock, takeLock } from "../../provider/plan/lock";
import { closeConnections, connect } from "../../provider/transport/connect";
import type { Host } from "../../provider/transport/host";
import { sh } from "../../provider/transport/shell";
import { type Lab, startLab } from "../lab/lab";
import type { Machine } from "../lab/machine";
import type { LockOrder } from "../support/lock-holder";

let lab: Lab;
let hosts: ReadonlyMap<string, Host>;
const holders: Holder[] = [];

beforeAll(async () => {
  lab = await startLab({ machines: ["s1", "s2"] });
  const entries = ["s1", "s2"].map(async (name) => [name, await connect(name, connectionOf(name))] as const);
  hosts = new Map(await Promise.all(entries));
});

afterEach(async () => {
  for (const holder of holders.splice(0)) await holder.kill("SIGKILL");
  for (const machine of lab.machines) await machine.exec("rm -rf /var/lib/etcd-backup /root/changes");
});

afterAll(async () => {
  await closeConnections();
  await lab.down();
});

test("held by another process: refused at once, with holder, operation and since when", async () => {
  const other = await holding("restore latest");
  const began = Date.now();
  const since = await s1().exec("sed -n 3p /var/lib/etcd-backup/prod/lease");
  await expect(take("snapshot x")).rejects.toMatchObject({
    ...{ code: "LOCKED", host: "s1" },
    message: expect.stringContaining(
      `${userInfo().username}@${hostname()} (process ${other.pid}) is busy with it: restore latest, since ${new Date(Number(since) * 1000).toISOString()}`,
    ) as string,
  });
  expect(Date.now() - began).toBeLessThan(5000);
  expect(await other.tell("release")).toEqual({});
  await (await take("snapshot x")).release();
});

test("the lock of a process that was killed on this machine is taken over at once", async () => {
  const other = await holding("restore latest");
  await other.kill("SIGKILL");
  const lock = await take("snapshot x");
  await lock.release();
  expect(await leases("s1")).toBe("none");
});

test("the lock of a machine that cannot be asked is taken over when its lease is over, by the server's clock", async () => {
  const elsewhere = async (seconds: number): Promise<void> => {
    await s1().exec(
      `d=/var/lib/etcd-backup/prod; mkdir -p $d; printf '%s\\n' other "$(($(date +%s) + ${seconds}))" 1700000000 'ops@elsewhere 7 x' 'restore latest' >$d/lease`,
    );
  };
  await elsewhere(30);
  await expect(take("snapshot x")).rejects.toMatchObject({
    message: expect.stringContaining(
      "ops@elsewhere (process 7) is busy with it: restore latest, since 2023-11-14",
    ) as string,
  });
  await elsewhere(-1);
  await (await take("snapshot x")).release();
});

test("a holder that slept past its lease finds it taken, and changes nothing", async () => {
  const sleeper = await holding("restore latest");
  expect(await sleeper.tell("change")).toEqual({});
  sleeper.signal("SIGSTOP");
  // As if a minute had gone by.
  await s1().exec("cd /var/lib/etcd-backup/prod && sed -i 2s/.*/1/ lease");
  const lock = await take("snapshot x");
  const lease = await s1().exec("sed -n 1p /var/lib/etcd-backup/prod/lease");
  sleeper.signal("SIGCONT");
  expect(await sleeper.tell("change")).toMatchObject({ code: "LOCK_LOST" });
  expect(await s1().exec("cat /root/changes")).toBe("changed\n");
  // Nor does it take away what is not its own.
  expect(await sleeper.tell("release")).toEqual({});
  expect(await s1().exec("sed -n 1p /var/lib/etcd-backup/prod/lease")).toBe(lease);
  await lock.guard(one("s1")).run(sh`echo mine >>/root/changes`);
  await lock.release();
  expect(await leases("s1")).toBe("none");
});

test("a lapsed lease that nobody took is still its holder's", async () => {
  const sleeper = await holding("restore latest");
  await s1().exec("cd /var/lib/etcd-backup/prod && sed -i 2s/.*/1/ lease");
  expect(await sleeper.tell("change")).toEqual({});
  await expect(take("snapshot x")).rejects.toMatchObject({ code: "LOCKED" });
});

test("nobody takes over in the middle of a change, dead or late as its holder may be", async () => {
  const lock = await take("restore latest");
  const running = lock.guard(one("s1")).run(sh`touch /root/begun; until [ -e /root/changes ]; do sleep 0.1; done`);
  await one("s1").run(sh`until [ -e /root/begun ]; do sleep 0.1; done`);
  await s1().exec("cd /var/lib/etcd-backup/prod && sed -i 2s/.*/1/ lease");
  const other = asking("snapshot x");
  expect(await other.tell()).toMatchObject({
    code: "LOCKED",
    message: expect.stringContaining("still running") as string,
  });
  await s1().exec("touch /root/changes");
  await running;
  await lock.release();
});

test("within a process operations on one cluster wait for each other; those on others do not", async () => {
  const order: string[] = [];
  const first = await take("first");
  const second = take("second").then(async (lock) => {
    order.push("second");
    await lock.release();
  });
  const third = take("third").then(async (lock) => {
    order.push("third");
    await lock.release();
  });
  const elsewhere = await takeLock("stage", "other", only("s1"));
  order.push("elsewhere");
  await elsewhere.release();
  order.push("first");
  await first.release();
  await Promise.all([second, third]);
  expect(order).toEqual(["elsewhere", "first", "second", "third"]);
});

test("a refusal lets the next in the queue go on", async () => {
  const other = await holding("restore latest");
  await expect(take("a")).rejects.toMatchObject({ code: "LOCKED" });
  await other.tell("release");
  await (await take("b")).release();
});

test("two servers are taken in sorted order, all or none", async () => {
  const other = await holding("restore latest", ["s2"]);
  const taken: string[] = [];
  const watched = new Map(["s2", "s1"].map((name) => [name, watching(one(name), taken)]));
  await expect(takeLock("prod", "snapshot x", watched)).rejects.toMatchObject({ code: "LOCKED", host: "s2" });
  expect(taken.slice(0, 2)).toEqual(["s1", "s2"]);
  expect(await leases("s1")).toBe("none");
  await other.tell("release");
  await (await takeLock("prod", "snapshot x", watched)).release();
  expect([await leases("s1"), await leases("s2")]).toEqual(["none", "none"]);
});

test("lock and lease are root's alone", async () => {
  const lock = await take("snapshot x");
  expect(await s1().exec("cd /var/lib/etcd-backup && stat -c '%a %U' prod prod/*")).toBe(
    "700 root\n600 root\n600 root\n600 root\n",
  );
  await lock.release();
});

/** Another process, asked for the lock. */
interface Holder {
  readonly pid: number | undefined;
  /** Gives it an order, and what it said to that; without one, what it said to being started. */
  tell(order?: string): Promise<unknown>;
  signal(name: NodeJS.Signals): void;
  kill(name: NodeJS.Signals): Promise<void>;
}

async function holding(operation: string, servers: readonly string[] = ["s1"]): Promise<Holder> {
  const holder = asking(operation, servers);
  expect(await holder.tell()).toEqual({});
  return holder;
}

function asking(operation: string, servers: readonly string[] = ["s1"]): Holder {
  const connections = Object.fromEntries(servers.map((name) => [name, connectionOf(name)]));
  const order: LockOrder = { cluster: "prod", operation, hosts: connections };
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(
    process.execPath,
    ["--import", "tsx", join(__dirname, "../support/lock-holder.ts")],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  child.stdin.write(`${JSON.stringify(order)}\n`);
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const holder: Holder = {
    pid: child.pid,
    tell: async (word) => {
      if (word !== undefined) child.stdin.write(`${word}\n`);
      const line = await lines.next();
      return line.done === true ? "it has ended" : (JSON.parse(String(line.value)) as unknown);
    },
    signal: (name) => void child.kill(name),
    kill: async (name) => {
      child.kill(name);
      await ended;
    },
  };
  holders.push(holder);
  return holder;
}

function connectionOf(name: string): Connection {
  return { host: lab.machine(name).address, privateKey: lab.sshKey.privateKey, knownHosts: lab.knownHosts };
}

function s1(): Machine {
  return lab.machine("s1");
}

function one(name: string): Host {
  const host = hosts.get(name);
  if (host === undefined) throw new Error(`no host ${name}`);
  return host;
}

function only(name: string): ReadonlyMap<string, Host> {
  return new Map([[name, one(name)]]);
}

function take(operation: string): Promise<Lock> {
  return takeLock("prod", operation, only("s1"));
}

function leases(name: string): Promise<string> {
  return lab
    .machine(name)
    .exec("cat /var/lib/etcd-backup/prod/lease 2>/dev/null || echo none")
    .then((text) => text.trim());
}

function watching(host: Host, seen: string[]): Host {
  return {
    ...{ name: host.name, query: host.query.bind(host), readFile: host.readFile.bind(host) },
    ...{ readRange: host.readRange.bind(host), writeFile: host.writeFile.bind(host) },
    run: (command, options) => {
      seen.push(host.name);
      return host.run(command, options);
    },
  };
}
