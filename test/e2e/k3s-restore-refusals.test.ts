import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ErrorCode } from "../../provider/errors";
import type { Cluster } from "../../provider/model";
import { previewRestore } from "../../provider/operations/preview-restore";
import { type RestoreRequest, restoreSnapshot } from "../../provider/operations/restore";
import { closeConnections } from "../../provider/transport/connect";
import type { K3sCluster } from "../lab/k3s";
import type { Machine } from "../lab/machine";
import { type K3sLab, labelOf, startK3sLab } from "../support/k3s-program";
import { saveByItself, uploading, writeCanary } from "../support/k3s-restore-oracles";
import { BUCKET, clusterOn } from "../support/lab-program";
import { changingCommands, listeningCall, traces } from "../support/restore-oracles";
import { zipOf } from "../support/zips";

const label = labelOf("k3s");
let lab: K3sLab;
/** Names of files: of this cluster, of one with another token, of another one with this token. */
let own: string, otherToken: string, foreign: string;
const call = listeningCall();

beforeAll(async () => {
  lab = await startK3sLab({
    machines: ["s1", "s2", "s3", "x1", "x2", "agent"],
    k3s: (s3) => ({ servers: ["s1", "s2", "s3"], agents: ["agent"], extraConfig: uploading(s3) }),
  });
  const extraConfig = uploading(lab.s3);
  const strange = await lab.lab.startK3s({ servers: ["x1"], extraConfig });
  const twin = await lab.lab.startK3s({ servers: ["x2"], extraConfig, token: lab.k3s.token });
  await writeCanary(lab.k3s, "here");
  own = await savedBy(lab.k3s, "s2", "own");
  otherToken = await savedBy(strange, "x1", "strange");
  foreign = await savedBy(twin, "x2", "twin");
  for (const [from, name] of [
    ["x1", otherToken],
    ["x2", foreign],
  ] as const)
    copyFileSync(join(root(from), DIRECTORY, name), join(root("s1"), "srv", name));
}, 300_000);
afterAll(async () => {
  await closeConnections();
  await lab.lab.down();
});

const DIRECTORY = "/var/lib/rancher/k3s/server/db/snapshots";
const s3 = (name: string): string => `s3://${BUCKET}/demo/${name}`;

interface Refusal {
  readonly title: string;
  readonly snapshot: () => string;
  readonly more?: () => Partial<RestoreRequest>;
  readonly cluster?: (cluster: Cluster) => Cluster;
  readonly code: ErrorCode;
  /** What the error tells beside its code. */
  readonly says: RegExp;
}

describe(`${label}: refused, and nothing on any server was touched`, () => {
  test.each<Refusal>([
    {
      ...{ title: "another token, by what the file holds", snapshot: () => `file://s1/srv/${otherToken}` },
      ...{ code: "TOKEN_MISMATCH", says: /was taken with another server token .*as `token`/ },
    },
    {
      ...{ title: "another token, by the metadata of the object", snapshot: () => s3(otherToken) },
      ...{ code: "TOKEN_MISMATCH", says: /was taken with another server token/ },
    },
    {
      title: "a given token that a server's configuration contradicts",
      snapshot: () => s3(otherToken),
      more: () => ({ token: "not-this-one" }),
      ...{ code: "TOKEN_MISMATCH", says: /config\.yaml has another token than `token`/ },
    },
    {
      ...{ title: "another cluster with the same token, by the metadata of the object", snapshot: () => s3(foreign) },
      ...{ code: "SNAPSHOT_FOREIGN", says: /another cluster's .*accept: \["SNAPSHOT_FOREIGN"\]/s },
    },
    {
      ...{ title: "an empty object", snapshot: () => s3(object("empty-s1-1700000001", () => Buffer.alloc(0))) },
      ...{ code: "SNAPSHOT_CORRUPT", says: /is empty/ },
    },
    {
      title: "an object that was cut off",
      snapshot: () => s3(object("cut-s1-1700000002", (whole) => whole.subarray(0, whole.length - 100))),
      ...{ code: "SNAPSHOT_CORRUPT", says: /cut off|trailer/ },
    },
    {
      title: "a file whose content is not what its trailer says",
      snapshot: () => `file://s2${file("flipped-s2-1700000003", flipped)}`,
      ...{ code: "SNAPSHOT_CORRUPT", says: /trailer does not match/ },
    },
    {
      title: "an archive of two files",
      snapshot: () => {
        const two = (whole: Buffer): Buffer =>
          zipOf([
            { name: "two-s1-1700000004", bytes: whole },
            { name: "../etc/passwd", bytes: Buffer.from("root::0:0") },
          ]);
        return `file://s2${file("two-s1-1700000004.zip", two)}`;
      },
      ...{ code: "SNAPSHOT_CORRUPT", says: /it holds 2 files/ },
    },
    {
      title: "an archive in S3 that was cut off",
      snapshot: () =>
        s3(
          object("zipped-s1-1700000005.zip", (whole) => {
            const zip = zipOf([{ name: "zipped-s1-1700000005", bytes: whole }]);
            return zip.subarray(0, zip.length - 2000);
          }),
        ),
      ...{ code: "SNAPSHOT_CORRUPT", says: /it is cut off, or not a zip/ },
    },
    {
      ...{ title: "a name that no server has", snapshot: () => "nowhere-s1-1700000000" },
      ...{ code: "SNAPSHOT_NOT_FOUND", says: /own-s2-\d+/ },
    },
    {
      title: "a listed server that cannot be reached",
      snapshot: () => s3(own),
      cluster: (cluster) => ({
        ...cluster,
        connection: { ...cluster.connection, dialErrorLimit: 0, perDialTimeout: 2 },
        servers: [...cluster.servers, { name: "s4", connection: { host: `${lab.lab.network.prefix}.99` } }],
      }),
      ...{ code: "HOST_UNREACHABLE", says: /s4/ },
    },
    {
      title: "a member that is not listed",
      snapshot: () => s3(own),
      cluster: (cluster) => ({ ...cluster, servers: cluster.servers.slice(0, 2) }),
      ...{ code: "MEMBER_LOST", says: /a member s3-[0-9a-f]{8} .*not in `servers`/ },
    },
    {
      title: "an agent among the servers",
      snapshot: () => s3(own),
      cluster: (cluster) => ({
        ...cluster,
        servers: [...cluster.servers, { name: "agent", connection: { host: lab.lab.machine("agent").address } }],
      }),
      ...{ code: "NOT_EMBEDDED_ETCD", says: /agent: there is no unit k3s\.service/ },
    },
  ])("$title", async ({ snapshot, more = () => ({}), cluster = (same: Cluster) => same, code, says }) => {
    const asked = { ...request(snapshot()), ...more() };
    await untouched(async () => {
      const refused = restoreSnapshot(cluster(lab.cluster), asked, call);
      await expect(refused).rejects.toMatchObject({ code });
      await expect(refused).rejects.toThrow(says);
    });
  });

  test.each([
    ["Rancher manages it", "mkdir -p $c.d; echo 'a: b' >$c.d/50-rancher.yaml", "MANAGED_ELSEWHERE", /Rancher/],
    [
      "an external datastore",
      "mkdir -p $c.d; echo 'datastore-endpoint: mysql://x' >$c.d/10-db.yaml",
      "NOT_EMBEDDED_ETCD",
      /external/,
    ],
    ["SQLite", "systemctl stop k3s; cd $d/server/db; mv etcd etcd.away; touch state.db", "NOT_EMBEDDED_ETCD", /SQLite/],
  ] as const)("what it cannot restore: %s", async (_, arrange, code, says) => {
    const x1 = lab.lab.machine("x1");
    await x1.exec(`c=/etc/rancher/k3s/config.yaml d=/var/lib/rancher/k3s; ${arrange}`);
    const cluster = clusterOn(lab.lab, { distribution: "k3s", servers: ["x1"] });
    await untouched(async () => {
      const refused = restoreSnapshot(cluster, request(s3(otherToken)), call);
      await expect(refused).rejects.toMatchObject({ code, host: "x1" });
      await expect(refused).rejects.toThrow(says);
    });
    await x1.exec("rm -rf /etc/rancher/k3s/config.yaml.d");
  });

  test("too little space, told by the preview too", async () => {
    // Over the directory, which its users have open already: they do not notice.
    await lab.lab
      .machine("s1")
      .exec("mkdir -p /var/lib/etcd-backup && mount -t tmpfs -o size=16k,mode=700 tmpfs /var/lib/etcd-backup");
    try {
      await untouched(async () => {
        const preview = await previewRestore(lab.cluster, request(s3(own)), call);
        expect(preview.refusals).toEqual([expect.stringMatching(/^s1: no space: /)]);
        const refused = restoreSnapshot(lab.cluster, request(s3(own)), call);
        await expect(refused).rejects.toMatchObject({ code: "NO_SPACE" });
      });
    } finally {
      await lab.lab.machine("s1").exec("umount /var/lib/etcd-backup");
    }
  });

  test("and no server ran a command but such as look", async () => {
    await closeConnections();
    const records = await Promise.all(lab.lab.machines.map((machine) => machine.record()));
    const asked = [otherToken, foreign].map((name) => restoreSnapshot(lab.cluster, request(s3(name)), call));
    const ended = await Promise.allSettled(asked);
    const executed = await Promise.all(records.map((record) => record.stop()));
    expect(ended.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(executed.flatMap(changingCommands)).toEqual([]);
    // The tripwire was armed.
    expect(executed.slice(0, 3).map((record) => record.includes("systemctl"))).toEqual([true, true, true]);
  });
});

test(`${label}: another cluster's snapshot is not refused where that is accepted`, async () => {
  const accepted = { ...request(s3(foreign)), accept: ["SNAPSHOT_FOREIGN"] };
  expect(await previewRestore(lab.cluster, accepted, call)).toMatchObject({ refusals: [] });
});

test(`${label}: one member lost while a quorum is alive: refused with the way to replace it, unless accepted`, async () => {
  await lab.lab.machine("s3").exec("systemctl stop k3s");
  await untouched(async () => {
    const refused = restoreSnapshot(lab.cluster, request(s3(own)), call);
    await expect(refused).rejects.toMatchObject({ code: "MEMBER_LOST" });
    await expect(refused).rejects.toThrow(/s3: its member does not answer.*Replace it:.*kubectl delete node s3/s);
    const accepted = { ...request(s3(own)), accept: ["MEMBER_LOST"] };
    expect(await previewRestore(lab.cluster, accepted, call)).toMatchObject({ refusals: [] });
  });
  await lab.lab.machine("s3").exec("systemctl start k3s");
  await lab.k3s.healthy();
});

async function savedBy(k3s: K3sCluster, server: string, name: string): Promise<string> {
  const path = await saveByItself(k3s, lab.lab.machine(server), name);
  const file = path.slice(path.lastIndexOf("/") + 1);
  expect(readdirSync(join(lab.s3.dir, BUCKET, "demo"))).toContain(file);
  return file;
}

/** Does `work` and proves that it changed no file and no process. */
async function untouched(work: () => Promise<void>): Promise<void> {
  const look = (): Promise<readonly string[]> => Promise.all(lab.lab.machines.map(k3sTraces));
  const before = await look();
  await work();
  expect(await look()).toEqual(before);
}

/** What a restore would change of K3s: its data, its certificates and tokens, its process. */
async function k3sTraces(machine: Machine): Promise<string> {
  const own = await machine.exec(`cd /var/lib/rancher/k3s 2>/dev/null || exit 0
find server -maxdepth 2 ! -path '*/db/etcd*' -printf '%p %i %m %U:%G %T@\\n' | sort; find server/tls server/cred -printf '%p %i %T@\\n' | sort
stat -c '%n %i' server/db/etcd server/db/etcd/member 2>&1; ls -A server/db/snapshots
systemctl show k3s.service -p MainPID -p ExecMainStartTimestampMonotonic -p NRestarts -p ActiveState -p DropInPaths`);
  return `${await traces(machine)}${own}`;
}

/** Puts an object into the bucket, made of a snapshot's bytes; returns its name. */
function object(name: string, make: (whole: Buffer) => Buffer): string {
  const folder = join(lab.s3.dir, BUCKET, "demo");
  writeFileSync(join(folder, name), make(readFileSync(join(folder, own))));
  return name;
}

/** Puts a file on s2, made of a snapshot's bytes; returns its path. */
function file(name: string, make: (whole: Buffer) => Buffer): string {
  writeFileSync(join(root("s2"), "srv", name), make(readFileSync(join(root("s2"), DIRECTORY, own))));
  return `/srv/${name}`;
}

function flipped(whole: Buffer): Buffer {
  const bytes = Buffer.from(whole);
  bytes[8192] = (bytes[8192] ?? 0) ^ 0x40;
  return bytes;
}

function root(name: string): string {
  return lab.lab.machine(name).root;
}

function request(snapshot: string): RestoreRequest {
  const store = snapshot.startsWith("s3:") ? { s3: lab.s3Settings } : {};
  return { snapshot, ...store, triggers: [], safetySnapshot: true, bumpRevision: false };
}
