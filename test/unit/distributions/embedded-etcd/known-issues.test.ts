// Issues of K3s and RKE2 from which a restore or a backup of ours keeps its users, each by its number.
// Those that are met elsewhere have their number in the name of a test there, or a line in docs/versions.md.
import type { RestoreLook, RestoreStagesRequest } from "../../../../provider/distributions/distribution";
import { backupAdvice } from "../../../../provider/distributions/embedded-etcd/backups/backup-findings";
import { dropIn } from "../../../../provider/distributions/embedded-etcd/backups/drop-in";
import type { EmbeddedFacts } from "../../../../provider/distributions/embedded-etcd/facts";
import { memberFindings } from "../../../../provider/distributions/embedded-etcd/restore/member-findings";
import { runReset } from "../../../../provider/distributions/embedded-etcd/restore/reset";
import { restoreFindings } from "../../../../provider/distributions/embedded-etcd/restore/restore-findings";
import { restorePlaces } from "../../../../provider/distributions/embedded-etcd/restore/restore-places";
import { restoreStages } from "../../../../provider/distributions/embedded-etcd/restore/restore-stages";
import type { Members } from "../../../../provider/distributions/members";
import { s3Rule } from "../../../../provider/lifecycle/check-s3";
import { name } from "../../../../provider/lifecycle/rules";
import type { BackupSettings, Cluster, S3Settings, SnapshotFile } from "../../../../provider/model";
import type { Step } from "../../../../provider/plan/plan";
import { embeddedFacts, type GivenEmbeddedFacts, rke2Program } from "../../../support/embedded-facts";
import { fakeHost } from "../../../support/fake-host";

const names = ["s1", "s2", "s3"];
const cluster: Cluster = { distribution: "k3s", name: "prod", servers: names.map((name) => ({ name })) };
const snapshot: SnapshotFile = {
  ...{ name: "before-s1-1767225600", sizeBytes: 2080, takenAt: "2026-01-01T00:00:00.000Z" },
  location: { kind: "s3", bucket: "backups", key: "prod/before-s1-1767225600" },
};

describe("the reset", () => {
  /** Everything that is run to begin it. */
  async function resetOf(given: GivenEmbeddedFacts = {}): Promise<string> {
    const facts = embeddedFacts(given);
    const host = fakeHost("s1", [
      { to: "systemd-run", reply: "" },
      {
        to: "systemctl show",
        reply:
          "\n=reset unit\nLoadState=loaded\nActiveState=active\nExecMainStatus=0\n\n=reset said\ndone\n\n=reset log\n",
      },
      { to: "rm -f", reply: "" },
    ]);
    await runReset(host, facts, restorePlaces("prod", facts, "a1"), undefined, 60_000);
    return host.scripts[0] ?? "";
  }

  test("k3s#8031: disabled snapshots do not make it ignore what it is told of S3 and directories", async () => {
    const text = await resetOf({ args: ["--etcd-disable-snapshots=true"] });
    expect(text).toContain(" --etcd-disable-snapshots=false ");
    expect(text).not.toContain("--etcd-disable-snapshots=true");
  });

  test.each([["server", "--server=https://s2:6443"] as const, ["-s", "-s=https://s2:6443"] as const])(
    "k3s#8488, rke2#3178: a server to join, given as %s, neither stops it nor has it hang",
    async (_, word) => {
      const text = await resetOf({ args: [word], environment: [{ name: "K3S_URL", value: "https://s2:6443" }] });
      expect(text).toContain('server: ""');
      expect(text).toContain("unset K3S_URL");
      expect(text).not.toContain("https://s2:6443");
    },
  );

  test("rke2#4052: etcd advertises an address that the reset itself reaches", async () => {
    expect(await resetOf()).toContain(" --etcd-arg=advertise-client-urls=https://127.0.0.1:2379");
  });

  test("k3s#9706: on a host with IPv6 only, that one's loopback", async () => {
    expect(await resetOf({ address: "fd00::11" })).toContain("advertise-client-urls=https://[::1]:2379");
  });

  test("rke2#6281, k3s#8727, k3s#14526: it restores our own copy, here and unpacked, whatever S3 is configured", async () => {
    const text = await resetOf({ args: ["--etcd-s3", "--etcd-s3-bucket=b"] });
    expect(text).toContain(
      " --cluster-reset-restore-path=/var/lib/etcd-backup/prod/restore-a1/snapshot --etcd-s3=false ",
    );
  });
});

describe("the stages of a restore", () => {
  const request = (own: Partial<RestoreStagesRequest> = {}): RestoreStagesRequest => ({
    ...{ cluster, attempt: "a1", snapshotName: snapshot.name, members: {} as Members, quorum: true, safety: [] },
    ...{ token: undefined, bumpRevision: false, highestRevision: 0 },
    ...{ fetch: () => Promise.resolve(), patienceMs: () => 1000, proven: () => undefined },
    ...own,
  });
  const stages = (servers: readonly EmbeddedFacts[]): readonly (readonly Step[])[] => restoreStages(servers, request());
  const all = (own: GivenEmbeddedFacts = {}): EmbeddedFacts[] =>
    names.map((server) => embeddedFacts({ server, ...own }));

  async function textOf(servers: readonly EmbeddedFacts[], id: string): Promise<string> {
    const step = stages(servers)
      .flat()
      .find((one) => one.id === id);
    const host = fakeHost("s1", [{ to: /^/, reply: "" }]);
    await step?.run(host);
    return host.scripts.join("\n");
  }

  test("k3s#5334, k3s#5693, rke2#6050: all servers stop before anything is set aside, and that is server/db/etcd", async () => {
    const ids = stages(all()).map((stage) => stage.map(({ id }) => id));
    const at = (id: string): number => ids.findIndex((stage) => stage.includes(id));
    expect(ids[at("s1:stop")]).toEqual(["s1:stop", "s2:stop", "s3:stop"]);
    expect(at("s1:stop")).toBeLessThan(at("s2:set-aside"));
    expect(at("s3:set-aside")).toBeLessThan(at("s1:reset"));
    expect(await textOf(all(), "s2:set-aside")).toContain("server=/var/lib/rancher/k3s/server");
  });

  test("rke2#3387, rke2#1447: RKE2's containers are killed where they lie, and etcd's ports are free", async () => {
    const servers = all({ program: rke2Program, dataDir: "/srv/rke2", killScript: "/usr/local/bin/rke2-killall.sh" });
    const text = await textOf(servers, "s2:stop");
    expect(text).toContain("RKE2_DATA_DIR=/srv/rke2 /usr/local/bin/rke2-killall.sh");
    expect(text.indexOf("killall")).toBeLessThan(text.indexOf("until closed"));
    expect(text).toContain("ports=094B,094C");
  });

  test.each([
    ["k3s#3435", embeddedFacts().program],
    ["rke2#1916", rke2Program],
  ])("%s: the cluster forgets the node passwords of machines that are new, and no other", async (_, program) => {
    const servers = all({ program }).map((facts) => ({ ...facts, hasNodePassword: facts.server !== "s2" }));
    const text = await textOf(servers, "s1:node-passwords");
    expect(text).toMatch(new RegExp(`delete secret --ignore-not-found s2\\.node-password\\.${program.name}$`));
    expect(
      stages(all())
        .flat()
        .map(({ id }) => id),
    ).not.toContain("s1:node-passwords");
  });

  test("transcript 11: Nodes are deleted last, when every member is proven; with one goes the member of its name", () => {
    const ids = stages(all()).map((stage) => stage.map(({ id }) => id).join());
    expect(ids.slice(-2)).toEqual(["cluster:verify", "s1:stale-nodes"]);
  });
});

describe("what is found before a restore", () => {
  const look = (
    servers: readonly EmbeddedFacts[],
    own: Partial<RestoreLook<EmbeddedFacts>> = {},
  ): RestoreLook<EmbeddedFacts> => ({
    ...{ hosts: new Map(), servers, members: {} as Members, quorum: false, status: new Map() },
    ...own,
  });
  const one = (own: GivenEmbeddedFacts = {}): RestoreLook<EmbeddedFacts> => look([embeddedFacts(own)]);
  const taken = (hash: string): SnapshotFile => ({ ...snapshot, metadata: { "k3s-token-hash": hash } });

  test("k3s#13085: a machine that is new needs the token, which is in no snapshot", async () => {
    const fresh = { tokenHash: undefined, data: { hasEtcd: false }, hasNodePassword: false };
    expect(await restoreFindings(cluster, one(fresh), snapshot, undefined)).toEqual([
      { code: "TOKEN_MISMATCH", text: expect.stringContaining("give the token of the time of the snapshot") as string },
    ]);
    expect(await restoreFindings(cluster, one(fresh), snapshot, "labtoken1")).toEqual([]);
  });

  test("k3s#8264, rke2#6250, k3s#11410: a snapshot from before the token was changed needs the token of that time", async () => {
    expect(await restoreFindings(cluster, one(), taken("0123456789ab"), undefined)).toEqual([
      { code: "TOKEN_MISMATCH", text: expect.stringContaining("0123456789ab") as string },
    ]);
    expect(await restoreFindings(cluster, one(), taken("544ad39d2d5a"), "labtoken1")).toEqual([]);
  });

  test("k3s#4296: a version whose reset keeps the old machine's address is refused on new machines", async () => {
    const old = { version: "v1.21.6+k3s1" };
    const found = await restoreFindings(cluster, one({ ...old, data: { hasEtcd: false } }), snapshot, undefined);
    expect(found).toEqual([expect.objectContaining({ code: "UNSUPPORTED_VERSION", mayAccept: true })]);
    expect(await restoreFindings(cluster, one(old), snapshot, undefined)).toEqual([]);
  });

  test("k3s#8217: one lost member is replaced, not restored, while the others have a quorum", async () => {
    const servers = names.map((server) => embeddedFacts({ server }));
    const status = new Map(names.map((name) => [name, name === "s2" ? undefined : ({} as never)]));
    const members = { use: () => Promise.resolve([]) } as unknown as Members;
    const found = await memberFindings(look(servers, { quorum: true, members, status }));
    expect(found.map(({ code }) => code)).toEqual(["MEMBER_LOST"]);
    expect(found[0]?.text).toContain("k3s kubectl delete node s2");
    expect(found[0]?.text).toContain("mv /var/lib/rancher/k3s/server/db/etcd ");
  });
});

describe("backups", () => {
  const settings = (s3: Partial<S3Settings>): BackupSettings => ({
    ...{ schedule: "0 0 * * *", retention: 5, snapshotName: "etcd-snapshot", enabled: true },
    s3: { bucket: "b", ...s3 },
  });

  test("k3s#12945: who keeps the settings of S3 in a Secret is told to look whether a snapshot arrives", () => {
    const advice = backupAdvice(settings({ configSecret: "s3" }), embeddedFacts()).join("\n");
    expect(advice).toContain("https://github.com/k3s-io/k3s/issues/12945");
  });

  test("k3s#7316: in the file of ours there are keys of snapshots alone, which every version reads there", () => {
    const keys = Object.keys(dropIn(cluster, settings({ proxy: "http://p:1" }), embeddedFacts()).values);
    expect(keys.filter((key) => !/^etcd-(snapshot|s3|disable-snapshots$)/.test(key))).toEqual([]);
  });

  test("k3s#12244: a store that knows only paths is asked for paths", () => {
    const { values } = dropIn(cluster, settings({ bucketLookup: "path" }), embeddedFacts());
    expect(values).toMatchObject({ "etcd-s3-bucket-lookup-type": "path" });
  });

  test.each(["a/b", "../etcd", "/etc/passwd"])("k3s#14562: the path %s is no name of a snapshot", (path) => {
    const reports: string[] = [];
    name(path, "snapshotName", (at, reason) => reports.push(`${at} ${reason}`));
    expect(reports).toHaveLength(1);
  });

  test.each(["https://minio:9000", "http://minio"])(
    "k3s#8924: the endpoint %s is refused for its scheme",
    (endpoint) => {
      const reports: string[] = [];
      s3Rule("k3s")({ bucket: "b", endpoint }, "s3", (path, reason) => reports.push(`${path} ${reason}`));
      expect(reports).toEqual([expect.stringMatching(/^s3\.endpoint must be `host\[:port\]`, without a scheme/)]);
    },
  );
});
