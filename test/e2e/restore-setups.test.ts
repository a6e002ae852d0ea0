import { join } from "node:path";
import type { Cluster } from "../../provider/model";
import { configureBackups } from "../../provider/operations/configure-backups";
import { type RestoreReport, type RestoreRequest, restoreSnapshot } from "../../provider/operations/restore";
import { takeSnapshot } from "../../provider/operations/take-snapshot";
import { closeConnections } from "../../provider/transport/connect";
import { type EtcdVersion, readEquipment } from "../lab/equipment";
import type { EtcdCluster, EtcdOptions } from "../lab/etcd";
import { type Lab, startLab } from "../lab/lab";
import type { Machine } from "../lab/machine";
import { run } from "../lab/process";
import { backUpNow, listeningCall, proveRestored } from "../support/restore-oracles";

// Ways of running etcd that differ where a restore has to know them. Each has machines of its own, all in one lab.
interface Setup {
  readonly title: string;
  readonly machines: readonly string[];
  readonly etcd: EtcdOptions;
  readonly cluster?: Partial<Cluster>;
  readonly before?: string;
}

const password = "etcd-pass-0815";
const setups: Readonly<Record<string, Setup>> = {
  yaml: {
    title: "etcd 3.6 with a configuration file, a mount point as its data directory, and a WAL directory elsewhere",
    machines: ["yaml"],
    etcd: { version: "3.6", configuration: "config-file", walDir: "/var/lib/etcd-wal/wal" },
    before: `useradd --system --user-group --home-dir /var/lib/etcd --shell /usr/sbin/nologin etcd
mkdir -p /var/lib/etcd && mount -t tmpfs -o size=300m tmpfs /var/lib/etcd && chown etcd:etcd /var/lib/etcd && chmod 700 /var/lib/etcd`,
  },
  env: {
    title: "etcd 3.5 with an environment file, and no etcdutl",
    machines: ["env"],
    etcd: { version: "3.5", configuration: "env", without: ["etcdutl"], dataDir: "/data/etcd" },
  },
  old: {
    title: "etcd 3.4.23, with a password and no TLS",
    machines: ["old"],
    etcd: { version: "3.4", rootPassword: password, tls: false },
    cluster: { username: "root", password },
  },
  bare: {
    title: "etcd 3.6 without etcdctl, with a password, under another unit name",
    machines: ["bare"],
    etcd: { version: "3.6", rootPassword: password, without: ["etcdctl"], unit: "keystore.service" },
    cluster: { username: "root", password },
  },
  three: {
    title: "three members of etcd 3.5, with a password",
    machines: ["a", "b", "c"],
    etcd: { version: "3.5", rootPassword: password },
    cluster: { username: "root", password },
  },
};

let lab: Lab;
const etcds = new Map<string, EtcdCluster>();
const call = listeningCall();

beforeAll(async () => {
  lab = await startLab({ machines: Object.values(setups).flatMap(({ machines }) => machines) });
  for (const [name, { machines, etcd, before }] of Object.entries(setups)) {
    if (before !== undefined) await machine(machines[0]).exec(before);
    etcds.set(name, await lab.startEtcd({ ...etcd, members: machines }));
  }
}, 180_000);
afterAll(async () => {
  await closeConnections();
  await lab.down();
});

test.each(Object.entries(setups).map(([name, setup]) => ({ name, ...setup })))(
  "$title: configured, saved, restored",
  async ({ name, machines, etcd: options }) => {
    const etcd = etcdOf(name);
    const first = machine(machines[0]);
    const hasEtcdctl = options.without?.includes("etcdctl") !== true;
    if (hasEtcdctl) await configureBackups(clusterOf(name), settings, call);
    await etcd.putKeys(first, { "canary/1": "x" });
    const taken = await takeSnapshot(clusterOf(name), { name: "before" }, call);
    const path = taken.location.replace(/^file:\/\/[^/]+/, "");
    const status = await statusOf(etcd.version, machine(taken.server).root + path);
    expect([taken.revision, taken.totalKeys]).toEqual([status.revision, status.totalKey]);
    await machine(taken.server).exec(`mkdir -p /srv && cp ${path} /srv/copy.db`);
    await etcd.putKeys(first, { "after/1": "x" });

    const report = await restore(name, taken.server);
    await proveRestored(etcd, { canary: "canary/1", gone: "after/1" });
    expect(report.safetySnapshots).toHaveLength(machines.length);
    const data = report.setAside.filter((place) => place.includes("/member.before-"));
    expect(data).toHaveLength(machines.length);
    for (const place of data) {
      const [server, folder = ""] = place.split(":");
      expect(await machine(server).exec(`find ${folder} -name db`)).toContain("/snap/db");
    }
    const owned = await first.exec(
      `find /var/lib/etcd* /data -name member -exec find {} ! -user etcd ';' 2>/dev/null || true`,
    );
    expect(owned).toBe("");
    for (const member of hasEtcdctl ? etcd.members : []) await backUpNow(member, name);
    for (const member of hasEtcdctl ? etcd.members : []) {
      expect(await member.exec(`systemctl is-active etcd-backup-${name}.timer`)).toBe("active\n");
    }
  },
);

test("a WAL directory elsewhere: the old WAL is kept beside the new one, and one that was lost is made again", async () => {
  const etcd = etcdOf("yaml");
  const yaml = machine("yaml");
  const kept = await yaml.exec(
    "find /var/lib/etcd-wal/wal/before-* -name '*.wal' | head -n 1; ls /var/lib/etcd-wal/wal",
  );
  expect(kept).toMatch(/^\/var\/lib\/etcd-wal\/wal\/before-\S+\/0/);
  await etcd.putKeys(yaml, { "after/2": "x" });
  await yaml.exec(
    "systemctl kill --signal=KILL etcd.service; systemctl stop etcd.service; rm -rf /var/lib/etcd/* /var/lib/etcd-wal",
  );
  const report = await restore("yaml", "yaml", { triggers: ["again"], bumpRevision: false });
  expect(report.revisionAfter).toBeLessThan(1000);
  await proveRestored(etcd, { canary: "canary/1", gone: "after/2" });
});

const settings = { schedule: "0 */6 * * *", retention: 5, snapshotName: "etcd-snapshot", enabled: true };

function clusterOf(name: string): Cluster {
  const setup = setups[name];
  return {
    distribution: "etcd",
    name,
    connection: { privateKey: lab.sshKey.privateKey, knownHosts: lab.knownHosts },
    servers: (setup?.machines ?? []).map((server) => ({ name: server, connection: { host: machine(server).address } })),
    ...setup?.cluster,
  };
}

function restore(name: string, server: string, more: Partial<RestoreRequest> = {}): Promise<RestoreReport> {
  const snapshot = `file://${server}/srv/copy.db`;
  return restoreSnapshot(
    clusterOf(name),
    { snapshot, triggers: [], safetySnapshot: true, bumpRevision: true, ...more },
    call,
  );
}

async function statusOf(
  version: EtcdVersion,
  path: string,
): Promise<{ readonly revision: number; readonly totalKey: number }> {
  const tool = join(readEquipment().etcd[version], version === "3.4" ? "etcdctl" : "etcdutl");
  const env = { ...process.env, ETCDCTL_API: "3" };
  return JSON.parse(await run(tool, ["snapshot", "status", path, "--write-out=json"], { env })) as {
    readonly revision: number;
    readonly totalKey: number;
  };
}

function etcdOf(name: string): EtcdCluster {
  const etcd = etcds.get(name);
  if (etcd === undefined) throw new Error(`there is no setup ${name}`);
  return etcd;
}

function machine(name: string | undefined): Machine {
  return lab.machine(name ?? "");
}
