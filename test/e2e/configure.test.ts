import { LocalWorkspace } from "@pulumi/pulumi/automation";
import { readBackups } from "../../provider/operations/configure-backups";
import { silent } from "../../provider/operations/call";
import { closeConnections, connectionCounts } from "../../provider/transport/connect";
import type { Machine } from "../lab/machine";
import { type Door, openDoor } from "../support/door";
import { createEtcdProgram, type EtcdLab, type EtcdProgram, startEtcdLab } from "../support/etcd-program";

// Half a day from now, so that no timer fires while its test runs.
const schedule = `30 ${(new Date().getUTCHours() + 12) % 24} * * *`;
const backups = (more = ""): string =>
  `const backups = new BackupConfig("demo", { cluster, schedule: "${schedule}", retention: 8, s3: { ...s3, endpoint: config.require("door") }, ${more} });
   exports.servers = backups.servers;`;

let etcdLab: EtcdLab;
let program: EtcdProgram;
let door: Door;
let s1: Machine, s2: Machine, s3: Machine;
let usersFiles: readonly string[];
let etcdStarted: readonly string[];

beforeAll(async () => {
  etcdLab = await startEtcdLab();
  const { lab } = etcdLab;
  [s1, s2, s3] = [lab.machine("s1"), lab.machine("s2"), lab.machine("s3")];
  door = await openDoor(lab.network.gateway, etcdLab.s3.endpoint);
  program = await createEtcdProgram(etcdLab, backups());
  await program.configure({ door: door.endpoint });
  await everywhere("printf 'LogLevel DEBUG1\\n' >/etc/ssh/sshd_config.d/count.conf && systemctl reload ssh");
  // The user's own files, down to a drop-in without a last newline and a file with bytes that are no text.
  await everywhere(`mkdir -p /etc/systemd/system/etcd.service.d
printf '[Service]\\nLimitCORE=0' >/etc/systemd/system/etcd.service.d/50-own.conf
printf '\\377\\000 \\r\\n' >/etc/own.bin && systemctl daemon-reload`);
  usersFiles = await everywhere(USERS_FILES);
  etcdStarted = await everywhere(ETCD_STARTED);
});
afterAll(async () => {
  await closeConnections();
  await door.shut();
  await etcdLab.lab.down();
});

test("a fresh configuration: secrets are 0600 in a 0700 folder, the timers are on, and what is in force is an output", async () => {
  expect(await program.up()).toMatch(/BackupConfig demo created/);
  for (const machine of [s1, s2, s3]) {
    const modes = await machine.exec("stat -c '%a %U %n' /etc/etcd-backup/demo /etc/etcd-backup/demo/*");
    expect(modes).toBe(
      [
        "700 root /etc/etcd-backup/demo",
        "644 root /etc/etcd-backup/demo/endpoint-ca.pem",
        "600 root /etc/etcd-backup/demo/s3-keys",
        "700 root /etc/etcd-backup/demo/save.sh",
        "600 root /etc/etcd-backup/demo/settings\n",
      ].join("\n"),
    );
    expect(
      await machine.exec("systemctl is-active etcd-backup-demo.timer; systemctl is-enabled etcd-backup-demo.timer"),
    ).toBe("active\nenabled\n");
  }
  const servers = JSON.parse(await program.output("servers")) as unknown;
  const [, minute, hour] = /^(\d+) (\d+)/.exec(schedule) ?? [];
  expect(servers).toEqual(
    ["s1", "s2", "s3"].map((server) => ({
      ...{
        server,
        etcdVersion: expect.stringMatching(/^3\.6\.\d+$/) as unknown,
      },
      ...{ directory: "/var/lib/etcd-backup/demo/snapshots", timer: "active" },
      ...{ schedule: [`*-*-* ${(hour ?? "").padStart(2, "0")}:${minute ?? ""}:00`], retention: 8 },
    })),
  );
});

test("it left every other file as it was, and etcd running", async () => {
  expect(await everywhere(USERS_FILES)).toEqual(usersFiles);
  expect(await everywhere(ETCD_STARTED)).toEqual(etcdStarted);
});

test("the same again changes nothing, writes no file and starts nothing", async () => {
  const before = await everywhere(OUR_FILES);
  expect(await program.up()).toMatch(/2 unchanged/);
  expect(await everywhere(OUR_FILES)).toEqual(before);
  expect(await everywhere(ETCD_STARTED)).toEqual(etcdStarted);
});

test("a refresh that finds nothing makes at most two round trips to each server", async () => {
  const before = await everywhere(CHANNELS);
  await program.pulumi("refresh", "--preview-only", "--diff", "--expect-no-changes");
  const after = await everywhere(CHANNELS);
  const trips = after.map((count, index) => Number(count) - Number(before[index]));
  for (const count of trips) expect(count).toBeGreaterThan(0);
  for (const count of trips) expect(count).toBeLessThanOrEqual(2);
});

test("and so does the operation behind it", async () => {
  const settings = { schedule, retention: 8, snapshotName: "etcd-snapshot", enabled: true };
  const { servers } = await readBackups(
    etcdLab.cluster,
    { ...settings, s3: { ...etcdLab.s3Settings, endpoint: door.endpoint } },
    { progress: silent },
  );
  expect(servers.flatMap(({ drift }) => drift)).toEqual([]);
  for (const [, { commands, tunnels }] of connectionCounts()) expect(commands + tunnels).toBeLessThanOrEqual(2);
  expect([...connectionCounts().keys()].sort()).toEqual(["s1", "s2", "s3"]);
});

test("files edited, deleted and opened to others: refresh names server and field, and up repairs these alone", async () => {
  await s1.exec("sed -i s/retention=\\'8\\'/retention=\\'3\\'/ /etc/etcd-backup/demo/settings");
  await s2.exec("rm /etc/etcd-backup/demo/save.sh");
  await s3.exec("chmod 644 /etc/etcd-backup/demo/s3-keys");
  const drifted = await drift();
  expect(drifted).toContain("s1: retention: '3', declared '8'");
  expect(drifted).toContain("s2: /etc/etcd-backup/demo/save.sh: is missing");
  expect(drifted).toContain("s3: /etc/etcd-backup/demo/s3-keys: mode 0644, declared 0600");
  const before = await everywhere(OUR_FILES);
  expect(await program.up("--refresh")).toMatch(/1 updated/);
  const changed = (await everywhere(OUR_FILES)).map((files, index) => filesChanged(before[index] ?? "", files));
  expect(changed).toEqual([
    ["/etc/etcd-backup/demo/settings"],
    ["/etc/etcd-backup/demo/save.sh"],
    ["/etc/etcd-backup/demo/s3-keys"],
  ]);
  expect(await everywhere(USERS_FILES)).toEqual(usersFiles);
  await noDrift();
});

test("a timer that is off, a later drop-in, and units that systemd has not read: named, and put right without touching the drop-in", async () => {
  await s1.exec("systemctl disable --quiet --now etcd-backup-demo.timer");
  const dropIn = "/etc/systemd/system/etcd-backup-demo.timer.d/zz-night.conf";
  await s2.exec(
    `mkdir -p ${dropIn.replace("/zz-night.conf", "")} && printf '[Timer]\\nOnCalendar=\\nOnCalendar=*-*-* 03:00:00\\n' >${dropIn} && systemctl daemon-reload`,
  );
  await s3.exec("printf '# changed\\n' >>/etc/systemd/system/etcd-backup-demo.timer");
  const drifted = await drift();
  expect(drifted).toContain("s1: enabled: the timer is off, declared active");
  expect(drifted).toContain(`s2: schedule: systemd runs "*-*-* 03:00:00" (by ${dropIn}), declared "${schedule}"`);
  expect(drifted).toContain("s3: /etc/systemd/system/etcd-backup-demo.timer: its content was changed");
  expect(drifted).toContain("s3: schedule: systemd has not read our units since they changed");
  expect(await program.up("--refresh")).toMatch(/1 updated/);
  expect(await s2.exec(`cat ${dropIn}`)).toContain("03:00:00");
  await noDrift();
});

test("a snapshot that did not come: up takes it, after failing with the error of S3 while that is down", async () => {
  await s3.exec(
    `touch -d '3 days ago' /etc/etcd-backup/demo /etc/etcd-backup/demo/* /etc/systemd/system/etcd-backup-demo.*`,
  );
  await door.shut();
  expect(await drift()).toMatch(/s3: schedule: the newest snapshot is of never, one was due by/);
  const failed = await program.pulumiFails("up", "--yes", "--skip-preview", "--refresh");
  expect(failed).toMatch(/cannot reach|ECONNREFUSED/i);
  await door.open();
  expect(await program.up("--refresh")).toMatch(/1 updated/);
  expect(await everywhere("ls /var/lib/etcd-backup/demo/snapshots 2>/dev/null | wc -l")).toEqual(["0\n", "0\n", "1\n"]);
  await noDrift();
});

test("destroyed, it takes its files along and leaves the snapshots", async () => {
  const stack = await automation();
  const { deployment } = (await stack.exportStack()) as { deployment: { resources: { type: string; id?: string }[] } };
  expect(deployment.resources).toContainEqual(
    expect.objectContaining({ type: "pulumi-nodejs:dynamic/etcd-backup:BackupConfig", id: "demo" }),
  );
  const { summary } = await stack.destroy();
  expect(summary.result).toBe("succeeded");
  const left = await everywhere(
    "ls -d /etc/etcd-backup /etc/systemd/system/etcd-backup-* 2>/dev/null; systemctl list-units --all --no-legend 'etcd-backup-*'",
  );
  expect(left).toEqual(["", expect.stringMatching(/^\/etc\/systemd\/system\/etcd-backup-demo\.timer\.d\n$/), ""]);
  expect(await s3.exec("ls /var/lib/etcd-backup/demo/snapshots")).toMatch(/^etcd-snapshot-s3-\d+\.db\n$/);
  expect(await everywhere(USERS_FILES)).toEqual(usersFiles);
  expect(await everywhere(ETCD_STARTED)).toEqual(etcdStarted);
});

test("destroyed with onDestroy: retain, it leaves everything as it is", async () => {
  program.write(backups(`onDestroy: "retain"`));
  await program.up();
  const before = await everywhere(OUR_FILES);
  await program.pulumi("destroy", "--yes", "--skip-preview");
  expect(await everywhere(OUR_FILES)).toEqual(before);
  expect(await s1.exec("systemctl is-active etcd-backup-demo.timer")).toBe("active\n");
});

const ETCD_STARTED = "systemctl show etcd.service -p ExecMainStartTimestampMonotonic -p MainPID";
const CHANNELS =
  "journalctl --sync; journalctl -t sshd -o cat --no-pager | grep -c 'server_input_channel_open: ctype' || true";
/** What our files are and when anything about them last changed. */
const OUR_FILES = `find /etc/etcd-backup /etc/systemd/system -path '*etcd-backup*' ! -type d -printf '%C@ %m %U %p\\n' | sort -k 4`;
/** Everything in /etc that is not ours: content, mode, owner and the time of its last change. */
const USERS_FILES = `find /etc ! -path '/etc/etcd-backup*' ! -path '/etc/systemd/system/*etcd-backup-*' -type f -printf '%C@ %m %U:%G %p ' -exec sha256sum {} \\; | sort -k 4`;

function everywhere(script: string): Promise<readonly string[]> {
  return Promise.all([s1, s2, s3].map((machine) => machine.exec(script)));
}

/** What a refresh shows; it has to find something. */
async function drift(): Promise<string> {
  const shown = await program.pulumiFails("refresh", "--preview-only", "--diff", "--expect-no-changes");
  return shown.replaceAll('\\"', '"');
}

async function noDrift(): Promise<void> {
  await program.pulumi("refresh", "--preview-only", "--diff", "--expect-no-changes");
}

function filesChanged(before: string, after: string): readonly string[] {
  const old = new Set(before.split("\n"));
  return after.split("\n").flatMap((line) => (old.has(line) ? [] : [line.split(" ").at(-1) ?? ""]));
}

/** The same stack, by Pulumi's Automation API. */
async function automation(): Promise<Awaited<ReturnType<typeof LocalWorkspace.selectStack>>> {
  process.env["PATH"] = program.env["PATH"];
  return LocalWorkspace.selectStack(
    { stackName: program.stack, workDir: program.directory },
    { envVars: { ...program.env } },
  );
}
