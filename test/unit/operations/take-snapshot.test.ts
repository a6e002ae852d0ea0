import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BackupError } from "../../../provider/errors";
import type { Cluster } from "../../../provider/model";
import { silent } from "../../../provider/operations/call";
import {
  deleteSnapshot,
  snapshotExists,
  type TakenSnapshot,
  takeSnapshot,
} from "../../../provider/operations/take-snapshot";
import * as opening from "../../../provider/stores/open-store";
import type { SnapshotStore } from "../../../provider/stores/store";
import * as connecting from "../../../provider/transport/connect";
import * as etcd from "../../../provider/transport/etcd";
import { type ScriptHost, scriptHost } from "../../support/script-host";
import { snapshotBytes } from "../../support/snapshot-bytes";

jest.mock("../../../provider/transport/etcd");
jest.mock("../../../provider/stores/open-store");
jest.mock("../../../provider/transport/connect", () => ({
  ...jest.requireActual<typeof connecting>("../../../provider/transport/connect"),
  connect: jest.fn(),
}));
const { connect } = jest.mocked(connecting);
const { openEtcd } = jest.mocked(etcd);
const { openStore } = jest.mocked(opening);

const cluster: Cluster = { distribution: "etcd", name: "prod", servers: ["s1", "s2", "s3"].map((name) => ({ name })) };
const call = { progress: silent };
const recorded = readFileSync(join(__dirname, "../../fixtures/etcd/flags-running.txt"), "utf8");

let hosts: ReadonlyMap<string, ScriptHost>;
beforeEach(() => {
  jest.resetAllMocks();
  hosts = new Map(cluster.servers.map(({ name }) => [name, scriptHost(name)]));
  for (const host of hosts.values()) {
    writeFileSync(join(host.root, "snapshot"), snapshotBytes(4, host.name));
    host.stub("etcdctl", `for last; do :; done; cp "$ROOT/snapshot" "$last"`);
    host.stub("etcdutl", `echo '{"revision":77,"totalKey":12}'`);
  }
  reachable("s1", "s2", "s3");
});
afterEach(() => {
  for (const host of hosts.values()) host.remove();
});

test("a follower is saved, and the lock is free again", async () => {
  members({ s1: "leader", s2: "follower", s3: "silent" });
  const taken = await takeSnapshot(cluster, { name: "before" }, call);
  expect(taken).toMatchObject({ server: "s2", revision: 77, totalKeys: 12, sizeBytes: 2080, etcdVersion: "3.6.16" });
  expect(taken.location).toMatch(/^file:\/\/s2\/var\/lib\/etcd-backup\/prod\/snapshots\/before-s2-\d+\.db$/);
  expect(taken.locations).toEqual([taken.location]);
  expect([...hosts.values()].map(({ root }) => existsSync(join(root, "state/prod/lease")))).toEqual([
    false,
    false,
    false,
  ]);
});

test.each([
  ["the leader where there is no follower", { s1: "leader", s2: "silent", s3: "silent" }, "s1"],
  ["never a learner", { s1: "learner", s2: "leader", s3: "silent" }, "s2"],
  ["never one that knows no leader", { s1: "lost", s2: "leader", s3: "lost" }, "s2"],
] as const)("%s", async (_, said, server) => {
  members(said);
  expect((await takeSnapshot(cluster, { name: "before" }, call)).server).toBe(server);
});

test("servers that cannot be reached are no obstacle as long as one can", async () => {
  reachable("s3");
  members({ s3: "follower" });
  expect((await takeSnapshot(cluster, { name: "before" }, call)).server).toBe("s3");
});

test("when none can be reached, each is named", async () => {
  reachable();
  await expect(takeSnapshot(cluster, { name: "before" }, call)).rejects.toMatchObject({
    ...{ code: "HOST_UNREACHABLE", message: expect.stringMatching(/s1: gone\ns2: gone\ns3: gone/) as string },
  });
});

test("without a voter that knows a leader there is nothing to save, and the lock is free again", async () => {
  members({ s1: "learner", s2: "lost", s3: "silent" });
  await expect(takeSnapshot(cluster, { name: "before" }, call)).rejects.toMatchObject({ code: "CLUSTER_UNHEALTHY" });
  expect(existsSync(join(root("s1"), "state/prod/lease"))).toBe(false);
});

test.each(["safety-x", "safety", "etcd-snapshot", "etcd-snapshot-mine"])(
  "the name %s is not for snapshots of users",
  async (name) => {
    members({ s1: "follower" });
    await expect(takeSnapshot(cluster, { name }, call)).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(existsSync(join(root("s1"), "state/prod/snapshots"))).toBe(false);
  },
);

describe("with S3", () => {
  const s3 = { bucket: "b" };

  test("the object comes first, the file stays", async () => {
    members({ s1: "follower" });
    stores({ stat: () => Promise.resolve(undefined), put: (_, __, name) => Promise.resolve(object(name)) });
    const taken = await takeSnapshot(cluster, { name: "before", s3 }, call);
    expect(taken.locations).toEqual([`s3://b/prod/${taken.fileName}`, expect.stringMatching(/^file:\/\/s1\//)]);
    expect(taken.location).toBe(taken.locations[0]);
  });

  test("what could not be sent is not lost: the error keeps its code and says where it is", async () => {
    members({ s1: "follower" });
    const denied = new BackupError("STORE_DENIED", "s3:PutObject is denied", { hint: "Grant it." });
    stores({ stat: () => Promise.resolve(undefined), put: () => Promise.reject(denied) });
    await expect(takeSnapshot(cluster, { name: "before", s3 }, call)).rejects.toMatchObject({
      ...{
        code: "STORE_DENIED",
        message: expect.stringMatching(
          /^s3:PutObject is denied\nThe snapshot itself was saved: file:\/\/s1\/.*\nGrant it\.$/,
        ) as string,
      },
    });
    expect(readdirSync(join(root("s1"), "state/prod/snapshots"))).toHaveLength(1);
  });

  test("one that is there already is not sent again", async () => {
    members({ s1: "follower" });
    stores({ stat: (name) => Promise.resolve(object(name)) });
    expect((await takeSnapshot(cluster, { name: "before", s3 }, call)).location).toMatch(/^s3:/);
  });
});

describe("afterwards", () => {
  const take = (): Promise<TakenSnapshot> => {
    members({ s1: "follower" });
    return takeSnapshot(cluster, { name: "before" }, call);
  };

  test("it exists until its file is gone; deleting it twice is no failure, and nothing else is deleted", async () => {
    const taken = await take();
    const folder = join(root("s1"), "state/prod/snapshots");
    writeFileSync(join(folder, "other.db"), "");
    expect(await snapshotExists(cluster, taken, undefined, call)).toBe(true);
    for (let i = 0; i < 2; i++) await deleteSnapshot(cluster, taken, undefined, call);
    expect(await snapshotExists(cluster, taken, undefined, call)).toBe(false);
    expect(readdirSync(folder)).toEqual(["other.db"]);
  });

  test("whether it exists cannot be told while its server is away", async () => {
    const taken = await take();
    reachable("s2");
    await expect(snapshotExists(cluster, taken, undefined, call)).rejects.toMatchObject({ code: "HOST_UNREACHABLE" });
  });
});

/** The look at a server is a recorded one; everything else is done for real, in its folder. */
function reachable(...names: readonly string[]): void {
  connect.mockImplementation((name) => {
    const host = hosts.get(name);
    if (host === undefined || !names.includes(name))
      return Promise.reject(new BackupError("HOST_UNREACHABLE", "gone", { host: name }));
    const look = (text: string): string =>
      recorded
        .replaceAll("=MARK", /^mark=(\S+)/.exec(text)?.[1] ?? "")
        .replaceAll("/usr/local/bin/", `${host.root}/bin/`);
    const query: connecting.ConnectedHost["query"] = (command, options) => {
      if (command.text.startsWith("mark=")) return Promise.resolve({ stdout: look(command.text), stderr: "" });
      // Nobody dials etcd here, so its certificates need not be there.
      if (command.text.includes("=certificate")) return Promise.resolve({ stdout: "", stderr: "" });
      return host.query(command, options);
    };
    return Promise.resolve({ ...host, query } as unknown as connecting.ConnectedHost);
  });
}

type Role = "leader" | "follower" | "learner" | "lost" | "silent";

function members(said: Readonly<Record<string, Role>>): void {
  openEtcd.mockImplementation((host) => {
    const role = said[host.name] ?? "silent";
    if (role === "silent") return Promise.reject(new Error("no answer"));
    const status = {
      memberId: role === "leader" ? "1" : "2",
      leaderId: role === "lost" ? "0" : "1",
      isLearner: role === "learner",
    };
    return Promise.resolve({
      ...{ status: () => Promise.resolve(status), close: () => Promise.resolve() },
    } as unknown as etcd.EtcdMember);
  });
}

function stores(store: Partial<SnapshotStore>): void {
  openStore.mockReturnValue(store as SnapshotStore);
}

function object(name: string): Awaited<ReturnType<SnapshotStore["put"]>> {
  return { name, location: { kind: "s3", bucket: "b", key: `prod/${name}` }, sizeBytes: 2080, takenAt: "" };
}

function root(name: string): string {
  return hosts.get(name)?.root ?? "";
}
