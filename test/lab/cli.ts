import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { readEquipment } from "./equipment";
import { noticeOf, titleOf } from "./k3s-title";
import { type Lab, openLab, startLab } from "./lab";
import { type LabDistribution, readDistribution } from "./lab-distribution";
import { isStaying } from "./lab-record";
import { removeDeadLabs, removeLab } from "./remove-lab";

const usage = `usage: npm run lab -- up [--distribution etcd|k3s|rke2] | status | ssh <machine> [command] | down
  up      boots three machines with etcd (TLS), K3s or RKE2, and S3, and leaves them running
  status  what runs, and how to reach it
  ssh     a shell on a machine
  down    ends and removes all labs that were left running, and what killed runs left`;

void main(process.argv.slice(2)).then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  },
);

async function main([verb = "", ...words]: readonly string[]): Promise<number> {
  switch (verb) {
    case "up":
      return up(readDistribution(words));
    case "status":
      return status();
    case "ssh":
      return ssh(words);
    case "down":
      return down();
    // For the watcher of a lab whose process has ended.
    case "remove":
      await removeLab(words[0] ?? "");
      return 0;
    default:
      console.error(usage);
      return 1;
  }
}

async function up(distribution: LabDistribution): Promise<number> {
  const running = labsThatStay();
  if (running.length > 0) throw new Error("a lab is up already: `npm run lab -- status`, `npm run lab -- down`");
  const started = Date.now();
  const lab = await startLab();
  try {
    const s3 = await lab.startS3();
    await s3.createBucket("backups");
    const lines = await startCluster(lab, distribution);
    lab.stay();
    describe(lab);
    for (const line of lines) console.log(line);
    console.log(`S3        endpoint ${s3.endpoint} (TLS), region ${s3.region}, bucket backups`);
    console.log(`          key ${s3.accessKeyId}, secret ${s3.secretAccessKey}`);
    console.log(`authority ${lab.authority.caPath}`);
    console.log(`ready in ${((Date.now() - started) / 1000).toFixed(1)} s`);
    return 0;
  } catch (error) {
    await lab.down();
    throw error;
  }
}

/** Returns what to say of it. */
async function startCluster(lab: Lab, distribution: LabDistribution): Promise<readonly string[]> {
  if (distribution === "etcd") {
    const { version, endpoints } = await lab.startEtcd();
    return [`etcd      ${version}, ${endpoints.join(" ")}, certificates in /etc/etcd/pki on the machines`];
  }
  const cluster = await lab.startK3s({ distribution });
  const kubectl = {
    k3s: "k3s kubectl get nodes",
    rke2: `${cluster.dataDir}/bin/kubectl --kubeconfig /etc/rancher/rke2/rke2.yaml get nodes`,
  }[distribution];
  const notice = noticeOf(cluster);
  return [
    `${distribution.padEnd(9)} ${await titleOf(cluster)}; on the machines: ${kubectl}`,
    ...(notice === undefined ? [] : [`          ${notice}`]),
  ];
}

function status(): number {
  const labs = labsThatStay();
  for (const lab of labs) describe(lab);
  if (labs.length === 0) console.log("no lab is up: `npm run lab -- up`");
  return labs.length > 0 ? 0 : 1;
}

function ssh([name = "s1", ...command]: readonly string[]): number {
  const [lab] = labsThatStay();
  if (lab === undefined) throw new Error("no lab is up: `npm run lab -- up`");
  const words = [...sshWords(lab), `root@${lab.machine(name).address}`, ...command];
  return spawnSync("ssh", words, { stdio: "inherit" }).status ?? 1;
}

async function down(): Promise<number> {
  const { cache } = readEquipment();
  for (const lab of labsThatStay()) {
    await lab.down();
    console.log(`lab ${lab.id} is gone`);
  }
  await removeDeadLabs(cache);
  return 0;
}

function describe(lab: Lab): void {
  console.log(`lab ${lab.id} in ${lab.directory}`);
  for (const { name, address, isRunning } of lab.machines)
    console.log(`${name.padEnd(9)} ${address} ${isRunning ? "running" : "off"}`);
  console.log(`ssh       ssh ${sshWords(lab).join(" ")} root@${lab.machines[0]?.address ?? ""}`);
  console.log(`          npm run lab -- ssh ${lab.machines[0]?.name ?? ""}`);
}

function sshWords(lab: Lab): readonly string[] {
  const options = [`UserKnownHostsFile=${lab.knownHostsPath}`, "IdentitiesOnly=yes"];
  return ["-F", "none", "-i", lab.sshKey.privateKeyPath, ...options.flatMap((option) => ["-o", option])];
}

function labsThatStay(): readonly Lab[] {
  const equipment = readEquipment();
  const labs = join(equipment.cache, "labs");
  if (!existsSync(labs)) return [];
  return readdirSync(labs)
    .filter((id) => isStaying(join(labs, id)))
    .map((id) => openLab(equipment, id));
}
