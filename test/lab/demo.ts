// The main job, for real: a cluster of three servers under systemd loses data and gets it back by `pulumi up`.
// What proves it is not our code: the distribution's own commands, and etcdctl, asked on every server.
import { join } from "node:path";
import { type DemoCluster, demoClusters } from "./demo-cluster";
import { configure, pulumi } from "./demo-pulumi";
import { chapter, prove, say, summary } from "./demo-story";
import { repository } from "./equipment";
import { startLab } from "./lab";
import { type LabDistribution, readDistribution } from "./lab-distribution";
import type { Machine } from "./machine";
import type { PulumiProject } from "./pulumi";

async function demo(distribution: LabDistribution): Promise<void> {
  const lab = await chapter("boot three machines", () => startLab());
  try {
    const { s3, cluster } = await chapter(`start ${distribution} on them, and S3 beside them`, async () => {
      const s3 = await lab.startS3();
      await s3.createBucket("etcd-backups");
      return { s3, cluster: await demoClusters[distribution](lab) };
    });
    say(`   ${cluster.title} on ${lab.machines.map(({ name }) => name).join(", ")}`);
    if (cluster.notice !== undefined) say(`   ${cluster.notice}`);
    const [first] = lab.machines;
    if (first === undefined) throw new Error("the lab has no machines");
    const project = await lab.pulumi({ directory: join(repository, "test/lab/demo-program") });
    await configure(project, {
      distribution,
      servers: JSON.stringify(lab.machines.map(({ name, address }) => ({ name, host: address }))),
      knownHosts: lab.knownHosts,
      "--secret sshKey": lab.sshKey.privateKey,
      endpoint: s3.endpoint,
      endpointCa: s3.caPem ?? "",
      "--secret accessKeyId": s3.accessKeyId,
      "--secret secretAccessKey": s3.secretAccessKey,
    });

    await type(cluster, first, cluster.write("canary"));
    await chapter("pulumi up: backups configured, a snapshot taken to S3", () => up(project));
    await check(cluster, lab.machines, cluster.configured);
    const snapshot = (await pulumi(project, "stack", "output", "snapshot")).trim();
    prove(`the snapshot is in S3: ${snapshot}`, snapshot.startsWith("s3://etcd-backups/demo/"));

    await type(cluster, first, cluster.write("later"));
    const { title, servers, command } = cluster.disaster;
    await chapter(`the disaster: ${title}`, async () => {
      for (const name of servers) await type(cluster, lab.machine(name), command);
      prove("the canary cannot be read any more", !(await canRead(cluster, first, "canary")));
    });

    say(`\n$ pulumi config set restore ${snapshot}`);
    await pulumi(project, "config", "set", "restore", snapshot);
    const preview = await chapter("pulumi preview: what a restore would do", () => pulumi(project, "preview"));
    prove("the preview shows the plan", /will be lost\.[^]* 1\. /.test(preview));
    await chapter("pulumi up: the restore", () => up(project));

    await chapter("the proof, not by our code", async () => {
      await cluster.healthy();
      for (const machine of lab.machines) {
        prove(`${machine.name}: the canary is back`, await canRead(cluster, machine, "canary"));
        prove(`${machine.name}: what was written later is gone`, !(await canRead(cluster, machine, "later")));
      }
      const { members } = JSON.parse(await cluster.etcdctl(first, ["member", "list", "--write-out=json"])) as {
        readonly members: readonly { readonly isLearner?: boolean }[];
      };
      const voters = members.filter(({ isLearner = false }) => !isLearner);
      prove("three members, all of them voters", members.length === 3 && voters.length === 3);
      const hashes = Object.values(await cluster.hashKv());
      prove("all members have the same hash at one revision", hashes.length === 3 && new Set(hashes).size === 1);
      await check(cluster, lab.machines, cluster.restored);
    });
    await chapter("pulumi up again: nothing changes", async () => {
      const again = await up(project);
      prove("no resource was touched", /unchanged/.test(again) && !/(created|updated|replaced)/.test(again));
    });
    say(`\n${cluster.title}: ${title}; \`pulumi up\` brought it back. All of it was proven.`);
  } finally {
    await chapter("clean up", () => lab.down());
    summary();
  }
}

function up(project: PulumiProject): Promise<string> {
  return pulumi(project, "up", "--yes", "--skip-preview");
}

/** Runs a command on a machine as it is shown. */
async function type(cluster: DemoCluster, machine: Machine, command: string): Promise<void> {
  say(`   ${machine.name}$ ${command}`);
  await machine.exec(command, { env: cluster.env });
}

async function canRead(cluster: DemoCluster, machine: Machine, name: string): Promise<boolean> {
  const { stdout, code } = await machine.tryExec(cluster.read(name), { env: cluster.env });
  return code === 0 && stdout.trim() !== "";
}

async function check(
  cluster: DemoCluster,
  machines: readonly Machine[],
  checks: DemoCluster["configured"],
): Promise<void> {
  for (const machine of machines) {
    for (const { fact, command, prints } of checks) {
      const { stdout, stderr } = await machine.tryExec(command, { env: cluster.env });
      if (!prints.test(stdout)) say(`   ${machine.name}$ ${command}\n${stdout}${stderr}`);
      prove(`${machine.name}: ${fact}`, prints.test(stdout));
    }
  }
}

async function main(words: readonly string[]): Promise<void> {
  await demo(readDistribution(words));
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`the demo failed: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
