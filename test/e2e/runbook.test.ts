// A day with one server, as a runbook would have it: each test is a step, and what it expects is what its reader sees.
import type { Machine } from "../lab/machine";
import { k3sNames } from "../lab/k3s-files";
import { createK3sProgram, type K3sLab, labelOf, startK3sLab } from "../support/k3s-program";
import type { LabProgram } from "../support/lab-program";

const days = [
  { distribution: "k3s", title: "K3s", label: labelOf("k3s") },
  { distribution: "rke2", title: "RKE2", label: labelOf("rke2") },
] as const;

describe.each(days)("$label: from a disaster back to a snapshot", ({ distribution, title }) => {
  const { unit, configDir, dataDir } = k3sNames[distribution];
  const ls = `${distribution} etcd-snapshot ls`;
  let k3sLab: K3sLab;
  let program: LabProgram;
  let s1: Machine;
  let config: string;
  let snapshot: string;

  const kubectl = (...words: readonly string[]): Promise<string> => k3sLab.k3s.kubectl(s1, words);

  beforeAll(async () => {
    k3sLab = await startK3sLab({ machines: ["s1"], k3s: { distribution } });
    s1 = k3sLab.lab.machine("s1");
    config = await s1.exec(`cat ${configDir}/config.yaml`);
    program = await createK3sProgram(
      k3sLab,
      `const backups = new BackupConfig("demo", { cluster, s3, schedule: "0 */6 * * *", retention: 8 });
       const before = new Snapshot("before-upgrade", { cluster, s3: backups.s3 }, { dependsOn: backups });
       new SnapshotRestore("restore", { cluster, s3: backups.s3, snapshot: config.get("restore") });
       exports.snapshot = before.location;`,
    );
  }, 180_000);
  afterAll(() => k3sLab.lab.down());

  test("1. `pulumi up` configures the backups, in one file beside the user's own, and takes a snapshot", async () => {
    await kubectl("create", "configmap", "orders", "--from-literal=number=1");
    const printed = await program.up();
    expect(printed).toMatch(/BackupConfig demo created/);
    expect(printed).toMatch(/Snapshot before-upgrade created/);
    const file = `${configDir}/config.yaml.d/60-etcd-backup.yaml`;
    expect(await s1.exec(`stat -c '%a %U' ${file}`)).toBe("600 root\n");
    expect(await s1.exec(`cat ${file}`)).toContain(
      'etcd-snapshot-schedule-cron: "0 */6 * * *"\netcd-snapshot-retention: 8\n',
    );
    expect(await s1.exec(`cat ${configDir}/config.yaml`)).toBe(config);
  });

  test(`2. the snapshot is on the server and in the bucket: ${title}'s own list has both`, async () => {
    snapshot = await program.output("snapshot");
    expect(snapshot).toMatch(/^s3:\/\/etcd-backups\/demo\/before-upgrade-s1-\d{10}$/);
    const name = snapshot.slice(snapshot.lastIndexOf("/") + 1);
    const lines = (await s1.exec(ls)).split("\n").filter((line) => line.startsWith(name));
    expect(lines.map((line) => line.split(/\s+/)[1]).sort()).toEqual([
      `file://${dataDir}/server/db/snapshots/${name}`,
      `s3://etcd-backups/demo/${name}`,
    ]);
  });

  test("3. the disaster: the object is deleted, others are made", async () => {
    await kubectl("delete", "configmap", "orders");
    await kubectl("create", "configmap", "wrong", "--from-literal=number=2");
    expect(await kubectl("get", "configmap", "--ignore-not-found", "orders")).toBe("");
  });

  test("4. `pulumi config set restore …`, and the preview says what is lost, what happens, and how long it takes", async () => {
    await program.configure({ restore: snapshot });
    const started = await s1.exec(`systemctl show ${unit} -p ExecMainStartTimestampMonotonic`);
    const preview = await program.pulumi("preview", "--diff");
    expect(preview).toContain(`Restore demo to ${snapshot}`);
    expect(preview).toMatch(/Everything written to etcd after 20\S+ will be lost/);
    expect(preview).toMatch(new RegExp(`s1 \\(${title} v1\\.\\d+\\.\\d+\\+\\S+\\) is reset to the snapshot\\.`));
    expect(preview).toContain("Kubernetes forgets what was created after the snapshot");
    expect(preview).toMatch(/It takes about \d+ s/);
    expect(preview).toMatch(/1\. stage the snapshot and check it: s1/);
    expect(preview).toMatch(new RegExp(`\\d\\. restore with ${distribution} server --cluster-reset: s1`));
    expect(preview).toContain("set aside, not deleted");
    expect(await s1.exec(`systemctl show ${unit} -p ExecMainStartTimestampMonotonic`)).toBe(started);
  });

  test("5. `pulumi up` restores, and reports it", async () => {
    const printed = await program.up();
    expect(printed).toContain(`Restoring demo to ${snapshot}`);
    expect(printed).toMatch(/SnapshotRestore restore (created|replaced)/);
  });

  test(`6. the proof, by ${title}'s own commands: what was is there again, what came after is not`, async () => {
    expect(await kubectl("get", "configmap", "orders", "-o", "jsonpath={.data.number}")).toBe("1");
    expect(await kubectl("get", "configmap", "--ignore-not-found", "wrong")).toBe("");
    expect(await kubectl("get", "nodes")).toMatch(/^s1\s+Ready/m);
    expect(await s1.exec(`systemctl is-active ${unit}`)).toBe("active\n");
    expect(await s1.exec(`cat ${configDir}/config.yaml`)).toBe(config);
    // The old data, the snapshot that was restored, and one of the data before the restore.
    expect(await s1.exec(`ls ${dataDir}/server/db`)).toMatch(/^etcd\netcd\.before-\S+\nsnapshots\n$/);
    const kept = await s1.exec(`ls ${dataDir}/server/db/snapshots`);
    expect(kept).toMatch(/^before-upgrade-s1-\d+$/m);
    expect(kept).toMatch(/^safety-\S+-s1-\d+$/m);
  });

  test("7. `pulumi up` again changes nothing, nor has anything drifted: the backups go on", async () => {
    expect(await program.up("--refresh")).toMatch(/\d unchanged/);
    const began = (await s1.exec(`ls ${dataDir}/server/db/snapshots`)).split("\n").length;
    await s1.exec(`systemctl kill --kill-whom=main -s USR1 ${unit}; sleep 3`);
    expect((await s1.exec(`ls ${dataDir}/server/db/snapshots`)).split("\n").length).toBeGreaterThan(began);
  });
});
