import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { BackupError } from "../../provider/errors";
import { snapshot as lifecycle, type SnapshotState } from "../../provider/lifecycle/snapshot";
import { parseLocation } from "../../provider/model";
import { type TakenSnapshot, takeSnapshot } from "../../provider/operations/take-snapshot";
import { closeConnections } from "../../provider/transport/connect";
import { readEquipment } from "../lab/equipment";
import type { Machine } from "../lab/machine";
import { run } from "../lab/process";
import { waitFor } from "../lab/wait";
import { type EtcdLab, startEtcdLab } from "../support/etcd-program";
import { listeningCall } from "../support/restore-oracles";

let etcdLab: EtcdLab;
const call = { ...listeningCall(), credentials: {} };

beforeAll(async () => {
  etcdLab = await startEtcdLab();
  const { etcd, lab } = etcdLab;
  await etcd.putKeys(lab.machine("s1"), Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`key/${i}`, "x"])));
}, 180_000);
afterAll(async () => {
  await closeConnections();
  await etcdLab.lab.down();
});

test("its outputs are what etcd's own status and sha256sum say", async () => {
  const { cluster, s3Settings, s3 } = etcdLab;
  const taken = await takeSnapshot(cluster, { name: "told", s3: s3Settings }, call);
  expect(taken.locations).toHaveLength(2);
  const copies = [join(s3.dir, "etcd-backups", "demo", taken.fileName), fileOf(taken)];
  for (const copy of copies) {
    const tool = join(readEquipment().etcd["3.6"], "etcdutl");
    const status = JSON.parse(await run(tool, ["snapshot", "status", copy, "--write-out=json"])) as object;
    expect(status).toMatchObject({ revision: taken.revision, totalKey: taken.totalKeys });
    expect(taken.totalKeys).toBeGreaterThanOrEqual(150);
    expect(statSync(copy).size).toBe(taken.sizeBytes);
    expect(createHash("sha256").update(readFileSync(copy)).digest("hex")).toBe(taken.sha256);
  }
  expect(statSync(copies[1] ?? "").mode & 0o777).toBe(0o600);
});

test("it is taken of a follower, and not of a learner", async () => {
  const { cluster, etcd, lab } = etcdLab;
  const leader = await leaderOf(etcdLab);
  const taken = await takeSnapshot(cluster, { name: "of-a-follower" }, call);
  expect(taken.server).not.toBe(leader.name);

  // The first of the followers is the one that would be taken, were it not a learner.
  const followers = lab.machines.filter(({ name }) => name !== leader.name);
  const [learner, voter] = followers;
  if (learner === undefined || voter === undefined) throw new Error("three machines are needed");
  await becomeLearner(learner, leader);
  const other = await takeSnapshot(cluster, { name: "not-of-a-learner" }, call);
  expect(other.server).toBe(voter.name);
  const few = { ...cluster, servers: cluster.servers.filter(({ name }) => name !== voter.name) };
  await expect(takeSnapshot(few, { name: "leader-or-learner" }, call)).resolves.toMatchObject({ server: leader.name });
  await promote(learner, leader);
  await etcd.healthy();
});

test("two at once in one update wait for each other", async () => {
  const { cluster } = etcdLab;
  const began = Date.now();
  const both = await Promise.all(["one", "other"].map((name) => takeSnapshot(cluster, { name }, call)));
  // Whichever looked first: the second began to write only after the first was done.
  const [first, second] = both.map((taken) => statSync(fileOf(taken))).sort((a, b) => a.birthtimeMs - b.birthtimeMs);
  expect(second?.birthtimeMs).toBeGreaterThan(first?.ctimeMs ?? Infinity);
  expect(first?.ctimeMs).toBeGreaterThan(began);
});

test("one that is taken by another operator at the moment is named", async () => {
  const { cluster, lab } = etcdLab;
  const s2 = lab.machine("s2");
  await s2.exec(`d=/var/lib/etcd-backup/demo; now=$(date +%s)
printf '%s\\n' some-token $((now + 60)) $now 'ops@bastion 4711 -' 'snapshot nightly' >$d/lease`);
  const refused = takeSnapshot(cluster, { name: "too-early" }, call);
  await expect(refused).rejects.toMatchObject({ code: "LOCKED", host: "s2" });
  await expect(refused).rejects.toThrow(/ops@bastion.*snapshot nightly, since 20/);
  await s2.exec("rm /var/lib/etcd-backup/demo/lease");
  // What was taken on s1 before s2 refused was given back.
  await expect(takeSnapshot(cluster, { name: "in-time" }, call)).resolves.toMatchObject({
    sizeBytes: expect.any(Number) as number,
  });
});

test("one that cannot be uploaded fails, and says where it is all the same", async () => {
  const { cluster, s3Settings } = etcdLab;
  const nowhere = { ...s3Settings, bucket: "no-such-bucket" };
  const failed = await refusalOf(takeSnapshot(cluster, { name: "homeless", s3: nowhere }, call));
  expect(failed.code).toBe("BUCKET_NOT_FOUND");
  const [, server = "", path = ""] = /file:\/\/(s\d)(\/\S+\.db)/.exec(failed.message) ?? [];
  expect(statSync(etcdLab.lab.machine(server).root + path).size % 512).toBe(32);
});

describe("as a resource", () => {
  const taken = async (name: string, deletionPolicy: "retain" | "delete"): Promise<SnapshotState> => {
    const { cluster, s3Settings } = etcdLab;
    const inputs = { cluster, name, s3: s3Settings, triggers: [], deletionPolicy };
    return (await lifecycle.reconcile(inputs, undefined, call)).state;
  };

  test("destroying it keeps every file by default", async () => {
    const state = await taken("kept", "retain");
    const before = filesThere();
    await lifecycle.delete(state, call);
    expect(filesThere()).toEqual(before);
  });

  test("destroying one whose policy is delete deletes exactly its own files", async () => {
    const state = await taken("ours", "delete");
    const before = filesThere();
    await lifecycle.delete(state, call);
    const [local, remote] = [fileOf(state), join("demo", state.fileName)];
    expect(before).toEqual(expect.arrayContaining([local, remote]));
    expect(filesThere()).toEqual(before.filter((file) => file !== local && file !== remote));
    // Gone already: the same.
    await lifecycle.delete(state, call);
  });

  test("when its file was deleted by hand, it says so and takes no other; a trigger does", async () => {
    const { s3 } = etcdLab;
    const state = await taken("lost", "retain");
    rmSync(join(s3.dir, "etcd-backups", "demo", state.fileName));
    await expect(lifecycle.read(state, call)).resolves.toMatchObject({ exists: true });
    rmSync(fileOf(state));
    const before = filesThere();
    const read = await lifecycle.read(state, call);
    expect(read).toMatchObject({ exists: false, location: state.location });
    expect(call.warnings.at(-1)).toContain(`${state.location} is gone`);
    expect(filesThere()).toEqual(before);
    const inputs = { cluster: state.cluster, name: state.name, triggers: [], deletionPolicy: state.deletionPolicy };
    const s3Inputs = state.s3 === undefined ? inputs : { ...inputs, s3: state.s3 };
    expect(lifecycle.diff(read ?? state, s3Inputs)).toMatchObject({ changes: false, replaces: [] });
    expect(lifecycle.diff(read ?? state, { ...s3Inputs, triggers: ["1.36"] }).replaces).toEqual(["triggers"]);
  });
});

test("an alarm for want of space does not keep it from being taken", async () => {
  const { cluster, etcd, lab } = etcdLab;
  const s1 = lab.machine("s1");
  const quota = "[Service]\nEnvironment=ETCD_QUOTA_BACKEND_BYTES=200000\n";
  for (const machine of lab.machines) {
    await machine.exec(
      "mkdir -p /etc/systemd/system/etcd.service.d; cat >/etc/systemd/system/etcd.service.d/quota.conf",
      {
        stdin: quota,
      },
    );
    // Killed, because in order it would take its time to hand the lead over; systemd starts it again.
    await machine.exec("systemctl daemon-reload && systemctl kill --signal=KILL etcd.service");
  }
  await etcd.healthy();
  const fill = etcd.etcdctl(s1, ["put", "filler"], { stdin: "x".repeat(400_000) });
  await expect(fill.then(() => etcd.putKeys(s1, { "one/more": "x" }))).rejects.toThrow("database space exceeded");
  expect(await etcd.etcdctl(s1, ["alarm", "list"])).toContain("NOSPACE");
  const taken = await takeSnapshot(cluster, { name: "without-space" }, call);
  const tool = join(readEquipment().etcd["3.6"], "etcdutl");
  const status = JSON.parse(await run(tool, ["snapshot", "status", fileOf(taken), "--write-out=json"])) as object;
  expect(status).toMatchObject({ revision: taken.revision, totalKey: taken.totalKeys });
});

test("no member that can be saved: refused, with the command that shows why", async () => {
  const { cluster, lab } = etcdLab;
  await Promise.all(
    lab.machines.map((machine) =>
      machine.exec("systemctl kill --signal=KILL etcd.service; systemctl stop etcd.service"),
    ),
  );
  const refused = await refusalOf(takeSnapshot(cluster, { name: "of-nothing" }, call));
  expect(refused).toMatchObject({ code: "CLUSTER_UNHEALTHY" });
  expect(refused.hint).toContain("etcdctl endpoint status");
});

async function refusalOf(work: Promise<unknown>): Promise<BackupError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof BackupError) return error;
  throw new Error("it was not refused", { cause: error });
}

/** The copy on its server, as seen from here. */
function fileOf(taken: TakenSnapshot): string {
  for (const location of taken.locations.map(parseLocation)) {
    if (location?.kind === "file") return etcdLab.lab.machine(location.server).root + location.path;
  }
  throw new Error(`${taken.fileName} is on no server`);
}

/** Every snapshot, on all servers and in S3. */
function filesThere(): readonly string[] {
  const { lab, s3 } = etcdLab;
  const folders = lab.machines.map(({ root }) => join(root, "var/lib/etcd-backup/demo/snapshots"));
  const local = folders.flatMap((folder) =>
    existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [],
  );
  return [...local, ...readdirSync(join(s3.dir, "etcd-backups", "demo")).map((name) => join("demo", name))].sort();
}

async function leaderOf({ etcd, lab }: EtcdLab): Promise<Machine> {
  for (const machine of lab.machines) {
    const [answer] = JSON.parse(await etcd.etcdctl(machine, ["endpoint", "status", "--write-out=json"])) as [
      { readonly Status: { readonly leader: number; readonly header: { readonly member_id: number } } },
    ];
    if (answer.Status.leader === answer.Status.header.member_id) return machine;
  }
  throw new Error("there is no leader");
}

/** Takes a member out and brings it back as a learner. */
async function becomeLearner(machine: Machine, leader: Machine): Promise<void> {
  const { etcd } = etcdLab;
  const id = await idOf(machine, leader);
  // etcd takes nobody out before all have been connected for five seconds.
  await waitFor("the member is out", () => etcd.etcdctl(leader, ["member", "remove", id]), {
    deadlineMs: 20_000,
    everyMs: 500,
  });
  await machine.exec("systemctl stop etcd.service; rm -rf /var/lib/etcd/*");
  await etcd.etcdctl(leader, [
    "member",
    "add",
    machine.name,
    "--learner",
    `--peer-urls=https://${machine.address}:2380`,
  ]);
  await machine.exec(
    "sed -i 's/--initial-cluster-state new/--initial-cluster-state existing/' /etc/systemd/system/etcd.service; systemctl daemon-reload; systemctl start etcd.service",
  );
}

async function promote(machine: Machine, leader: Machine): Promise<void> {
  const id = await idOf(machine, leader);
  await waitFor("the learner votes", () => etcdLab.etcd.etcdctl(leader, ["member", "promote", id]), {
    deadlineMs: 20_000,
  });
}

async function idOf(machine: Machine, asked: Machine): Promise<string> {
  const listed = await etcdLab.etcd.etcdctl(asked, ["member", "list"]);
  const [, id] = new RegExp(`^([0-9a-f]+), .*${machine.address}:2380`, "m").exec(listed) ?? [];
  if (id === undefined) throw new Error(`${machine.name} is no member`);
  return id;
}
