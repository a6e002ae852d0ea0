import { spawnSync } from "node:child_process";
import { type BackupUnitInput, backupFiles } from "../../../../provider/distributions/etcd/units";

const plain: BackupUnitInput = {
  cluster: "prod",
  server: "s1",
  serverCount: 3,
  settings: { schedule: "0 4 13 * fri", retention: 5, snapshotName: "etcd-snapshot" },
  directory: "/var/lib/etcd-backup/prod/snapshots",
  etcd: { etcdctl: "/usr/bin/etcdctl", endpoint: "https://127.0.0.1:2379", unit: "etcd.service" },
};
const everything: BackupUnitInput = {
  ...plain,
  settings: {
    ...plain.settings,
    s3: {
      ...{ bucket: "b", endpoint: "minio:9000", endpointCa: "-----BEGIN…", accessKeyId: "AKIA", timeout: "1h" },
      ...{ secretAccessKey: 's3-secret\'s "own" $x', sessionToken: "s3-token", folder: "it's $HOME `here`" },
    },
  },
  etcd: { ...plain.etcd, cacert: "/ca", cert: "/cert", key: "/key", username: "root", password: "etcd-secret" },
};

test("a server without S3 and etcd's password gets a script, settings and two units", () => {
  expect(backupFiles(plain).map(({ path, mode }) => `${mode.toString(8)} ${path}`)).toEqual([
    "700 /etc/etcd-backup/prod/save.sh",
    "600 /etc/etcd-backup/prod/settings",
    "644 /etc/systemd/system/etcd-backup-prod.service",
    "644 /etc/systemd/system/etcd-backup-prod.timer",
  ]);
});

test("secrets are in files of 0600 that are marked, and in no other", () => {
  const secrets = ["s3-secret", "s3-token", "etcd-secret"];
  const files = backupFiles(everything);
  const holding = files.filter(({ content }) => secrets.some((secret) => content.includes(secret)));
  expect(holding.map(({ path, mode }) => `${mode.toString(8)} ${path}`)).toEqual([
    "600 /etc/etcd-backup/prod/s3-keys",
    "600 /etc/etcd-backup/prod/etcd-password",
  ]);
  expect(files.filter(({ secret }) => secret)).toEqual(holding);
});

test("settings are secret when the proxy's URL holds a password", () => {
  const proxied = (proxy: string): boolean | undefined =>
    backupFiles({ ...plain, settings: { ...plain.settings, s3: { bucket: "b", proxy } } }).find(({ path }) =>
      path.endsWith("/settings"),
    )?.secret;
  expect([proxied("http://proxy:3128"), proxied("http://me:pass@proxy:3128")]).toEqual([false, true]);
});

test("the same input gives the same bytes", () => {
  expect(backupFiles(everything)).toEqual(backupFiles(structuredClone(everything)));
});

test("sh reads back every value as it was", () => {
  const read = (name: string): string => {
    const text = `${contentOf(everything, "settings")}${contentOf(everything, "s3-keys")}printf %s "$${name}"`;
    return spawnSync("sh", { input: text, encoding: "utf8" }).stdout;
  };
  expect(read("s3_folder")).toBe("it's $HOME `here`");
  expect(read("secret_access_key")).toBe('s3-secret\'s "own" $x');
});

test.each([
  [{ bucket: "b" }, "https", "s3.us-east-1.amazonaws.com", "dns"],
  [{ bucket: "b", region: "eu-west-3" }, "https", "s3.eu-west-3.amazonaws.com", "dns"],
  [{ bucket: "with.dots" }, "https", "s3.us-east-1.amazonaws.com", "path"],
  [{ bucket: "b", endpoint: "minio:9000", insecure: true }, "http", "minio:9000", "path"],
  [{ bucket: "b", endpoint: "minio:9000", bucketLookup: "dns" as const }, "https", "minio:9000", "dns"],
])("%j is reached by %s at %s, %s style", (s3, scheme, host, style) => {
  const settings = contentOf({ ...plain, settings: { ...plain.settings, s3 } }, "settings");
  expect(settings).toContain(`s3_scheme='${scheme}'\n`);
  expect(settings).toContain(`s3_host='${host}'\n`);
  expect(settings).toContain(`s3_style='${style}'\n`);
});

test("the timer has a line for each of cron's meanings, and makes up for missed runs", () => {
  expect(contentOf(plain, ".timer")).toMatchInlineSnapshot(`
   "[Unit]
   Description=Snapshots of etcd cluster prod: 0 4 13 * fri

   [Timer]
   OnCalendar=*-*-13 04:00:00
   OnCalendar=Fri *-*-* 04:00:00
   # A run that was due while the server was off is made up for.
   Persistent=true
   # The members of a cluster do not all save in the same second.
   RandomizedDelaySec=20
   AccuracySec=1

   [Install]
   WantedBy=timers.target
   "
  `);
});

test("the service may write only where snapshots and status lie, and ends after all its own deadlines", () => {
  const service = contentOf(everything, ".service");
  expect(service).toContain("ProtectSystem=strict\n");
  expect(service).toContain('ReadWritePaths=-"/var/lib/etcd-backup/prod/snapshots"\n');
  expect(service).toContain("StateDirectory=etcd-backup/prod\n");
  expect(service).toContain("ExecStart=/bin/sh /etc/etcd-backup/prod/save.sh /etc/etcd-backup/prod/settings\n");
  expect(service).toContain(`TimeoutStartSec=${2 * 900 + 3 * 3600 + 900}\n`);
});

test("certificates below a home directory stay readable to the service", () => {
  const inHome = { ...plain, etcd: { ...plain.etcd, key: "/root/etcd/client.key" } };
  expect(
    [contentOf(plain, ".service"), contentOf(inHome, ".service")].map((text) => /ProtectHome=(\w+)/.exec(text)?.[1]),
  ).toEqual(["yes", "no"]);
});

function contentOf(input: BackupUnitInput, ending: string): string {
  return backupFiles(input).find(({ path }) => path.endsWith(ending))?.content ?? "";
}
