import { createHash } from "node:crypto";
import { backupDrift, isAsDeclared, staleFiles } from "../../../../provider/distributions/etcd/backup-drift";
import type { BackupFacts, BackupFileFacts, EtcdFacts } from "../../../../provider/distributions/etcd/facts";
import { type BackupFile, backupFiles, type BackupUnitInput } from "../../../../provider/distributions/etcd/units";
import type { S3Settings } from "../../../../provider/model";
import { etcdFacts } from "../../../support/etcd-facts";

const declared = { schedule: "0 */6 * * *", enabled: true };
const s3: S3Settings = { bucket: "b", accessKeyId: "AKIA-id", secretAccessKey: "s3-secret", endpointCa: "-----BEGIN" };
const folder = "/etc/etcd-backup/prod";
const files = filesFor({ s3 });

test("a server that does as declared has no drift", () => {
  expect(drift()).toEqual([]);
  expect(files.every((file) => isAsDeclared(file, server()))).toBe(true);
});

test("a server without any file of ours is not told file by file", () => {
  expect(drift({ files: [] })).toEqual(["enabled: no backups are configured"]);
});

describe("files", () => {
  test.each<[string, string, Partial<BackupFileFacts> | undefined, string]>([
    ["gone", "save.sh", undefined, `${folder}/save.sh: is missing`],
    ["changed", "save.sh", { sha256: "0" }, `${folder}/save.sh: its content was changed`],
    ["readable for others", "s3-keys", { mode: "644" }, `${folder}/s3-keys: mode 0644, declared 0600`],
    ["somebody else's", "s3-keys", { owner: "ubuntu" }, `${folder}/s3-keys: belongs to ubuntu, declared root`],
    ["changed, with its secrets unsaid", "s3-keys", { sha256: "0" }, `${folder}/s3-keys: its content was changed`],
  ])("one that is %s", (_, name, change, line) => {
    const there = present(files).flatMap((file) =>
      !file.path.endsWith(`/${name}`) ? [file] : change === undefined ? [] : [{ ...file, ...change }],
    );
    expect(drift({ files: there })).toEqual([line]);
  });

  test("a folder that others may look into", () => {
    const open = { path: folder, mode: "755", owner: "root", changedAt: 0, sha256: "-" };
    expect(drift({ files: [...present(files), open] })).toEqual([`${folder}: mode 0755, declared 0700`]);
    expect(drift({ files: [...present(files), { ...open, mode: "700" }] })).toEqual([]);
  });

  test("keys that no setting asks for any more", () => {
    const without = filesFor({});
    const facts = server({ files: present(files), settings: settingsOf(without) });
    const left = [`${folder}/s3-keys`, `${folder}/endpoint-ca.pem`];
    expect(staleFiles("prod", without, facts)).toEqual(left);
    const lines = backupDrift("prod", without, facts, declared);
    for (const path of left) expect(lines).toContain(`${path}: is there, but belongs to no setting`);
  });
});

describe("settings", () => {
  const edited = (edit: (settings: string) => string, expected = files): string[] => {
    const settings = edit(settingsOf(expected));
    const there = present(expected).map((file) =>
      file.path === `${folder}/settings` ? { ...file, sha256: hash(settings) } : file,
    );
    return backupDrift("prod", expected, server({ files: there, settings }), declared);
  };

  test.each([
    ["retention='5'", "retention='3'", "retention: '3', declared '5'"],
    ["directory='/snapshots'", "directory='/tmp'", "directory: '/tmp', declared '/snapshots'"],
    ["snapshot_name='etcd'", "snapshot_name='x'", "snapshotName: 'x', declared 'etcd'"],
    ["s3_bucket='b'", "s3_bucket='c'", "s3.bucket: 'c', declared 'b'"],
    ["s3_scheme='https'", "s3_scheme='http'", "s3.insecure: 'http', declared 'https'"],
    ["s3_retention='15'\n", "", "s3.retention: not set, declared '15'"],
    [
      "endpoint='https://127.0.0.1:2379'",
      "endpoint='http://x'",
      "cluster.endpoints: 'http://x', declared 'https://127.0.0.1:2379'",
    ],
    ["save_timeout='900'", "save_timeout='1'", "save_timeout: its value was changed"],
  ])("%j changed into %j names its input", (from, to, line) => {
    expect(edited((settings) => settings.replace(from, to))).toEqual([line]);
  });

  test("the last of two lines is what the script goes by", () => {
    expect(edited((settings) => `${settings}retention='1'\n`)).toEqual(["retention: '1', declared '5'"]);
  });

  test("a change in nothing but blanks is one of the file", () => {
    expect(edited((settings) => `\n${settings}`)).toEqual([`${folder}/settings: its content was changed`]);
  });

  test("a password in a proxy's URL is not shown, neither the declared one nor one that is there", () => {
    const proxied = filesFor({ s3: { ...s3, proxy: "http://me:p@ss@proxy:3128" } });
    expect(edited((settings) => settings.replace("proxy:3128", "proxy:1"), proxied)).toEqual([
      `${folder}/settings: its content was changed`,
    ]);
    expect(edited((settings) => `${settings}s3_proxy='http://me:p@ss@proxy:3128'\n`)).toEqual([
      "s3.proxy: 'http://[secret]@proxy:3128', declared not set",
    ]);
  });

  test("what somebody wrote into the settings is not shown", () => {
    expect(edited((settings) => `${settings}secret_access_key='s3-secret'\n`)).toEqual([
      "secret_access_key: its value was changed",
    ]);
  });
});

describe("what systemd runs", () => {
  const slow = "/etc/systemd/system/etcd-backup-prod.timer.d/slow.conf";

  test("another schedule, with the drop-in that is to blame", () => {
    expect(drift({ calendar: ["weekly"], dropIns: [slow] })).toEqual([
      `schedule: systemd runs "weekly" (by ${slow}), declared "0 */6 * * *"`,
    ]);
  });

  test("the order of two times does not matter", () => {
    expect(drift({ calendar: ["b", "a"], declaredCalendar: ["a", "b"] })).toEqual([]);
  });

  test("a systemd that cannot say the normal form is not blamed", () => {
    expect(drift({ calendar: ["a"], declaredCalendar: [] })).toEqual([]);
  });

  test("another command, by a drop-in", () => {
    const dropIn = "/etc/systemd/system/service.d/all.conf";
    const [line, ...others] = drift({ commands: ["/bin/true"], dropIns: [dropIn] });
    expect(line).toContain(`enabled: the service runs "/bin/true" (by ${dropIn})`);
    expect(others).toEqual([]);
  });

  test.each<[string, Partial<BackupFacts>, string]>([
    [
      "units that systemd has not read",
      { needsReload: true },
      "schedule: systemd has not read our units since they changed",
    ],
    ["a timer that is off", { timerActive: false }, "enabled: the timer is off, declared active"],
    [
      "a timer that is off after the next boot",
      { timerEnabled: false },
      "enabled: the timer does not start with the server",
    ],
  ])("%s", (_, change, line) => {
    expect(drift(change)).toEqual([line]);
  });

  test("a timer that should be off and is not", () => {
    const off = { ...declared, enabled: false };
    expect(backupDrift("prod", files, server(), off)).toEqual(["enabled: the timer is active, declared off"]);
    expect(backupDrift("prod", files, server({ timerActive: false }), off)).toEqual([
      "enabled: the timer starts with the server",
    ]);
  });
});

test("no line ever holds a secret", () => {
  const broken = present(files).map((file) => ({ ...file, sha256: "0", mode: "666", owner: "x" }));
  const lines = drift({ files: broken, settings: "", calendar: ["x"], needsReload: true, timerActive: false }).join(
    "\n",
  );
  for (const secret of ["s3-secret", "AKIA-id"]) expect(lines).not.toContain(secret);
});

function filesFor(settings: Pick<BackupUnitInput["settings"], "s3">): readonly BackupFile[] {
  return backupFiles({
    ...{ cluster: "prod", server: "s1", serverCount: 3, directory: "/snapshots" },
    settings: { schedule: declared.schedule, retention: 5, snapshotName: "etcd", ...settings },
    etcd: { etcdctl: "/usr/bin/etcdctl", endpoint: "https://127.0.0.1:2379" },
  });
}

function present(expected: readonly BackupFile[]): BackupFileFacts[] {
  return expected.map((file) => ({
    ...{ path: file.path, mode: file.mode.toString(8), owner: "root", changedAt: 0, sha256: hash(file.content) },
  }));
}

function server(change: Partial<BackupFacts> = {}): EtcdFacts {
  return etcdFacts({
    backups: {
      ...{ files: present(files), settings: settingsOf(files), timerActive: true, timerEnabled: true },
      ...{ calendar: ["6h"], declaredCalendar: ["6h"], commands: [`/bin/sh ${folder}/save.sh ${folder}/settings`] },
      ...change,
    },
  });
}

function drift(change: Partial<BackupFacts> = {}): string[] {
  return backupDrift("prod", files, server(change), declared);
}

function settingsOf(expected: readonly BackupFile[]): string {
  return expected.find((file) => file.path === `${folder}/settings`)?.content ?? "";
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
