import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { createEtcdProgram, type EtcdLab, type EtcdProgram, startEtcdLab } from "../support/etcd-program";
import { proveRestored, traces } from "../support/restore-oracles";

let etcdLab: EtcdLab;
let program: EtcdProgram;
let snapshot: string;

const resources = `
const backups = new BackupConfig("demo", { cluster, s3 });
const taken = new Snapshot("before", { cluster, s3: backups.s3 });
const named = config.get("restore");
const restored = new SnapshotRestore("restore", {
  cluster,
  s3: backups.s3,
  snapshot: named === "this-update" ? taken.location : named,
});
exports.snapshot = taken.location;
exports.restoredAt = restored.restoredAt;

// It names no snapshot, so its cluster and its S3, which are a listener of the test's, hear nothing of it.
const at = { host: "127.0.0.1", port: config.requireNumber("listener") };
const nowhere = etcd({
  name: "nowhere",
  connection: { password: "x", acceptNewHostKey: true, dialErrorLimit: 0, perDialTimeout: 2 },
  servers: [{ name: "s1", connection: at }],
});
const idleS3 = { ...s3, endpoint: \`127.0.0.1:\${at.port}\` };
new SnapshotRestore("idle", { cluster: nowhere, s3: idleS3, triggers: [named ?? "none"] });
`;

const listener = createServer((socket) => {
  contacts += 1;
  socket.destroy();
});
let contacts = 0;

beforeAll(async () => {
  listener.listen(0, "127.0.0.1");
  [etcdLab] = await Promise.all([startEtcdLab(), once(listener, "listening")]);
  program = await createEtcdProgram(etcdLab, resources);
  await program.configure({ listener: String((listener.address() as AddressInfo).port) });
}, 180_000);
afterAll(async () => {
  listener.close();
  await etcdLab.lab.down();
});

test("the snapshot that this same update takes is refused: it would restore to now", async () => {
  const { etcd, lab } = etcdLab;
  await etcd.putKeys(lab.machine("s1"), { "canary/1": "x" });
  await program.configure({ restore: "this-update" });
  const failed = await program.pulumiFails("up", "--yes", "--skip-preview");
  expect(failed).toContain("was taken by this very update: it would restore to now");
  expect(await etcd.keys(lab.machine("s1"), "canary/")).toEqual(["canary/1"]);
  await program.pulumi("config", "rm", "restore");
  await program.up();
  snapshot = await program.output("snapshot");
  expect(snapshot).toMatch(/^s3:\/\/etcd-backups\/demo\/before-s\d-\d+\.db$/);
  expect(await program.output("restoredAt")).not.toMatch(/20\d\d/);
});

test("naming a snapshot: the preview shows a replacement with the plan and touches nothing, the update restores", async () => {
  const { etcd, lab } = etcdLab;
  await etcd.putKeys(lab.machine("s1"), { "after/1": "x" });
  await program.configure({ restore: snapshot });
  const before = await look();
  const preview = await program.pulumi("preview", "--diff");
  expect(preview).toMatch(/\+-.*SnapshotRestore|replace/);
  expect(preview).toContain(`Restore demo to ${snapshot}`);
  expect(preview).toContain("Everything written to etcd after 20");
  expect(preview).toMatch(/Revision now: s1 \d+/);
  expect(preview).toMatch(/1\. pause the scheduled backups: s1, s2, s3/);
  expect(preview).toContain("set aside, not deleted");
  expect(await look()).toEqual(before);
  await program.up();
  await proveRestored(etcd, { canary: "canary/1", gone: "after/1" });
  expect(await program.output("restoredAt")).toMatch(/^20\d\d-/);
});

test("the same again, the name taken away, and the name given back: none of them touches a server", async () => {
  const before = await look();
  expect(await program.up()).toMatch(/5 unchanged/);
  await program.pulumi("config", "rm", "restore");
  const without = await program.up();
  expect(without).toContain("~ 2 updated");
  expect(without).not.toMatch(/replaced/);
  await program.configure({ restore: snapshot });
  expect(await program.up()).toContain(`Already restored to ${snapshot}`);
  expect(await look()).toEqual(before);
});

test("with the state lost, a new stack finds the restore done and touches nothing", async () => {
  const { etcd, lab } = etcdLab;
  const fresh = await createEtcdProgram(
    etcdLab,
    `const backups = new BackupConfig("demo", { cluster, s3 });
exports.restoredAt = new SnapshotRestore("restore", { cluster, s3: backups.s3, snapshot: config.get("restore") }).restoredAt;`,
  );
  await fresh.configure({ restore: snapshot });
  const before = await look();
  await fresh.up();
  expect(await look()).toEqual(before);
  expect(await fresh.output("restoredAt")).toBe(await program.output("restoredAt"));
  expect(await etcd.keys(lab.machine("s1"), "canary/")).toEqual(["canary/1"]);
});

test("another snapshot: a replacement again, with its own plan; one that is not there is refused in the preview", async () => {
  const { lab } = etcdLab;
  const status = await lab
    .machine("s2")
    .exec("systemctl start etcd-backup-demo.service; cat /var/lib/etcd-backup/demo/status.json");
  const { fileName } = JSON.parse(status) as { readonly fileName: string };
  const before = await look();
  await program.configure({ restore: fileName });
  const preview = await program.pulumi("preview", "--diff");
  expect(preview).toMatch(/replace/);
  expect(preview).toContain(`Restore demo to s3://etcd-backups/demo/${fileName}`);
  await program.configure({ restore: "not-there.db" });
  const refused = await program.pulumiFails("preview");
  expect(refused).toContain("no snapshot named not-there.db in s3://etcd-backups/demo");
  expect(refused).toContain(fileName);
  await program.configure({ restore: "" });
  expect(await program.pulumiFails("preview")).toMatch(/snapshot/);
  expect(await look()).toEqual(before);
});

test("a restore that names no snapshot contacted nothing, in all these updates, a refresh and its destruction", async () => {
  await program.pulumi("config", "rm", "restore");
  await program.pulumi("refresh", "--yes", "--skip-preview");
  await program.pulumi("destroy", "--yes", "--skip-preview");
  expect(contacts).toBe(0);
});

function look(): Promise<readonly string[]> {
  return Promise.all(etcdLab.lab.machines.map((machine) => traces(machine)));
}
