import type { RestoreLook } from "../../../../provider/distributions/distribution";
import type { EtcdFacts } from "../../../../provider/distributions/etcd/facts";
import { restoreFindings } from "../../../../provider/distributions/etcd/restore-findings";
import type { Cluster, SnapshotLocation } from "../../../../provider/model";
import { etcdFacts, type GivenFacts } from "../../../support/etcd-facts";
import { type FakeHost, fakeHost } from "../../../support/fake-host";

const cluster: Cluster = { distribution: "etcd", name: "prod", servers: [{ name: "s1" }, { name: "s2" }] };
const mebi = 1024 * 1024;
const file: SnapshotLocation = { kind: "file", server: "s1", path: "/x.db" };

test("nothing stands in the way of a sound cluster", async () => {
  expect(await findings([{}, {}])).toEqual([]);
});

test.each<[string, Partial<EtcdFacts>, string, RegExp]>([
  ["a tool to restore with", { restoreTool: undefined }, "TOOL_MISSING", /^s2: there is no etcdutl.*`etcdutl`/],
  ["sha256sum", { tools: new Set(["flock", "curl"]) }, "TOOL_MISSING", /^s2: there is no sha256sum/],
  ["flock", { tools: new Set(["sha256sum", "curl"]) }, "TOOL_MISSING", /^s2: there is no flock/],
  [
    "a tool of etcd's own version",
    { etcdVersion: "3.5.33" },
    "TOOL_MISSING",
    /^s2: \/usr\/bin\/etcdutl is of etcd 3\.6, but etcd is 3\.5\.33/,
  ],
])("each server needs %s", async (_, lacking, code, text) => {
  expect(await findings([{}, lacking])).toEqual([{ code, text: expect.stringMatching(text) as string }]);
});

test("another patch of the same version is no reason", async () => {
  expect(await findings([{ restoreToolVersion: "3.6.1" }, { restoreToolVersion: undefined }])).toEqual([]);
});

test("curl is needed for snapshots in S3 alone", async () => {
  const without: GivenFacts = { tools: new Set(["flock", "sha256sum"]) };
  expect(await findings([without, {}])).toEqual([]);
  const found = await findings([without, {}], { kind: "s3", bucket: "b", key: "x" });
  expect(found.map(({ text }) => text)).toEqual([expect.stringMatching(/^s1: there is no curl/)]);
});

test("members whose peers cannot reach them, or that share a name, would never form a cluster", async () => {
  const local: GivenFacts = { member: { peerUrls: ["http://localhost:2380"] } };
  expect((await findings([local, {}])).map(({ code }) => code)).toEqual(["SETTING_NOT_FOUND"]);
  expect(await findings([local])).toEqual([]);
  const twin: GivenFacts = { member: { name: "default" } };
  expect((await findings([twin, twin])).map(({ text }) => text)).toEqual([expect.stringContaining("the name default")]);
});

describe("space", () => {
  // The snapshot has 100 MiB, the present data 50 MiB, a new WAL 64 MiB: 150 where ours lies, 174 where the data does.
  test.each([
    [150, 174, true],
    [149, 174, false],
    [150, 173, false],
  ])("with %i MiB for us and %i MiB for the data: enough is %p", async (ours, data, enough) => {
    expect((await findings([{}], file, [ours, data])).length === 0).toBe(enough);
  });

  test.each([
    [111, 64, true],
    [109, 64, false],
    [111, 63, false],
  ])("with %i MiB for the data and %i MiB for a WAL of its own: enough is %p", async (data, wal, enough) => {
    const apart: GivenFacts = { member: { walDir: "/var/lib/etcd-wal" } };
    expect((await findings([apart], file, [150, data, wal])).length === 0).toBe(enough);
  });

  test("each path is asked for in the order of its need", async () => {
    const { look, hosts } = scene([{ member: { walDir: "/var/lib/etcd-wal" } }], [999, 999, 999]);
    await restoreFindings(cluster, look, snapshot(file));
    expect(hosts.get("s1")?.scripts.at(-1)).toContain(
      "for p in /var/lib/etcd-backup/prod /var/lib/etcd /var/lib/etcd-wal;",
    );
  });
});

/** Servers on which each path has a file system of its own, with so many MiB free. */
function scene(
  servers: readonly GivenFacts[],
  free: readonly number[],
): { look: Pick<RestoreLook<EtcdFacts>, "servers" | "hosts">; hosts: ReadonlyMap<string, FakeHost> } {
  const facts = servers.map((own, index) => etcdFacts({ server: `s${index + 1}`, ...own }));
  const answers = [
    { to: "df -Pk", reply: free.map((mebis, index) => `${index} ${mebis * 1024}\n`).join("") },
    { to: "stat -c %s /var/lib/etcd/member/snap/db", reply: `${50 * mebi}\n` },
  ];
  const hosts = new Map(facts.map(({ server }) => [server, fakeHost(server, answers)]));
  return { look: { servers: facts, hosts: hosts as unknown as RestoreLook["hosts"] }, hosts };
}

function snapshot(location: SnapshotLocation): Parameters<typeof restoreFindings>[2] {
  return { name: "x.db", location, sizeBytes: 100 * mebi, takenAt: "" };
}

function findings(
  servers: readonly GivenFacts[],
  location = file,
  free: readonly number[] = [9999, 9999],
): ReturnType<typeof restoreFindings> {
  return restoreFindings(cluster, scene(servers, free).look, snapshot(location));
}
