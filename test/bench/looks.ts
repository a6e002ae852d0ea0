import { closeConnections } from "../../provider/transport/connect";
import type { Lab } from "../lab/lab";
import type { Machine } from "../lab/machine";
import { run } from "../lab/process";
import { createEtcdProgram, startEtcdLab } from "../support/etcd-program";
import { type BenchSize, median, say, secondsOf, table } from "./figures";

/** The second table: what it costs to see that nothing has changed. */
export async function looks({ runs }: BenchSize): Promise<string> {
  say("== three servers with nothing to do");
  const etcdLab = await startEtcdLab();
  const { lab } = etcdLab;
  const { machines } = lab;
  try {
    // sshd counts for both alike: its log has a line for each connection, and for each command or tunnel in it.
    const counting = "printf 'LogLevel DEBUG1\\n' >/etc/ssh/sshd_config.d/count.conf && systemctl reload ssh";
    await Promise.all(machines.map((machine) => machine.exec(counting)));
    const program = await createEtcdProgram(
      etcdLab,
      `new BackupConfig("demo", { cluster, schedule: "0 */6 * * *", retention: 8, s3 });`,
    );
    await program.up();
    const ways: Readonly<Record<string, () => Promise<unknown>>> = {
      "runbook: `ssh` for each question": () => questionByQuestion(lab),
      "runbook: one `ssh` for each server": () => serverByServer(lab),
      "`pulumi up`, nothing declared has changed": () => program.up("--expect-no-changes"),
      "`pulumi up --refresh`, and nothing on the servers": () => program.up("--refresh", "--expect-no-changes"),
    };
    const measured = Object.keys(ways).map(() => ({ seconds: [] as number[], connections: 0, trips: 0 }));
    for (let round = 1; round <= runs; round++) {
      for (const [index, way] of Object.values(ways).entries()) {
        const before = await countEverywhere(machines);
        const figures = measured[index];
        figures?.seconds.push(await secondsOf(way));
        const after = await countEverywhere(machines);
        Object.assign(figures ?? {}, {
          connections: (after.connections - before.connections) / machines.length,
          trips: (after.trips - before.trips) / machines.length,
        });
      }
    }
    const byHand = median(measured[0]?.seconds ?? []);
    const rows = Object.keys(ways).map((title, index) => {
      const { seconds, connections, trips } = measured[index] ?? { seconds: [], connections: NaN, trips: NaN };
      const time = median(seconds);
      return [title, String(connections), String(trips), time, (time / byHand).toFixed(2)];
    });
    for (const [title = "", connections, trips, time] of rows)
      say(`   ${Number(time).toFixed(1)} s  ${connections} connections, ${trips} round trips  ${title}`);
    return `## Seeing that nothing has changed, on three servers

The backups of an etcd cluster of three, configured and left alone. The runbook asks what a refresh looks at: versions, how
etcd and the timer run, our files with content and mode, the last run's outcome, the members' health. Connections and round
trips (commands and tunnels) are those of each server, counted by its sshd. What \`pulumi up\` takes without asking any server
is the engine's, the program's and the provider's own start.

${table(["", "connections", "round trips", "time", "ratio"], rows)}`;
  } finally {
    await closeConnections();
    await lab.down();
  }
}

const pki = "--cacert=/etc/etcd/pki/ca.crt --cert=/etc/etcd/pki/client.crt --key=/etc/etcd/pki/client.key";
const questions = [
  "etcd --version",
  "systemctl show etcd.service -p ActiveState -p ExecStart -p ExecMainStartTimestamp",
  "systemctl show etcd-backup-demo.timer -p ActiveState -p TimersCalendar -p NextElapseUSecRealtime",
  "systemctl show etcd-backup-demo.service -p Result -p ExecMainExitTimestamp",
  "stat -c '%a %U %n' /etc/etcd-backup/demo/* /etc/systemd/system/etcd-backup-demo.*",
  "sha256sum /etc/etcd-backup/demo/* /etc/systemd/system/etcd-backup-demo.*",
  "cat /var/lib/etcd-backup/demo/status.json || true",
  `etcdctl ${pki} endpoint health`,
];

async function questionByQuestion(lab: Lab): Promise<void> {
  for (const machine of lab.machines) for (const question of questions) await ssh(lab, machine, question);
}

async function serverByServer(lab: Lab): Promise<void> {
  for (const machine of lab.machines) await ssh(lab, machine, questions.join("\n"));
}

function ssh(lab: Lab, { address }: Machine, command: string): Promise<string> {
  const options = ["BatchMode=yes", `UserKnownHostsFile=${lab.knownHostsPath}`].flatMap((option) => ["-o", option]);
  return run("ssh", ["-F", "none", "-i", lab.sshKey.privateKeyPath, ...options, `root@${address}`, command]);
}

interface Counts {
  readonly connections: number;
  readonly trips: number;
}

async function countEverywhere(machines: readonly Machine[]): Promise<Counts> {
  const logs = await Promise.all(
    machines.map((machine) => machine.exec("journalctl --sync; journalctl -t sshd -o cat --no-pager")),
  );
  const count = (pattern: RegExp): number => logs.reduce((sum, log) => sum + [...log.matchAll(pattern)].length, 0);
  return { connections: count(/^Accepted publickey for/gm), trips: count(/server_input_channel_open: ctype/g) };
}
