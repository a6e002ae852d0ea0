import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ErrorCode } from "../../provider/errors";
import type { Cluster } from "../../provider/model";
import { configureBackups } from "../../provider/operations/configure-backups";
import { previewRestore } from "../../provider/operations/preview-restore";
import { type RestoreRequest, restoreSnapshot } from "../../provider/operations/restore";
import { takeSnapshot } from "../../provider/operations/take-snapshot";
import { closeConnections } from "../../provider/transport/connect";
import { repository } from "../lab/equipment";
import { type EtcdLab, startEtcdLab } from "../support/etcd-program";
import { backUpNow, changingCommands, listeningCall, saveByEtcdctl, traces } from "../support/restore-oracles";

let etcdLab: EtcdLab;
let snapshot: string;
const call = listeningCall();

beforeAll(async () => {
  etcdLab = await startEtcdLab();
  const { cluster, s3Settings, etcd, lab } = etcdLab;
  const settings = { schedule: "0 */6 * * *", retention: 5, snapshotName: "etcd-snapshot", enabled: true };
  await configureBackups(cluster, { ...settings, s3: s3Settings }, call);
  await etcd.putKeys(lab.machine("s1"), { "canary/1": "x" });
  snapshot = await backUpNow(lab.machine("s1"), "demo");
  await saveByEtcdctl(etcd, lab.machine("s2"), "/srv/whole.db");
}, 180_000);
afterAll(async () => {
  await closeConnections();
  await etcdLab.lab.down();
});

interface Refusal {
  readonly title: string;
  readonly request: () => Partial<RestoreRequest>;
  readonly cluster?: (cluster: Cluster) => Cluster;
  readonly code: ErrorCode;
  /** What the error tells beside its code. */
  readonly says: () => string;
}

describe("refused, and nothing on any server was touched", () => {
  const s3 = (name: string): string => `s3://etcd-backups/demo/${name}`;
  test.each<Refusal>([
    {
      title: "an object that is not there, with the names of those that are",
      request: () => ({ snapshot: s3("no-such.db") }),
      code: "SNAPSHOT_NOT_FOUND",
      says: (): string => snapshot,
    },
    {
      title: "an object that is empty",
      request: () => ({ snapshot: s3(object("empty.db", () => Buffer.alloc(0))) }),
      code: "SNAPSHOT_CORRUPT",
      says: () => "empty",
    },
    {
      title: "an object whose trailer was cut off",
      request: () => ({ snapshot: s3(object("cut.db", (whole) => whole.subarray(0, whole.length - 32))) }),
      code: "SNAPSHOT_CORRUPT",
      says: () => "no SHA-256 trailer",
    },
    {
      title: "a file on a server whose content is not what its trailer says",
      request: () => {
        const root = etcdLab.lab.machine("s2").root;
        copyFileSync(join(root, "srv/whole.db"), join(root, "srv/flipped.db"));
        flipByte(join(root, "srv/flipped.db"));
        return { snapshot: "file://s2/srv/flipped.db" };
      },
      code: "SNAPSHOT_CORRUPT",
      says: () => "trailer does not match",
    },
    {
      title: "a file name that no server has",
      request: () => ({ snapshot: "nowhere.db", s3: undefined }),
      code: "SNAPSHOT_NOT_FOUND",
      says: (): string => snapshot,
    },
    {
      title: "a bucket that is not there",
      request: () => ({ snapshot: "s3://no-such-bucket/demo/x.db" }),
      code: "BUCKET_NOT_FOUND",
      says: () => "no-such-bucket",
    },
    {
      title: "a listed server that cannot be reached",
      request: () => ({ snapshot: s3(snapshot) }),
      cluster: (cluster: Cluster): Cluster => ({
        ...cluster,
        connection: { ...cluster.connection, dialErrorLimit: 0, perDialTimeout: 2 },
        servers: [...cluster.servers, { name: "s4", connection: { host: `${etcdLab.lab.network.prefix}.99` } }],
      }),
      code: "HOST_UNREACHABLE",
      says: () => "s4",
    },
    {
      title: "an empty name",
      request: () => ({ snapshot: "" }),
      code: "INVALID_INPUT",
      says: () => "snapshot is empty",
    },
  ])("$title", async ({ request: more, cluster = (same: Cluster) => same, code, says }) => {
    const asked = request(more());
    await untouched(async () => {
      const refused = restoreSnapshot(cluster(etcdLab.cluster), asked, call);
      await expect(refused).rejects.toMatchObject({ code });
      await expect(refused).rejects.toThrow(says());
    });
  });

  test.each(["/var/lib/etcd", "/var/lib/etcd-backup"])(
    "too little space in %s, told by the preview too",
    async (path) => {
      const { lab, cluster } = etcdLab;
      // Over the directory, which its users have open already: they do not notice.
      await lab.machine("s3").exec(`mount -t tmpfs -o size=16k,mode=700 tmpfs ${path}`);
      try {
        await untouched(async () => {
          const preview = await previewRestore(cluster, request({ snapshot: s3(snapshot) }), call);
          expect(preview.refusals).toEqual([expect.stringMatching(/^s3: no space: /)]);
          const refused = restoreSnapshot(cluster, request({ snapshot: s3(snapshot) }), call);
          await expect(refused).rejects.toMatchObject({ code: "NO_SPACE" });
        });
      } finally {
        await lab.machine("s3").exec(`umount ${path}`);
      }
    },
  );

  test("and no server ran a command but such as look", async () => {
    const { lab, cluster } = etcdLab;
    const names = ["no-such.db", "empty.db", "cut.db", snapshot];
    await lab.machine("s1").exec("mount -t tmpfs -o size=16k tmpfs /var/lib/etcd-backup");
    // Watched only here, because what is watched is slow.
    const records = await Promise.all(lab.machines.map((machine) => machine.record()));
    const asked = names.map((name) => restoreSnapshot(cluster, request({ snapshot: s3(name) }), call));
    const ended = await Promise.allSettled(asked);
    const executed = await Promise.all(records.map((record) => record.stop()));
    await lab.machine("s1").exec("umount /var/lib/etcd-backup");
    expect(ended.map(({ status }) => status)).toEqual(names.map(() => "rejected"));
    expect(executed.flatMap(changingCommands)).toEqual([]);
    // The tripwire was armed.
    expect(executed.map((record) => record.includes("systemctl"))).toEqual([true, true, true]);
  });
});

test("refused: a snapshot that this same update has taken: it would restore to now", async () => {
  const { cluster, s3Settings } = etcdLab;
  const taken = await takeSnapshot(cluster, { name: "just-now", s3: s3Settings }, call);
  await untouched(async () => {
    for (const named of taken.locations) {
      await expect(restoreSnapshot(cluster, request({ snapshot: named }), call)).rejects.toMatchObject({
        code: "RESTORE_TO_NOW",
      });
    }
  });
});

test("another operator at work: refused at once, naming who, where and since when", async () => {
  const { cluster } = etcdLab;
  const other = otherOperator();
  try {
    await other.holds;
    await untouched(
      async () => {
        const began = Date.now();
        const refused = restoreSnapshot(cluster, request({ snapshot: `s3://etcd-backups/demo/${snapshot}` }), call);
        await expect(refused).rejects.toMatchObject({ code: "LOCKED", host: "s1" });
        await expect(refused).rejects.toThrow(
          new RegExp(`@\\S+ \\(process ${other.pid}\\) is busy with it: restore of something, since 20\\d\\d-`),
        );
        expect(Date.now() - began).toBeLessThan(15_000);
      },
      { lock: false },
    );
  } finally {
    await other.end();
  }
});

test("an object whose content is not what its trailer says is found when it is staged: etcd runs on, nothing of ours stays", async () => {
  const { cluster, lab } = etcdLab;
  const flipped = object("flipped.db", (whole) => Buffer.from(whole));
  flipByte(join(etcdLab.s3.dir, "etcd-backups/demo", flipped));
  const before = await Promise.all(lab.machines.map((machine) => processes(machine.name)));
  const refused = restoreSnapshot(cluster, request({ snapshot: `s3://etcd-backups/demo/${flipped}` }), call);
  await expect(refused).rejects.toMatchObject({ code: "RESTORE_ABANDONED" });
  await expect(refused).rejects.toThrow(/trailer does not match|checksum|SHA-256/);
  expect(await Promise.all(lab.machines.map((machine) => processes(machine.name)))).toEqual(before);
  for (const machine of lab.machines) {
    const left = await machine.exec(
      "find /var/lib/etcd-backup /var/lib/etcd -name '*restore-2*' -o -name '*.before-*' -o -name 'safety-*'; systemctl is-active etcd-backup-demo.timer",
    );
    expect(left).toBe("active\n");
  }
});

test("latest is the newest that is whole, and never what a restore saved first", async () => {
  const { cluster } = etcdLab;
  const now = Math.floor(Date.now() / 1000);
  object(`etcd-snapshot-s1-${now + 100}.db`, (whole) => whole.subarray(0, whole.length - 100));
  object(`safety-20990101T000000Z-s1-${now + 200}.db`, (whole) => whole);
  object(`notes-${now + 300}.txt`, () => Buffer.from("not a snapshot"));
  const newest = object(`etcd-snapshot-s3-${now + 50}.db`, (whole) => whole);
  const older = object(`etcd-snapshot-s3-${now - 5000}.db`, (whole) => whole);
  const later = new Date((now + 400) * 1000);
  utimesSync(join(etcdLab.s3.dir, "etcd-backups/demo", older), later, later);
  const preview = await previewRestore(cluster, request({ snapshot: "latest" }), call);
  expect(preview).toMatchObject({ snapshot: `s3://etcd-backups/demo/${newest}`, refusals: [], done: false });
});

/** A request for a restore, from S3 unless it says otherwise. */
function request(more: Partial<RestoreRequest>): RestoreRequest {
  return { snapshot: "", s3: etcdLab.s3Settings, triggers: [], safetySnapshot: true, bumpRevision: true, ...more };
}

/** Does `work` and proves that it changed no file and no process. */
async function untouched(work: () => Promise<void>, options: { readonly lock?: boolean } = {}): Promise<void> {
  const look = (): Promise<readonly string[]> =>
    Promise.all(etcdLab.lab.machines.map((machine) => traces(machine, options)));
  const before = await look();
  await work();
  expect(await look()).toEqual(before);
}

/** Puts an object beside the snapshot, made of its bytes; returns its name. */
function object(name: string, make: (whole: Buffer) => Buffer): string {
  const folder = join(etcdLab.s3.dir, "etcd-backups/demo");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), make(readFileSync(join(folder, snapshot))));
  return name;
}

function flipByte(path: string): void {
  const bytes = readFileSync(path);
  bytes[8192] = (bytes[8192] ?? 0) ^ 0x40;
  writeFileSync(path, bytes);
}

function processes(name: string): Promise<string> {
  return etcdLab.lab
    .machine(name)
    .exec("systemctl show etcd.service -p MainPID -p ExecMainStartTimestampMonotonic -p NRestarts");
}

/** Another process that holds the cluster's lock until it is ended. */
function otherOperator(): { readonly pid: number; readonly holds: Promise<unknown>; end(): Promise<void> } {
  const module = (path: string): string => JSON.stringify(join(repository, "provider", path));
  const program = `
    const { reachAll } = require(${module("operations/reach.ts")});
    const { takeLock } = require(${module("plan/lock.ts")});
    const { closeConnections } = require(${module("transport/connect.ts")});
    let cluster = "";
    process.stdin.on("data", (text) => (cluster += text)).on("end", async () => {
      const lock = await takeLock("demo", "restore of something", await reachAll(JSON.parse(cluster)));
      process.on("SIGTERM", () => lock.release().then(closeConnections).then(() => process.exit()));
      console.log("holds it");
    });`;
  const child = spawn(process.execPath, ["--import", "tsx", "--eval", program], {
    cwd: repository,
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.end(JSON.stringify(etcdLab.cluster));
  return {
    pid: child.pid ?? NaN,
    holds: once(child.stdout, "data"),
    end: async () => {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    },
  };
}
