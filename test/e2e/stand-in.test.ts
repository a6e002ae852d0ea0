// The stand-in for K3s and RKE2 itself, before anything of ours is trusted to it. With K3S_BIN the same holds for a real K3s.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { K3sCluster } from "../lab/k3s";
import { type Lab, startLab } from "../lab/lab";
import type { Machine } from "../lab/machine";
import type { Finished } from "../lab/process";
import type { S3 } from "../lab/s3";
import { waitFor } from "../lab/wait";

const RESET = /restart without --cluster-reset flag now/;

describe("three servers of K3s", () => {
  let lab: Lab;
  let k3s: K3sCluster;
  let s1: Machine, s2: Machine, s3: Machine;
  const db = "/var/lib/rancher/k3s/server/db";

  beforeAll(async () => {
    lab = await startLab();
    [s1, s2, s3] = [lab.machine("s1"), lab.machine("s2"), lab.machine("s3")];
    k3s = await lab.startK3s({ token: "labtoken1" });
  });
  afterAll(() => lab.down());

  const save = async (machine: Machine, name: string): Promise<string> => {
    const { stderr, code } = await k3s.run(machine, ["etcd-snapshot", "save", "--name", name]);
    expect(code).toBe(0);
    const [, file = ""] = /Snapshot (\S+) saved\./.exec(stderr) ?? [];
    return `${db}/snapshots/${file}`;
  };
  const restore = async (machine: Machine, path: string, ...more: readonly string[]): Promise<Finished> => {
    await machine.exec("sleep 1.1"); // Two in one second fail, as one test below shows.
    return k3s.run(machine, ["server", "--cluster-reset", `--cluster-reset-restore-path=${path}`, ...more]);
  };
  const list = async (machine: Machine, folder: string): Promise<readonly string[]> =>
    (await machine.exec(`ls ${folder}`)).split("\n").filter((name) => name !== "");
  const onAll = (script: string): Promise<unknown> => Promise.all([s1, s2, s3].map((machine) => machine.exec(script)));
  const rejoin = async (machine: Machine): Promise<void> => {
    await machine.exec(`mv ${db} ${db}-aside-$(date +%s%N) && systemctl start k3s`);
  };

  test("all are voters with the same data, and Kubernetes knows them", async () => {
    await k3s.putKeys(s1, { "canary/1": "a" });
    expect(await k3s.keys(s3, "canary/")).toEqual(["canary/1"]);
    expect(new Set(Object.values(await k3s.hashKv())).size).toBe(1);
    expect((await k3s.members()).map(({ name }) => name.replace(/-[0-9a-f]{8}$/, "")).sort()).toEqual([
      "s1",
      "s2",
      "s3",
    ]);
    expect(await k3s.kubectl(s2, ["get", "nodes", "-o", "name"])).toBe("node/s1\nnode/s2\nnode/s3\n");
    expect(await s1.exec("cat /var/lib/rancher/k3s/server/token")).toMatch(/^K10[0-9a-f]{64}::server:labtoken1\n$/);
    // Twelve digits of the SHA-256 of the token's password; recorded on a real one.
    expect(await k3s.keys(s1, "/bootstrap/")).toEqual(["/bootstrap/544ad39d2d5a"]);
    expect(await s1.exec("curl -fsS http://127.0.0.1:2381/health")).toBe('{"health":"true","reason":""}');
  });

  test("a restore while the peers run splits the cluster; a peer with the old database does not come back until it has a tombstone", async () => {
    const path = await save(s1, "split");
    await k3s.putKeys(s1, { "split/1": "d" });
    await s1.exec("systemctl stop k3s");
    expect((await restore(s1, path)).code).toBe(0);
    await s1.exec("systemctl start k3s");
    expect(await k3s.keys(s1, "split/")).toEqual([]);
    expect(await k3s.keys(s2, "split/")).toEqual(["split/1"]);

    await s3.exec("systemctl stop k3s");
    await s2.exec("systemctl stop k3s && systemctl start --no-block k3s");
    await waitFor(
      "s2 complains",
      async () => ((await s2.exec("journalctl -o cat -u k3s")).includes("cluster ID mismatch") ? true : undefined),
      { deadlineMs: 20_000 },
    );
    expect((await s2.tryExec("systemctl is-active k3s")).stdout.trim()).toBe("activating");
    await s2.exec(`systemctl stop k3s || true; touch ${db}/etcd/tombstone; systemctl start k3s`);
    expect(await list(s2, db)).toEqual(
      expect.arrayContaining([expect.stringMatching(/^etcd-backup-\d+$/), "snapshots"]),
    );
    await rejoin(s3);
    await k3s.healthy();
    expect(await k3s.keys(s3, "split/")).toEqual([]);
  });

  test("a restore as in a runbook: the data is back, the peers join with empty databases", async () => {
    const path = await save(s1, "before");
    await k3s.putKeys(s1, { "after/1": "b" });
    await onAll("systemctl stop k3s");
    const { code, stderr } = await restore(s1, path);
    expect(code).toBe(0);
    expect(stderr).toMatch(RESET);
    expect(await list(s1, db)).toEqual(expect.arrayContaining(["etcd", "reset-flag", "snapshots"]));
    await s1.exec("systemctl start k3s");
    expect(await list(s1, db)).not.toContain("reset-flag");
    await rejoin(s2);
    await rejoin(s3);
    await k3s.healthy();
    expect(await k3s.keys(s3, "canary/")).toEqual(["canary/1"]);
    expect(await k3s.keys(s3, "after/")).toEqual([]);
    expect(new Set(Object.values(await k3s.hashKv())).size).toBe(1);
  });

  test("a second restore while the peers run: etcd gives the same ids again, and what the peers have comes back", async () => {
    const path = await save(s1, "second");
    await k3s.putKeys(s1, { "second/1": "e" });
    await s1.exec("systemctl stop k3s");
    expect((await restore(s1, path)).code).toBe(0);
    await s1.exec("systemctl start k3s");
    await waitFor("the peers' key", async () => ((await k3s.keys(s1, "second/")).length > 0 ? true : undefined), {
      deadlineMs: 20_000,
    });
    await onAll("systemctl stop k3s");
    expect((await restore(s1, path)).code).toBe(0);
    await s1.exec("systemctl start k3s");
    await rejoin(s2);
    await rejoin(s3);
    await k3s.healthy();
    expect(await k3s.keys(s2, "second/")).toEqual([]);
  });

  test("a restore beside the running server: the database is moved, the port is taken, the server goes on", async () => {
    const path = await save(s1, "beside");
    const command = `k3s server --cluster-reset --cluster-reset-restore-path=${path}`;
    const printed = await s1.exec(`now=$(date +%s); while [ "$(date +%s)" = "$now" ]; do sleep 0.01; done
for n in 1 2; do ${command} 2>&1 | grep fatal; done`);
    const [first, sameSecond] = printed.split("\n");
    expect(first).toMatch(/listen tcp 127.0.0.1:2380: bind: address already in use/);
    expect(sameSecond).toMatch(/rename \S+ \S+etcd-old-\d+: file exists/);
    expect(await list(s1, db)).toContain("reset-flag");
    await k3s.putKeys(s1, { "beside/1": "c" });
    const again = await k3s.run(s1, ["server", "--cluster-reset"]);
    expect(again.code).toBe(1);
    expect(again.stderr).toMatch(/membership was previously reset, please remove the cluster-reset flag/);
  });

  test("a wrong token: a panic, exit 2, and server/token is overwritten; with the right one all is well", async () => {
    const path = await save(s1, "token");
    await onAll("systemctl stop k3s");
    const { code, stderr } = await restore(s1, path, "--token=wrongtoken");
    expect(code).toBe(2);
    expect(stderr).toMatch(/panic: bootstrap data already found and encrypted with different token/);
    expect(await s1.exec("cat /var/lib/rancher/k3s/server/token")).toMatch(/::server:wrongtoken\n$/);
    expect((await restore(s1, path, "--token=labtoken1")).code).toBe(0);
    await s1.exec("systemctl start k3s");
    await rejoin(s2);
    await rejoin(s3);
    await k3s.healthy();
  });

  test("restores that fail have moved the database: next comes an empty cluster, or a start that hangs", async () => {
    const path = await save(s1, "faulty");
    await onAll("systemctl stop k3s");
    await s1.exec(`printf 12345678 >/root/text
cp ${path} /root/flipped
printf '\\377\\377' | dd of=/root/flipped bs=1 seek=50000 conv=notrunc 2>/dev/null`);
    const flipped = await restore(s1, "/root/flipped");
    expect(flipped.code).toBe(1);
    expect(flipped.stderr).toMatch(/expected sha256 \[/);
    await s1.exec("systemctl start --no-block k3s; sleep 8");
    expect((await s1.tryExec("systemctl is-active k3s")).stdout.trim()).toBe("activating");
    await s1.tryExec("systemctl stop k3s");
    expect(await s1.exec("systemctl show -P ExecMainStatus k3s")).toBe("2\n");

    const text = await restore(s1, "/root/text");
    expect(text.code).toBe(1);
    expect(text.stderr).toMatch(/seek \/root\/text: invalid argument/);
    await s1.exec("systemctl start k3s");
    expect(await k3s.keys(s1, "canary/")).toEqual([]);
  });

  test("a server's URL, a path without a reset, and a missing token are refused", async () => {
    const refused = async (words: readonly string[]): Promise<string> => {
      const { code, stderr } = await k3s.run(s1, ["server", ...words]);
      expect(code).toBe(1);
      return stderr;
    };
    expect(await refused(["--cluster-reset-restore-path=/root/text"])).toMatch(/--cluster-reset required/);
    expect(await refused(["--cluster-reset", "--server=https://s2:6443"])).toMatch(/server URL is set/);
    expect(await refused(["--cluster-reset", "--cluster-reset-restore-path=/root/none"])).toMatch(
      /snapshot path does not exist/,
    );
  });
});

describe("one server of K3s and S3", () => {
  let lab: Lab;
  let k3s: K3sCluster;
  let s3: S3;
  let s1: Machine, n1: Machine;
  const db = "/var/lib/rancher/k3s/server/db";

  beforeAll(async () => {
    lab = await startLab({ machines: ["s1", "n1"] });
    [s1, n1] = [lab.machine("s1"), lab.machine("n1")];
    s3 = await lab.startS3();
    await s3.createBucket("backups");
    k3s = await lab.startK3s({ servers: ["s1"], token: "labtoken1", extraConfig: s3Config() });
  });
  afterAll(() => lab.down());

  const s3Config = (): Readonly<Record<string, unknown>> => ({
    ...{ "etcd-s3": true, "etcd-s3-endpoint": s3.endpoint, "etcd-s3-bucket": "backups", "etcd-s3-folder": "demo" },
    ...{ "etcd-s3-access-key": s3.accessKeyId, "etcd-s3-secret-key": s3.secretAccessKey, "etcd-s3-region": s3.region },
    "etcd-s3-endpoint-ca": Buffer.from(s3.caPem ?? "").toString("base64"),
  });
  const reset = async (...words: readonly string[]): Promise<Finished> => {
    await s1.tryExec("systemctl stop k3s; sleep 1.1");
    return k3s.run(s1, ["server", "--cluster-reset", ...words]);
  };

  test("a save says it twice, and the object carries whose it is", async () => {
    await k3s.putKeys(s1, { "canary/1": "a" });
    const { stderr, code } = await k3s.run(s1, ["etcd-snapshot", "save", "--name", "both", "--etcd-snapshot-compress"]);
    expect(code).toBe(0);
    expect(stderr.match(/Snapshot both-s1-\d+\.zip saved\./g)).toHaveLength(2);
    const [name = ""] = readdirSync(join(s3.dir, "backups/demo")).filter((file) => file.startsWith("both"));
    expect(name).toMatch(/^both-s1-\d+\.zip$/);
    await k3s.putKeys(s1, { "after/1": "b" });
  });

  test("a path is looked up in S3 as long as the configuration says so, and a server's own files need --etcd-s3=false", async () => {
    const [local = ""] = (await s1.exec(`ls ${db}/snapshots`)).split("\n");
    const hijacked = await reset(`--cluster-reset-restore-path=${db}/snapshots/${local}`);
    expect(hijacked).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/failed to download snapshot from S3/) as string,
    });
    const fromS3 = await reset(`--cluster-reset-restore-path=${local}`);
    expect(fromS3.stderr).toMatch(RESET);
    await s1.exec("systemctl start k3s");
    expect(await k3s.keys(s1, "after/")).toEqual([]);

    await k3s.putKeys(s1, { "after/2": "c" });
    const own = await reset("--etcd-s3=false", `--cluster-reset-restore-path=${db}/snapshots/${local}`);
    expect(own.code).toBe(0);
    expect(await s1.exec("ls /var/lib/rancher/k3s/server")).toContain(local.replace(".zip", ""));
    await s1.exec("systemctl start k3s");
    expect(await k3s.keys(s1, "canary/")).toEqual(["canary/1"]);
    expect(await k3s.keys(s1, "after/")).toEqual([]);
  });

  test("an upload that fails after a good look at the bucket: exit 0 and one line", async () => {
    await s1.exec("mkdir -p /run/stand-in-faults && echo 'Access Denied.' >/run/stand-in-faults/upload-fails");
    const { stderr, code } = await k3s.run(s1, ["etcd-snapshot", "save", "--name", "half"]);
    expect(code).toBe(0);
    expect(stderr.match(/saved\./g)).toHaveLength(1);
    const files = await k3s.kubectl(s1, ["get", "etcdsnapshotfile", "-o", "json"]);
    expect(files).toContain("Access Denied.");
    await s1.exec("rm /run/stand-in-faults/upload-fails");
  });

  test("a new machine under another name takes the cluster over with nothing but a snapshot and the token", async () => {
    const [name = ""] = readdirSync(join(s3.dir, "backups/demo")).filter((file) => file.startsWith("both"));
    await s1.powerOff();
    await k3s.addServer(n1, { start: false, join: "none" });
    k3s.forget(s1);
    const path = `--cluster-reset-restore-path=${name}`;
    await n1.exec("sed -i '/^token/d' /etc/rancher/k3s/config.yaml");
    const without = await k3s.run(n1, ["server", "--cluster-reset", path]);
    expect(without).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/please pass --token to complete/) as string,
    });
    expect((await k3s.run(n1, ["server", "--cluster-reset", "--token=labtoken1", path])).code).toBe(0);
    await n1.exec("systemctl start k3s");
    await k3s.healthy();
    expect(await k3s.keys(n1, "canary/")).toEqual(["canary/1"]);
    expect(await k3s.kubectl(n1, ["get", "nodes", "-o", "name"])).toBe("node/n1\nnode/s1\n");
    await n1.powerOff();
    await n1.boot();
    await k3s.healthy();
    expect((await k3s.members()).map(({ peerURLs }) => peerURLs)).toEqual([[`https://${n1.address}:2380`]]);
  });
});

describe("RKE2", () => {
  let lab: Lab;
  let rke2: K3sCluster;
  let s1: Machine, s2: Machine, a1: Machine;
  const db = "/srv/rke2/server/db";

  beforeAll(async () => {
    lab = await startLab({ machines: ["s1", "s2", "a1"] });
    [s1, s2, a1] = [lab.machine("s1"), lab.machine("s2"), lab.machine("a1")];
    rke2 = await lab.startK3s({
      distribution: "rke2",
      agents: ["a1"],
      dataDir: "/srv/rke2",
      configuration: "env-file",
    });
  });
  afterAll(() => lab.down());

  const etcdRuns = async (machine: Machine): Promise<boolean> => (await machine.tryExec("pgrep -x etcd")).code === 0;

  test("etcd and kube-apiserver outlive the service, until they are killed where they lie", async () => {
    await s1.exec("systemctl stop rke2-server");
    expect(await etcdRuns(s1)).toBe(true);
    await rke2.putKeys(s1, { "canary/1": "a" });
    expect(await s1.exec("curl -kfsS https://127.0.0.1:6443/readyz")).toBe("ok");
    await s1.exec("rke2-killall.sh");
    expect(await etcdRuns(s1)).toBe(true); // It looks in the default data directory.
    await s1.exec("RKE2_DATA_DIR=/srv/rke2 rke2-killall.sh");
    expect(await etcdRuns(s1)).toBe(false);
    await s1.exec("systemctl start rke2-server");
    await rke2.healthy();
  });

  test("a restore writes force-restart, and the next start begins without old pods; the agent comes back by itself", async () => {
    const saved = await rke2.run(s1, ["etcd-snapshot", "save", "--data-dir=/srv/rke2", "--name=x"]);
    const [, file = ""] = /Snapshot (\S+) saved\./.exec(saved.stderr) ?? [];
    await rke2.putKeys(s1, { "after/1": "b" });
    await Promise.all([s1, s2].map((machine) => machine.exec("RKE2_DATA_DIR=/srv/rke2 rke2-killall.sh")));
    const { code, stderr } = await rke2.run(s1, [
      ...["server", "--data-dir=/srv/rke2", "--cluster-reset", `--cluster-reset-restore-path=${db}/snapshots/${file}`],
    ]);
    expect(code).toBe(0);
    expect(stderr).toMatch(RESET);
    await s1.exec(
      "test -e /srv/rke2/force-restart && systemctl start rke2-server && test ! -e /srv/rke2/force-restart",
    );
    await s2.exec(`mv ${db} ${db}-aside && systemctl start rke2-server`);
    await rke2.healthy();
    expect(await rke2.keys(s2, "canary/")).toEqual(["canary/1"]);
    expect(await rke2.keys(s2, "after/")).toEqual([]);
    await waitFor(
      "a1 is ready",
      async () => (/a1\s+Ready/.test(await rke2.kubectl(s1, ["get", "nodes"])) ? true : undefined),
      { deadlineMs: 20_000 },
    );
    expect(await a1.exec("systemctl is-active rke2-agent")).toBe("active\n");
  });
});
