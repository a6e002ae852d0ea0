import { posix } from "node:path";
import type { RestoreRequest } from "../../provider/operations/restore";
import { openStore } from "../../provider/stores/open-store";
import { s3Bucket } from "../../provider/stores/s3-bucket";
import { closeConnections } from "../../provider/transport/connect";
import { reachServer } from "../../provider/operations/reach";
import { BUCKET, createLabProgram } from "../support/lab-program";
import { type BenchSize, median, say, secondsOf, table } from "./figures";
import { measureRestore, peakMegabytes } from "./provider-process";
import { startEtcdSubject, startK3sSubject, type Subject } from "./subjects";

const MOST_SECONDS = 5;
const MOST_MEGABYTES = 200;

/** The first table: restores of ours beside the same done by hand. */
export async function restores({ megabytes, runs }: BenchSize): Promise<string> {
  const rows: (readonly (string | number)[])[] = [];
  for (const start of [startK3sSubject, startEtcdSubject]) {
    say(`== a server with ${megabytes} MB`);
    const subject = await start(megabytes);
    try {
      for (const [kind, path] of Object.entries(subject.snapshots)) {
        rows.push(await measureRow(subject, kind, path, "a file of the server", runs));
        rows.push(await measureRow(subject, kind, path, "S3", runs));
      }
    } finally {
      await closeConnections();
      await subject.lab.down();
    }
  }
  const titles = ["restored", "from", "by hand", "of it the tool", "ours", "more than by hand", "memory", "targets"];
  return `## A restore of ${megabytes} MB, on one server

By hand is a runbook without any looking or checking: save the present data, stop, restore with the distribution's own
command (that alone is “of it the tool”), start, wait until it answers; from S3 with a download by \`curl\` from a
presigned URL first. Ours does the same with all it checks, in a process of its own, from its start to the report. Memory
is the highest resident memory, in MB, of the process in which Pulumi runs the provider, during a \`pulumi up\` that
restores. Targets: at most ${MOST_SECONDS} s more than by hand, memory below ${MOST_MEGABYTES} MB.

${table(titles, rows)}`;
}

async function measureRow(
  subject: Subject,
  kind: string,
  path: string,
  from: string,
  runs: number,
): Promise<readonly (string | number)[]> {
  const { cluster, s3Settings, machine } = subject;
  const name = posix.basename(path);
  const remote = from === "S3";
  const snapshot = remote ? `s3://${BUCKET}/demo/${name}` : `file://${machine.name}${path}`;
  if (remote) await upload(subject, path);
  const [byHand, tool, ours]: [number[], number[], number[]] = [[], [], []];
  for (let run = 1; run <= runs; run++) {
    await settle(subject);
    const url = remote ? await presign(subject, name) : undefined;
    byHand.push(await secondsOf(async () => tool.push(await restoreByHand(subject, path, url))));
    await settle(subject);
    const { seconds, report } = await measureRestore(cluster, {
      ...{ snapshot, triggers: [run], safetySnapshot: true, bumpRevision: false },
      ...(remote ? { s3: s3Settings } : {}),
    });
    ours.push(seconds);
    for (const { title, durationMs } of report.steps)
      say(`      ${(durationMs / 1000).toFixed(1).padStart(6)} s  ${title}`);
  }
  await settle(subject);
  const megabytes = await memoryOfProvider(subject, snapshot, remote);
  const [hand, mine] = [median(byHand), median(ours)];
  const row = [`${subject.title}, ${kind}`, from, hand, median(tool), mine, mine - hand, megabytes.toFixed(0)];
  const missed = [
    ...(mine - hand > MOST_SECONDS ? [`missed: ${(mine - hand).toFixed(1)} s more`] : []),
    ...(megabytes >= MOST_MEGABYTES ? [`missed: ${megabytes.toFixed(0)} MB`] : []),
  ];
  const all = [...row, missed.length === 0 ? "met" : missed.join("; ")];
  say(`   ${all.map((cell) => (typeof cell === "number" ? cell.toFixed(1) : cell)).join("  ")}`);
  return all;
}

async function restoreByHand(
  { machine, runbook, s3 }: Subject,
  path: string,
  url: string | undefined,
): Promise<number> {
  const file = url === undefined ? path : posix.join("/srv", posix.basename(path));
  const download = `cat >/root/authority.pem <<'END'
${s3.caPem ?? ""}
END
curl -fsS --cacert /root/authority.pem -o '${file}' '${url ?? ""}'
`;
  const printed = await machine.exec(`set -- '${file}'\n${url === undefined ? "" : download}${runbook}`, {
    timeoutMs: 900_000,
  });
  return Number(printed);
}

/** What earlier runs have left must not be in the way of the next one, nor what they have written and the disk has not. */
async function settle({ machine, tidyUp }: Subject): Promise<void> {
  await machine.exec(`${tidyUp}; rm -f /srv/large* /srv/zipped*; sync`, { timeoutMs: 300_000 });
}

async function upload({ cluster, s3Settings, machine }: Subject, path: string): Promise<void> {
  const [server] = cluster.servers;
  if (server === undefined) throw new Error("a cluster needs a server");
  const host = await reachServer(cluster, server);
  await openStore(s3Settings, cluster.name, host).put(host, path, posix.basename(path));
  await machine.exec("sync");
}

function presign({ s3Settings }: Subject, name: string): Promise<string> {
  return s3Bucket(s3Settings, undefined).presign(
    (sdk) => new sdk.GetObjectCommand({ Bucket: BUCKET, Key: `demo/${name}` }),
    3600,
  );
}

async function memoryOfProvider({ lab, s3, cluster }: Subject, snapshot: string, remote: boolean): Promise<number> {
  const request: Pick<RestoreRequest, "snapshot" | "triggers"> = { snapshot, triggers: ["pulumi"] };
  const program = await createLabProgram(
    lab,
    s3,
    cluster,
    `new SnapshotRestore("restore", { cluster, ${remote ? "s3, " : ""}...${JSON.stringify(request)} });`,
  );
  return peakMegabytes(program, () => program.up());
}
