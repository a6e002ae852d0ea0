import { readdirSync } from "node:fs";
import { join } from "node:path";
import { parseBackupStatus } from "../../provider/distributions/etcd/backup-status";
import { backupFiles } from "../../provider/distributions/etcd/units";
import { type Lab, startLab } from "../lab/lab";
import type { Machine } from "../lab/machine";
import type { S3 } from "../lab/s3";
import { waitFor } from "../lab/wait";

let lab: Lab;
let machine: Machine;
let s3: S3;

beforeAll(async () => {
  lab = await startLab({ machines: ["s1"] });
  machine = lab.machine("s1");
  await lab.startEtcd({ rootPassword: "etcd-pass-4711" });
  s3 = await lab.startS3();
  await s3.createBucket("backups");
});
afterAll(() => lab.down());

test.each([
  { directory: "/var/lib/etcd-backup/prod/snapshots", how: "in our own directory" },
  { directory: "/srv/snap shots/100%", how: "in a directory of its own with an odd name" },
])("the hardened unit, started by its timer, saves $how and uploads", async ({ directory }) => {
  const cluster = "prod";
  const files = backupFiles({
    ...{ cluster, server: "s1", serverCount: 1, directory },
    settings: {
      ...{ schedule: "* * * * *", retention: 2, snapshotName: "etcd-snapshot" },
      s3: {
        ...{ bucket: "backups", endpoint: s3.endpoint, accessKeyId: s3.accessKeyId },
        ...{ secretAccessKey: s3.secretAccessKey, endpointCa: s3.caPem ?? "" },
      },
    },
    etcd: {
      ...{ etcdctl: await etcdctlPath(), endpoint: "https://127.0.0.1:2379", unit: "etcd.service" },
      ...(await certificates()),
      ...{ username: "root", password: "etcd-pass-4711" },
    },
  });
  await machine.exec(`systemctl stop etcd-backup-prod.timer; rm -rf /var/lib/etcd-backup; mkdir -p '${directory}'`);
  for (const { path, content, mode } of files) {
    await machine.exec(`mkdir -p "$(dirname '${path}')" && cat >'${path}' && chmod ${mode.toString(8)} '${path}'`, {
      stdin: content,
    });
  }
  await machine.exec("systemctl daemon-reload && systemctl start etcd-backup-prod.timer");
  const status = await waitFor(
    "the timer ran",
    async () => parseBackupStatus(await machine.exec("cat /var/lib/etcd-backup/prod/status.json || true")),
    { deadlineMs: 150_000 },
  );
  expect(status).toMatchObject({ ok: true, step: "done", error: null, s3: { ok: true } });
  const listed = await machine.exec(`stat -c '%a %U %n' /var/lib/etcd-backup/prod '${directory}'/*`);
  expect(listed).toBe(`700 root /var/lib/etcd-backup/prod\n600 root ${directory}/${status.fileName ?? ""}\n`);
  expect(readdirSync(join(s3.dir, "backups", "prod"))).toContain(status.fileName);
  const problems = await machine.exec("journalctl -u etcd-backup-prod.service -p warning -o cat --no-pager");
  expect(problems).not.toMatch(/Unknown|denied|Failed/);
});

async function etcdctlPath(): Promise<string> {
  return (await machine.exec("command -v etcdctl")).trim();
}

/** The member's own certificates, which only etcd's user and root may read. */
async function certificates(): Promise<{ readonly cacert: string; readonly cert: string; readonly key: string }> {
  const flags = await machine.exec("systemctl cat etcd.service; ls -l /etc/etcd/pki >&2");
  const flag = (name: string): string => new RegExp(`--${name}[= ](\\S+)`).exec(flags)?.[1] ?? "";
  return { cacert: flag("trusted-ca-file"), cert: flag("cert-file"), key: flag("key-file") };
}
