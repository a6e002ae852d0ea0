import { readdirSync } from "node:fs";
import { join } from "node:path";
import { distributionOf } from "../../provider/distributions";
import { reachServer } from "../../provider/operations/reach";
import { closeConnections } from "../../provider/transport/connect";
import type { Machine } from "../lab/machine";
import { waitFor } from "../lab/wait";
import { createK3sProgram, type K3sLab, labelOf, startK3sLab } from "../support/k3s-program";
import { BUCKET, type LabProgram } from "../support/lab-program";

// Half a day from now, so that no snapshot is due while its test runs.
const schedule = `30 ${(new Date().getUTCHours() + 12) % 24} * * *`;
const backups = (more = "", s3 = "{ ...s3, keepRounds: 2 }"): string =>
  `const backups = new BackupConfig("demo", { cluster, schedule: "${schedule}", retention: 8, s3: ${s3}, ${more} });
   exports.servers = backups.servers;
   exports.warnings = backups.warnings;`;

const DROP_IN = "/etc/rancher/k3s/config.yaml.d/60-etcd-backup.yaml";

describe(`three servers of ${labelOf("k3s")}`, () => {
  let k3sLab: K3sLab;
  let program: LabProgram;
  let machines: readonly Machine[];
  let s1: Machine, s2: Machine, s3: Machine;
  let usersFiles: readonly string[];

  beforeAll(async () => {
    k3sLab = await startK3sLab();
    const { lab } = k3sLab;
    machines = [s1, s2, s3] = [lab.machine("s1"), lab.machine("s2"), lab.machine("s3")];
    program = await createK3sProgram(k3sLab, backups());
    await everywhere("printf 'LogLevel DEBUG1\\n' >/etc/ssh/sshd_config.d/count.conf && systemctl reload ssh");
    // The user's own files, down to one without a last newline and a setting of the same name as one of ours.
    await everywhere(`mkdir -p /etc/rancher/k3s/config.yaml.d
printf 'etcd-snapshot-retention: 2\\n# mine' >/etc/rancher/k3s/config.yaml.d/10-own.yaml`);
    usersFiles = await everywhere(USERS_FILES);
  });
  afterAll(async () => {
    await closeConnections();
    await k3sLab.lab.down();
  });

  test("a fresh configuration: a file of 0600, one restart of each server at a time, and the cluster takes writes throughout", async () => {
    const before = await everywhere(STARTED);
    const writer = startWriter(k3sLab);
    expect(await program.up()).toMatch(/BackupConfig demo created/);
    expect(await writer.longestGap()).toBeLessThan(ELECTION_SECONDS);
    const after = await everywhere(STARTED);
    for (const [index, started] of after.entries()) expect(started).not.toBe(before[index]);
    expect(overlaps(await everywhere(UNIT_LOG))).toEqual([]);
    expect(await everywhere(`stat -c '%a %U %n' ${DROP_IN}`)).toEqual(machines.map(() => `600 root ${DROP_IN}\n`));
    const servers = JSON.parse(await program.output("servers")) as unknown;
    expect(servers).toEqual(
      ["s1", "s2", "s3"].map((server) => ({
        ...{ server, version: expect.stringMatching(/^v1\.35\.\d+\+k3s1$/) as unknown },
        etcdVersion: expect.stringMatching(/^3\.6\.\d+$/) as unknown,
        ...{
          directory: "/var/lib/rancher/k3s/server/db/snapshots",
          timer: "active",
          schedule: [schedule],
          retention: 8,
        },
      })),
    );
  });

  test("it left every other file as it was", async () => {
    expect(await everywhere(USERS_FILES)).toEqual(usersFiles);
  });

  test("the same again changes nothing, writes no file and starts nothing", async () => {
    const before = [await everywhere(OUR_FILE), await everywhere(STARTED)];
    expect(await program.up()).toMatch(/2 unchanged/);
    expect([await everywhere(OUR_FILE), await everywhere(STARTED)]).toEqual(before);
  });

  test("a refresh that finds nothing makes at most two round trips to each server", async () => {
    const before = await everywhere(CHANNELS);
    await noDrift();
    const trips = (await everywhere(CHANNELS)).map((count, index) => Number(count) - Number(before[index]));
    for (const count of trips) expect(count).toBeGreaterThan(0);
    for (const count of trips) expect(count).toBeLessThanOrEqual(2);
  });

  test("six scheduled rounds: the bucket holds what was declared, and what was asked for besides stays", async () => {
    const asked = await k3sLab.k3s.run(s1, ["etcd-snapshot", "save", "--name", "before-upgrade"]);
    expect(asked.code).toBe(0);
    for (let round = 0; round < 6; round++) await scheduledRound();
    const keys = readdirSync(join(k3sLab.s3.dir, BUCKET, "demo"));
    const named = (base: string): number => keys.filter((key) => key.startsWith(`${base}-s`)).length;
    expect([named("etcd-snapshot"), named("before-upgrade")]).toEqual([6, 1]);
    expect(await everywhere(SCHEDULED)).toEqual(machines.map(() => "6\n"));
    await noDrift();
  });

  test("the snapshot that did not come: taken under the scheduled name, there and in S3; an upload that failed is not believed", async () => {
    const { cluster } = k3sLab;
    const host = await reachServer(cluster, cluster.servers[0] ?? { name: "s1" });
    const { backups: scheduled } = distributionOf(cluster);
    const settings = { schedule, retention: 8, snapshotName: "etcd-snapshot", enabled: true };
    const look = await scheduled.look(host, cluster, { ...settings, s3: { ...k3sLab.s3Settings, keepRounds: 2 } });
    expect(look.drift).toEqual([]);
    const before = Number(await s1.exec(SCHEDULED));
    await s1.exec("sleep 1.1");
    await host.run(scheduled.saveNow(cluster, look));
    expect(Number(await s1.exec(SCHEDULED))).toBe(before + 1);
    await s1.exec("sleep 1.1; mkdir -p /run/stand-in-faults && touch /run/stand-in-faults/upload-fails");
    await expect(host.run(scheduled.saveNow(cluster, look))).rejects.toThrow(/its upload to S3 failed/);
    await s1.exec("rm /run/stand-in-faults/upload-fails");
    const { lastFailure } = await scheduled.look(host, cluster, settings);
    expect(lastFailure).toMatch(/^the scheduled snapshot of .* did not reach S3: /);
  });

  test("edited, deleted and opened to others: refresh names server and field, and up repairs these alone", async () => {
    await s1.exec(`sed -i s/retention:\\ 8/retention:\\ 3/ ${DROP_IN}`);
    await s2.exec(`rm ${DROP_IN}`);
    await s3.exec(`chmod 644 ${DROP_IN}`);
    const drifted = await drift();
    expect(drifted).toContain("s1: retention: 3, declared 8");
    expect(drifted).toContain(`s1: restart: k3s.service has not been started again since ${DROP_IN} was changed`);
    expect(drifted).toContain(`s2: ${DROP_IN}: is missing`);
    expect(drifted).toContain(`s3: ${DROP_IN}: mode 0644, declared 0600`);
    const before = await everywhere(STARTED);
    expect(await program.up("--refresh")).toMatch(/1 updated/);
    const after = await everywhere(STARTED);
    expect(after.map((started, index) => started !== before[index])).toEqual([true, true, false]);
    expect(await everywhere(USERS_FILES)).toEqual(usersFiles);
    await noDrift();
  });

  test("a server that was not started again since: up restarts it alone", async () => {
    await s2.exec(`sleep 1.1; touch ${DROP_IN}`);
    expect(await drift()).toContain("s2: restart: k3s.service has not been started again");
    const before = await everywhere(STARTED);
    expect(await program.up("--refresh")).toMatch(/1 updated/);
    const after = await everywhere(STARTED);
    expect(after.map((started, index) => started !== before[index])).toEqual([false, true, false]);
    await noDrift();
  });

  test("a later drop-in that overrides ours is named; up puts ours behind it, on that server alone", async () => {
    const later = "/etc/rancher/k3s/config.yaml.d/90-own.yaml";
    await s3.exec(`printf 'etcd-snapshot-retention: 1\\netcd-s3-secret-key: other-secret\\n' >${later}`);
    const drifted = await drift();
    expect(drifted).toContain(`s3: retention: 1 (by ${later}), declared 8`);
    expect(drifted).toContain(`s3: s3.secretAccessKey: differs (by ${later})`);
    expect(drifted).not.toContain("other-secret");
    const [before, theirs] = [await everywhere(STARTED), await s3.exec(`cat ${later}`)];
    expect(await program.up("--refresh")).toMatch(/1 updated/);
    const last = DROP_IN.replace("60-", "~~");
    expect(await s3.exec(`stat -c %a '${last}'; ls -A $(dirname ${DROP_IN}) | LC_ALL=C sort | tail -n 2`)).toBe(
      "600\n90-own.yaml\n~~etcd-backup.yaml\n",
    );
    expect(await s3.exec(`cat ${later}`)).toBe(theirs);
    const after = await everywhere(STARTED);
    expect(after.map((started, index) => started !== before[index])).toEqual([false, false, true]);
    await noDrift();
    await s3.exec(`rm ${later} '${last}'`);
    await program.up("--refresh");
    await noDrift();
  });

  test("a server that does not come back gets its previous settings again, and the others are left alone", async () => {
    const trap = "/etc/systemd/system/k3s.service.d/trap.conf";
    await s2.exec(`mkdir -p ${trap.replace("/trap.conf", "")}
printf '[Service]\\nExecStartPre=/bin/sh -c "! grep -q retention:.9 ${DROP_IN}"\\n' >${trap} && systemctl daemon-reload`);
    const before = await everywhere(`cat ${DROP_IN}`);
    program.write(backups("compress: true").replace("retention: 8", "retention: 9"));
    const failed = await program.pulumiFails("up", "--yes", "--skip-preview");
    expect(failed).toContain("s2: k3s.service did not come back with its new files");
    expect(failed).toContain("Its previous files were put back, and it runs with them again.");
    expect(failed).toMatch(/Changed and restarted: .*\. Not touched: /);
    expect(await s2.exec(`cat ${DROP_IN}`)).toBe(before[1]);
    expect(await s2.exec("systemctl is-active k3s")).toBe("active\n");
    await k3sLab.k3s.healthy();
    await s2.exec(`rm ${trap} && rmdir ${trap.replace("/trap.conf", "")} && systemctl daemon-reload`);
    expect(await program.up()).toMatch(/1 updated/);
    expect(await everywhere(`grep -c 'retention: 9' ${DROP_IN}`)).toEqual(machines.map(() => "1\n"));
    await scheduledRound(".zip");
  });

  test("with a member away no other server is touched", async () => {
    await s3.exec("systemctl stop k3s");
    program.write(backups());
    const before = [await everywhere(OUR_FILE), await everywhere(STARTED)];
    const failed = await program.pulumiFails("up", "--yes", "--skip-preview");
    expect(failed).toContain("the member of s3 does not answer");
    expect([await everywhere(OUR_FILE), await everywhere(STARTED)]).toEqual(before);
    await s3.exec("systemctl start k3s");
    await k3sLab.k3s.healthy();
  });

  test("enabled: false ends the schedule; snapshots on request still work", async () => {
    program.write(backups("enabled: false"));
    await program.up();
    expect(JSON.parse(await program.output("servers"))).toContainEqual(expect.objectContaining({ timer: "off" }));
    const before = await s1.exec(SCHEDULED);
    await s1.exec("kill -USR1 $(systemctl show k3s -p MainPID --value)");
    expect((await k3sLab.k3s.run(s1, ["etcd-snapshot", "save", "--name", "mine"])).code).toBe(0);
    expect(await s1.exec(SCHEDULED)).toBe(before);
    await noDrift();
  });

  test("destroyed, it takes its file along, in turn, and leaves the snapshots", async () => {
    const before = await everywhere(STARTED);
    const writer = startWriter(k3sLab);
    await program.pulumi("destroy", "--yes", "--skip-preview");
    expect(await writer.longestGap()).toBeLessThan(ELECTION_SECONDS);
    expect(await everywhere(`ls ${DROP_IN} 2>/dev/null || :`)).toEqual(["", "", ""]);
    const after = await everywhere(STARTED);
    for (const [index, started] of after.entries()) expect(started).not.toBe(before[index]);
    expect(Number(await s1.exec(SCHEDULED))).toBeGreaterThan(0);
    expect(await everywhere(USERS_FILES)).toEqual(usersFiles);
  });

  function everywhere(script: string): Promise<readonly string[]> {
    return Promise.all(machines.map((machine) => machine.exec(script)));
  }

  /** What a refresh shows; it has to find something. */
  async function drift(): Promise<string> {
    const shown = await program.pulumiFails("refresh", "--preview-only", "--diff", "--expect-no-changes");
    return shown.replaceAll('\\"', '"');
  }

  async function noDrift(): Promise<void> {
    await program.pulumi("refresh", "--preview-only", "--diff", "--expect-no-changes");
  }

  /** Has every server take its scheduled snapshot now, one after the other: names tell seconds apart. */
  async function scheduledRound(ending = ""): Promise<void> {
    for (const machine of machines) {
      const at = async (): Promise<string> =>
        machine.exec(`ls -t ${SNAPSHOTS} 2>/dev/null | grep '^etcd-snapshot-s.*${ending}$' | head -n 1`);
      const newest = await at();
      await machine.exec("sleep 1; kill -USR1 $(systemctl show k3s -p MainPID --value)");
      await waitFor(
        `${machine.name}: a scheduled snapshot`,
        async () => {
          const now = await at();
          return now === newest ? undefined : now;
        },
        { deadlineMs: 20_000, everyMs: 200 },
      );
    }
  }
});

/** A new leader is found within an election timeout or two, each of a second or more; without a quorum nothing is written until a server is back. */
const ELECTION_SECONDS = 8;
const SNAPSHOTS = "/var/lib/rancher/k3s/server/db/snapshots";
const SCHEDULED = `ls ${SNAPSHOTS} | grep -c '^etcd-snapshot-s' || :`;
const STARTED = "systemctl show k3s.service -p ExecMainStartTimestampMonotonic -p MainPID";
const UNIT_LOG = "journalctl --sync; journalctl -u k3s.service -t systemd -o short-unix --no-pager";
const CHANNELS =
  "journalctl --sync; journalctl -t sshd -o cat --no-pager | grep -c 'server_input_channel_open: ctype' || true";
const OUR_FILE = `stat -c '%Z %a %U %s' ${DROP_IN}`;
/** Everything in /etc that is neither ours nor K3s's own: content, mode, owner and the time of its last change. */
const USERS_FILES = `find /etc ! -path '${DROP_IN}' ! -path /etc/rancher/k3s/k3s.yaml ! -path '*/k3s.service.d*' -type f -printf '%C@ %m %U:%G %p ' -exec sha256sum {} \\; | sort -k 4`;

/** The times between two servers' stop and start that overlap. */
function overlaps(logs: readonly string[]): string[] {
  const away = logs.flatMap((log, index) => {
    const times = (word: string): number[] =>
      [...log.matchAll(new RegExp(`^(\\d+\\.\\d+) .*: ${word}`, "gm"))].map(([, time]) => Number(time));
    const starts = times("Started");
    return times("Stopping").map((from) => ({ index, from, to: starts.find((time) => time > from) ?? Infinity }));
  });
  return away.flatMap((one) =>
    away
      .filter((other) => other.index > one.index && other.from < one.to && one.from < other.to)
      .map((other) => `s${one.index + 1} and s${other.index + 1}`),
  );
}

/** Writes key after key, through whichever member answers; tells the longest time without a write, in seconds. */
function startWriter({ lab, k3s }: K3sLab): { longestGap(): Promise<number> } {
  let going = true;
  let [last, longest] = [Date.now(), 0];
  const endpoints = lab.machines.map(({ address }) => `https://${address}:2379`).join(",");
  const work = (async () => {
    for (let index = 0; going; index++) {
      const words = ["--endpoints", endpoints, "put", `probe/${index}`, "x", "--command-timeout=2s"];
      // What was under way with a leader that goes away fails; the next one has to succeed.
      const written = await k3s.etcdctl(lab.machine("s1"), words).then(
        () => true,
        () => false,
      );
      if (!written) continue;
      longest = Math.max(longest, Date.now() - last);
      last = Date.now();
    }
  })();
  return {
    longestGap: async () => {
      going = false;
      await work;
      return Math.max(longest, Date.now() - last) / 1000;
    },
  };
}
