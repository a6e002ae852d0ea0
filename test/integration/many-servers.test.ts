import { readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { BackupSettings } from "../../provider/model";
import { silent } from "../../provider/operations/call";
import { configureBackups, readBackups } from "../../provider/operations/configure-backups";
import { closeConnections, connectionCounts } from "../../provider/transport/connect";
import { etcdFleet, type Fleet, type FleetServer, k3sFleet, startFleet, writes } from "../support/fleet";

const call = { progress: silent };
/** Restarts take turns and need etcd itself: they are tested where there is one. */
const settings: BackupSettings = {
  ...{ schedule: "0 */6 * * *", retention: 5, snapshotName: "etcd-snapshot", enabled: true, restart: "none" },
};
const atOnce = 16;

describe.each([
  ["etcd", 10, etcdFleet],
  ["etcd", 50, etcdFleet],
  ["k3s", 10, k3sFleet],
  ["k3s", 50, k3sFleet],
] as const)("%s on %i servers", (distribution, size, kind) => {
  let fleet: Fleet;
  let before: ReturnType<typeof connectionCounts>;
  beforeAll(async () => {
    fleet = await startFleet(kind, size);
  });
  beforeEach(async () => {
    await closeConnections();
    before = connectionCounts();
    for (const server of fleet.servers) server.scripts.length = 0;
    for (const gauge of [fleet.logins, fleet.running]) gauge.reset();
  });
  afterAll(async () => {
    await closeConnections();
    await fleet.stop();
  });

  const lost = (): FleetServer => fleet.servers[6] ?? fail();
  const others = (): readonly FleetServer[] => fleet.servers.filter((server) => server !== lost());
  const refused = async (cluster = fleet.cluster): Promise<Error & { code: string; hint?: string }> =>
    configureBackups(cluster, settings, call).then(
      () => fail("was not refused"),
      (error: Error & { code: string }) => error,
    );

  test("a server that cannot be reached: named, and no other server was changed", async () => {
    const { cluster } = fleet;
    const servers = cluster.servers.map((server) =>
      server.name === lost().name ? { ...server, connection: { ...server.connection, port: 1 } } : server,
    );
    const error = await refused({ ...cluster, servers });
    expect(error.code).toBe("HOST_UNREACHABLE");
    expect(error.message).toMatch(/^s07: no connection to 127\.0\.0\.1:1 /);
    expect(error.hint).toContain("Nothing was changed on any server.");
    for (const { machine } of others()) expect(ours(machine.files("etc"))).toEqual([]);
    for (const { machine } of others()) expect(machine.files("lib")).toEqual([]);
  });

  test("a server that loses power while it is written to: what is done and what is not is listed, nothing is half there", async () => {
    lost().losesPower = true;
    const error = await refused();
    expect(error.code).toBe("HOST_UNREACHABLE");
    expect(error.message).toMatch(/^s07: the connection broke while this ran: configure the scheduled \w+/);
    expect(error.hint).toContain(
      `Not done on s07; done on ${others()
        .map(({ name }) => name)
        .join(", ")}.`,
    );
    const [whole = fail()] = others();
    for (const server of others()) expect(contents(server)).toEqual(contents(whole));
    expect(ours(whole.machine.files("etc")).length).toBe(distribution === "k3s" ? 1 : 4);
    // What was being written has no name that anything reads.
    const left = ours(lost().machine.files("etc"));
    expect(left).toEqual([expect.stringMatching(unfinished)]);
    for (const path of left) expect(statSync(join(lost().machine.root, path)).mode & 0o077).toBe(0);
    for (const { machine } of others())
      expect(machine.files("lib").filter((path) => path.endsWith("lease"))).toEqual([]);
  });

  test("the next run writes on the one that is missing alone", async () => {
    await lost().reboot();
    // Its lease has run out meanwhile.
    rmSync(join(lost().machine.root, "lib/etcd-backup/demo/lease"));
    const written = others().map(times);
    await configureBackups(fleet.cluster, settings, call);
    expect(others().map(times)).toEqual(written);
    expect(contents(lost())).toEqual(contents(others()[0] ?? fail()));
    expect(fleet.servers.filter(({ scripts }) => scripts.some(writes))).toEqual([lost()]);
    expectBounded();
  });

  test("a look that changes nothing takes at most two round trips for each server, so many at a time", async () => {
    for (const look of [readBackups, configureBackups]) {
      before = connectionCounts();
      const { servers } = await look(fleet.cluster, settings, call);
      expect(servers.map(({ server, drift }) => [server, drift])).toEqual(fleet.servers.map(({ name }) => [name, []]));
      for (const { name } of fleet.servers) {
        const [was, is] = [before.get(name), connectionCounts().get(name)];
        expect((is?.commands ?? 0) - (was?.commands ?? 0)).toBe(distribution === "k3s" ? 2 : 1);
        expect(is?.tunnels ?? 0).toBe(0);
      }
    }
    expect(fleet.servers.flatMap(({ scripts }) => scripts.filter(writes))).toEqual([]);
    expectBounded();
  });

  function expectBounded(): void {
    for (const gauge of [fleet.logins, fleet.running]) {
      expect(gauge.most).toBeGreaterThan(1);
      expect(gauge.most).toBeLessThanOrEqual(atOnce);
    }
  }
});

/** The name of a file that is not written yet. */
const unfinished = /\.\w{6}$/;

/** Files of ours, the halves too; not the lock's. */
function ours(paths: readonly string[]): readonly string[] {
  return paths.filter((path) => path.includes("etcd-backup")).sort();
}

/** What a server has been given, with its name left out. */
function contents({ name, machine }: FleetServer): Readonly<Record<string, string>> {
  const read = (path: string): string => readFileSync(join(machine.root, path), "utf8").replaceAll(name, "NAME");
  const whole = ours(machine.files("etc")).filter((path) => !unfinished.test(path));
  return Object.fromEntries(whole.map((path) => [path, read(path)]));
}

function times({ machine }: FleetServer): readonly string[] {
  return ours(machine.files("etc")).map((path) => {
    const { ino, mtimeMs } = statSync(join(machine.root, path));
    return `${path} ${ino} ${mtimeMs}`;
  });
}

function fail(what = "there is none"): never {
  throw new Error(what);
}
