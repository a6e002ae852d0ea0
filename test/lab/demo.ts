// The main job, for real: a three-member etcd cluster under systemd loses most of its data and gets it back by `pulumi up`.
// What proves it is not our code: etcdctl, asked on every member.
import { join } from "node:path";
import { repository } from "./equipment";
import type { EtcdCluster } from "./etcd";
import { startLab } from "./lab";
import type { Machine } from "./machine";
import type { PulumiProject } from "./pulumi";

const began = Date.now();
const table: [string, number][] = [];

async function demo(): Promise<void> {
  const lab = await chapter("boot three machines, etcd with TLS, and S3", async () => {
    const started = await startLab();
    const s3 = await started.startS3();
    await s3.createBucket("etcd-backups");
    return { ...started, s3, etcd: await started.startEtcd() };
  });
  try {
    const { etcd, s3 } = lab;
    const [first] = lab.machines;
    if (first === undefined) throw new Error("the lab has no machines");
    const project = await lab.pulumi({ directory: join(repository, "test/lab/demo-program") });
    await configure(project, {
      servers: JSON.stringify(lab.machines.map(({ name, address }) => ({ name, host: address }))),
      knownHosts: lab.knownHosts,
      "--secret sshKey": lab.sshKey.privateKey,
      endpoint: s3.endpoint,
      endpointCa: s3.caPem ?? "",
      "--secret accessKeyId": s3.accessKeyId,
      "--secret secretAccessKey": s3.secretAccessKey,
    });

    await put(etcd, first, "canary/flag", "written before the snapshot");
    await chapter("pulumi up: backups configured, a snapshot taken to S3", () =>
      pulumi(project, "up", "--yes", "--skip-preview"),
    );
    const timers = await Promise.all(
      lab.machines.map((machine) => machine.exec("systemctl is-active etcd-backup-demo.timer")),
    );
    prove(
      "the timer is active on every server",
      timers.every((state) => state.trim() === "active"),
    );
    const snapshot = (await pulumi(project, "stack", "output", "snapshot")).trim();
    prove(`the snapshot is in S3: ${snapshot}`, snapshot.startsWith("s3://etcd-backups/demo/"));

    await put(etcd, first, "after/flag", "written after the snapshot");
    await chapter("the disaster: s2 and s3 lose their data", async () => {
      const disaster = "systemctl kill --signal=KILL etcd.service; systemctl stop etcd.service; rm -rf /var/lib/etcd/*";
      for (const name of ["s2", "s3"]) {
        process.stdout.write(`   ${name}$ ${disaster}\n`);
        await lab.machine(name).exec(disaster);
      }
    });

    process.stdout.write(`\n$ pulumi config set restore ${snapshot}\n`);
    await pulumi(project, "config", "set", "restore", snapshot);
    const preview = await chapter("pulumi preview: what a restore would do", () => pulumi(project, "preview"));
    prove("the preview shows the plan", preview.includes("Everything written to etcd after"));
    await chapter("pulumi up: the restore", () => pulumi(project, "up", "--yes", "--skip-preview"));

    await chapter("the proof, by etcdctl", async () => {
      await etcd.healthy();
      for (const machine of lab.machines) {
        prove(`${machine.name}: the canary is back`, (await etcd.keys(machine, "canary/")).join() === "canary/flag");
        prove(`${machine.name}: what was written later is gone`, (await etcd.keys(machine, "after/")).length === 0);
      }
      const hashes = Object.values(await etcd.hashKv());
      prove("all members have the same hash at one revision", hashes.length === 3 && new Set(hashes).size === 1);
      await scheduledBackup(etcd);
    });
    await chapter("pulumi up again: nothing changes", async () => {
      const again = await pulumi(project, "up", "--yes", "--skip-preview");
      prove("no resource was touched", /unchanged/.test(again) && !/(created|updated|replaced)/.test(again));
    });
    process.stdout.write(
      "\nThe cluster lost two of three members' data, and `pulumi up` brought it back. All of it was proven.\n",
    );
  } finally {
    await chapter("clean up", () => lab.down());
    summary();
  }
}

async function put(etcd: EtcdCluster, machine: Machine, key: string, value: string): Promise<void> {
  process.stdout.write(`\n   ${machine.name}$ etcdctl put ${key} "${value}"\n`);
  await etcd.putKeys(machine, { [key]: value });
}

async function scheduledBackup(etcd: EtcdCluster): Promise<void> {
  for (const machine of etcd.members) {
    const status = await machine.exec(
      "systemctl start etcd-backup-demo.service && cat /var/lib/etcd-backup/demo/status.json",
    );
    const { ok } = JSON.parse(status) as { ok: boolean };
    prove(`${machine.name}: the next scheduled backup works`, ok);
  }
}

async function configure(project: PulumiProject, values: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, value] of Object.entries(values)) {
    await pulumi(project, "config", "set", ...name.split(" "), "--", value);
  }
}

/** Runs pulumi, shows what it prints when it is worth reading, and fails with it otherwise. */
async function pulumi(project: PulumiProject, ...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await project.run(words);
  if (["up", "preview"].includes(words[0] ?? "")) {
    process.stdout.write(
      `\n$ pulumi ${words.join(" ")}\n${worthReading(stdout)
        .map((line) => `  ${line}\n`)
        .join("")}\n`,
    );
  }
  if (code !== 0) throw new Error(`pulumi ${words[0] ?? ""} ended with ${code ?? "a signal"}:\n${stdout}\n${stderr}`);
  return stdout;
}

/**
 * Of what pulumi prints without a terminal: each step of a restore once, and the end, which says all that stays. The rest
 * is the same said as it happened, and where the engine found the lab's equipment.
 */
function worthReading(stdout: string): readonly string[] {
  const lines = stdout
    .split("\n")
    .filter((line) => line.trim() !== "" && !/from \$PATH at|^ *pulumi:pulumi:Stack/.test(line));
  const end = lines.findIndex((line) => /^(Diagnostics|Outputs|Resources):/.test(line));
  const steps = lines.slice(0, end).flatMap((line) => /step \d+\/\d+: .*/.exec(line)?.[0] ?? []);
  const rest = lines.slice(end).filter((line, at, all) => line !== "Diagnostics:" || /^\s/.test(all[at + 1] ?? ""));
  return [...new Set(steps), ...rest];
}

async function chapter<T>(title: string, work: () => Promise<T>): Promise<T> {
  process.stdout.write(`\n== ${title}\n`);
  const start = Date.now();
  const result = await work();
  table.push([title, Date.now() - start]);
  return result;
}

function prove(fact: string, holds: boolean): void {
  process.stdout.write(`   ${holds ? "proven" : "NOT TRUE"}: ${fact}\n`);
  if (!holds) throw new Error(`not true: ${fact}`);
}

function summary(): void {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`.padStart(8);
  process.stdout.write(`\n${table.map(([title, ms]) => `${seconds(ms)}  ${title}`).join("\n")}\n`);
  process.stdout.write(`${seconds(Date.now() - began)}  in all\n`);
}

demo().catch((error: unknown) => {
  process.stderr.write(`\nthe demo failed: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
