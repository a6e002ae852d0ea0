import type { Cluster } from "../../provider/model";
import { previewRestore } from "../../provider/operations/preview-restore";
import { configureBackups } from "../../provider/operations/configure-backups";
import { type RestoreReport, type RestoreRequest, restoreSnapshot } from "../../provider/operations/restore";
import { closeConnections } from "../../provider/transport/connect";
import type { Machine } from "../lab/machine";
import { type EtcdLab, startEtcdLab } from "../support/etcd-program";
import {
  backUpNow,
  changingCommands,
  clusterId,
  listeningCall,
  listMembers,
  proveRestored,
  saveByEtcdctl,
  traces,
} from "../support/restore-oracles";

let etcdLab: EtcdLab;
let cluster: Cluster;
let servers: readonly Machine[];
const call = listeningCall();

/** Written before and after the snapshots A and B. */
const first = { canary: "canary/a", gone: "after/a" };
let snapshotA: string;
const snapshotB = "file://s3/srv/copies/b.db";
let reportA: RestoreReport;

beforeAll(async () => {
  etcdLab = await startEtcdLab({
    machines: ["s1", "s2", "s3", "api"],
    etcd: { members: ["s1", "s2", "s3"] },
  });
  const { lab, cluster: all } = etcdLab;
  servers = ["s1", "s2", "s3"].map((name) => lab.machine(name));
  // One API server beside a member, and one on a machine of its own.
  for (const name of ["s1", "api"]) await installApiServer(lab.machine(name));
  // systemd stops it together with etcd, and does not start it again.
  await lab
    .machine("s2")
    .exec(
      `cat >/etc/systemd/system/needs-etcd.service && systemctl daemon-reload && systemctl start needs-etcd.service`,
      { stdin: "[Unit]\nRequires=etcd.service\nAfter=etcd.service\n[Service]\nExecStart=/bin/sleep infinity\n" },
    );
  cluster = {
    ...all,
    servers: all.servers.filter(({ name }) => name !== "api"),
    apiServers: all.servers.filter(({ name }) => ["s1", "api"].includes(name)),
  };
  const { s3Settings } = etcdLab;
  await configureBackups(
    cluster,
    { schedule: "0 */6 * * *", retention: 5, snapshotName: "etcd-snapshot", enabled: true, s3: s3Settings },
    call,
  );
}, 180_000);
afterAll(async () => {
  await closeConnections();
  await etcdLab.lab.down();
});

test("a scheduled snapshot in S3 is restored on three members in place, and the backups go on", async () => {
  const { etcd, lab } = etcdLab;
  await etcd.putKeys(lab.machine("s1"), { [first.canary]: "x" });
  snapshotA = `s3://etcd-backups/demo/${await backUpNow(lab.machine("s2"), "demo")}`;
  await etcd.putKeys(lab.machine("s1"), { [first.gone]: "x" });
  const before = { id: await clusterId(etcd), members: await listMembers(etcd), traces: await all(traces) };

  const preview = await previewRestore(cluster, request(snapshotA), call);
  expect(preview).toMatchObject({ snapshot: snapshotA, refusals: [], done: false });
  expect(await all(traces)).toEqual(before.traces);

  reportA = await restoreSnapshot(cluster, request(snapshotA), call);
  await proveRestored(etcd, first);

  // A new cluster of the same members: no old member can find its way into it.
  expect(await clusterId(etcd)).not.toBe(before.id);
  const peers = (members: typeof before.members): unknown =>
    members.map(({ name, peerURLs }) => `${name} ${peerURLs.join()}`).sort();
  expect(peers(await listMembers(etcd))).toEqual(peers(before.members));
  expect(await revision()).toBeGreaterThan(1_000_000_000);
  expect(reportA.revisionAfter).toBeGreaterThan(1_000_000_000);

  expect(reportA.setAside).toHaveLength(3);
  for (const place of reportA.setAside) {
    const [server = "", path = ""] = place.split(":");
    const kept = await lab.machine(server).exec(`grep -rlF '${first.gone}' ${path} && stat -c '%U:%G %a' ${path}`);
    expect(kept).toContain("etcd:etcd 700");
  }
  expect(reportA.safetySnapshots).toHaveLength(3);
  for (const location of reportA.safetySnapshots) {
    const [, server = "", path = ""] = /^file:\/\/([^/]+)(\/.*)$/.exec(location) ?? [];
    const there = await lab.machine(server).exec(`stat -c %a ${path}; grep -cF '${first.gone}' ${path}`);
    expect(there).toMatch(/^600\n[1-9]/);
  }
  for (const server of servers) {
    // The restored data is etcd's own, and nothing of ours is in the way of its unit.
    const owned =
      await server.exec(`find /var/lib/etcd/member ! -user etcd -o ! -group etcd; stat -c %a /var/lib/etcd/member
ls -A /var/lib/etcd /etc/systemd/system/etcd.service.d 2>/dev/null; ls -A /var/lib/etcd-backup/demo
systemctl is-active etcd-backup-demo.timer`);
    expect(owned).toMatch(/^700\n/);
    expect(owned).toMatch(/active\n$/);
    expect(owned).not.toMatch(/zz-etcd-backup|\.restore-|restore-2/);
    await backUpNow(server, "demo");
  }
});

test("a unit that requires etcd's was stopped with it, and runs again", async () => {
  expect(await etcdLab.lab.machine("s2").exec("systemctl is-active needs-etcd.service")).toBe("active\n");
});

test("API servers, beside a member and on their own, are stopped before etcd and started after it", async () => {
  const { lab } = etcdLab;
  const when = async (
    machine: Machine,
    unit: string,
  ): Promise<{ readonly stopped: number; readonly started: number }> => {
    const shown = await machine.exec(
      `systemctl show ${unit} -p InactiveEnterTimestampMonotonic -p ExecMainStartTimestampMonotonic -p ActiveState`,
    );
    expect(shown).toContain("ActiveState=active");
    const number = (name: string): number => Number(new RegExp(`${name}=(\\d+)`).exec(shown)?.[1]);
    return { stopped: number("InactiveEnterTimestampMonotonic"), started: number("ExecMainStartTimestampMonotonic") };
  };
  const etcds = await Promise.all(servers.map((server) => when(server, "etcd.service")));
  const apis = await Promise.all(["s1", "api"].map((name) => when(lab.machine(name), "kube-apiserver.service")));
  // All machines share this one's monotonic clock.
  expect(Math.max(...apis.map(({ stopped }) => stopped))).toBeLessThan(
    Math.min(...etcds.map(({ stopped }) => stopped)),
  );
  expect(Math.min(...apis.map(({ started }) => started))).toBeGreaterThan(
    Math.max(...etcds.map(({ started }) => started)),
  );
});

test("the same restore again changes nothing on any server, also by another way in", async () => {
  const { lab } = etcdLab;
  await Promise.all(servers.map((server) => server.addOperator({ password: "sudo-pass-4711", sudo: "with password" })));
  await closeConnections();
  const before = await all(traces);
  const records = await Promise.all(lab.machines.map((machine) => machine.record()));
  const otherWay: Cluster = {
    ...cluster,
    connection: { ...cluster.connection, user: "operator", sudoPassword: "sudo-pass-4711" },
  };
  // The API server's machine does not know the operator; nobody has to ask it anything.
  const again = await restoreSnapshot(otherWay, request(snapshotA), call);
  const same = await restoreSnapshot(cluster, request(snapshotA), call);
  expect(again).toEqual(reportA);
  expect(same).toEqual(reportA);
  const executed = await Promise.all(records.map((record) => record.stop()));
  expect(executed.flatMap(changingCommands)).toEqual([]);
  // The tripwire was armed: it saw us look.
  expect(executed.slice(0, 3).every((record) => record.includes("systemctl"))).toBe(true);
  expect(await all(traces)).toEqual(before);
});

test("A, then B from a file on one server with a majority lost, then A again with all data lost: each restores", async () => {
  const { etcd, lab } = etcdLab;
  const second = { canary: "canary/b", gone: "after/b" };
  await etcd.putKeys(lab.machine("s1"), { [second.canary]: "x" });
  await saveByEtcdctl(etcd, lab.machine("s3"), "/srv/copies/b.db");
  await etcd.putKeys(lab.machine("s1"), { [second.gone]: "x" });

  for (const name of ["s2", "s3"]) await loseData(lab.machine(name));
  const restored = await restoreSnapshot(cluster, request(snapshotB), call);
  // The one that still has data was saved, although it had no quorum.
  expect(restored.safetySnapshots).toEqual([expect.stringMatching(/^file:\/\/s1\//)]);
  await proveRestored(etcd, second);
  expect(await etcd.keys(lab.machine("s1"), first.canary)).toEqual([first.canary]);

  for (const server of servers) await loseData(server);
  await lab.machine("s2").exec("rmdir /var/lib/etcd");
  const back = await restoreSnapshot(cluster, request(snapshotA), call);
  expect(back.restoredAt > restored.restoredAt).toBe(true);
  expect(back.safetySnapshots).toEqual([]);
  await proveRestored(etcd, { canary: first.canary, gone: second.canary });
});

async function installApiServer(machine: Machine): Promise<void> {
  await machine.exec(
    `cat >/etc/systemd/system/kube-apiserver.service && systemctl daemon-reload && systemctl start kube-apiserver.service`,
    { stdin: "[Service]\nExecStart=/bin/sleep infinity\n" },
  );
}

async function loseData(machine: Machine): Promise<void> {
  await machine.exec("systemctl kill --signal=KILL etcd.service; systemctl stop etcd.service; rm -rf /var/lib/etcd/*");
}

async function revision(): Promise<number> {
  const answer = await etcdLab.etcd.etcdctl(etcdLab.lab.machine("s1"), ["endpoint", "status", "--write-out=json"]);
  return Number(/"revision":\s*(\d+)/.exec(answer)?.[1]);
}

function all<T>(look: (machine: Machine) => Promise<T>): Promise<readonly T[]> {
  return Promise.all(etcdLab.lab.machines.map((machine) => look(machine)));
}

function request(snapshot: string): RestoreRequest {
  return { snapshot, s3: etcdLab.s3Settings, triggers: [], safetySnapshot: true, bumpRevision: true };
}
