import type { ServerFacts } from "../../../provider/distributions/distribution";
import type { Cluster, SnapshotLocation } from "../../../provider/model";
import type { FoundSnapshot } from "../../../provider/operations/find-snapshot";
import type { ClusterLook } from "../../../provider/operations/look-at-cluster";
import { refuseFindings, restoreFindings } from "../../../provider/operations/restore-findings";
import { etcdFacts } from "../../support/etcd-facts";
import { fakeHost } from "../../support/fake-host";

const cluster: Cluster = { distribution: "etcd", name: "prod", servers: [{ name: "s1" }, { name: "s2" }] };
const mebi = 1024 * 1024;
const plenty = "1 99999999\n1 99999999\n0\n";

test("nothing stands in the way of a sound cluster", async () => {
  expect(await findings([{}, {}])).toEqual([]);
});

test.each<[string, Partial<ServerFacts>, string, RegExp]>([
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
  const without: Partial<ServerFacts> = { tools: new Set(["flock", "sha256sum"]) };
  expect(await findings([without, {}])).toEqual([]);
  const found = await findings([without, {}], { kind: "s3", bucket: "b", key: "x" });
  expect(found.map(({ text }) => text)).toEqual([expect.stringMatching(/^s1: there is no curl/)]);
});

test("members whose peers cannot reach them, or that share a name, would never form a cluster", async () => {
  const local = etcdFacts({ server: "s1", member: { peerUrls: ["http://localhost:2380"] } });
  expect((await findings([local, {}])).map(({ code }) => code)).toEqual(["SETTING_NOT_FOUND"]);
  expect(await findings([local])).toEqual([]);
  const twins = ["s1", "s2"].map((server) => etcdFacts({ server, member: { name: "default" } }));
  expect((await findings(twins)).map(({ text }) => text)).toEqual([expect.stringContaining("the name default")]);
});

describe("space", () => {
  const found = async (df: string): Promise<string[]> => (await findings([{}], undefined, df)).map(({ text }) => text);
  // The snapshot has 100 MiB, the present data 50 MiB, a new WAL 64 MiB: 150 where ours lies, 174 where the data does.
  const needs = (ours: number, data: number, oursDevice = 1, dataDevice = 2): string =>
    `${oursDevice} ${ours * 1024}\n${dataDevice} ${data * 1024}\n${50 * mebi}\n`;

  test.each([
    [150, 174, true],
    [149, 174, false],
    [150, 173, false],
  ])("with %i MiB for us and %i MiB for the data: enough is %p", async (ours, data, enough) => {
    expect((await found(needs(ours, data))).length === 0).toBe(enough);
  });

  test("on one file system both are needed", async () => {
    expect(await found(needs(324, 324, 1, 1))).toEqual([]);
    expect(await found(needs(323, 323, 1, 1))).toEqual([
      "s1: no space: a restore needs 324 MiB for a while, 323 MiB are free",
    ]);
  });

  test("the refusal has its code, and says that nothing was touched", async () => {
    const { look, snapshot } = scene([{}], undefined, needs(1, 1));
    await expect(refuseFindings(cluster, look, snapshot)).rejects.toMatchObject({
      code: "NO_SPACE",
      hint: "Nothing was touched.",
    });
  });
});

function scene(
  servers: readonly Partial<ServerFacts>[],
  location: SnapshotLocation = { kind: "file", server: "s1", path: "/x.db" },
  df = plenty,
): { look: ClusterLook; snapshot: FoundSnapshot } {
  const facts = servers.map((own, index) => etcdFacts({ server: `s${index + 1}`, ...own }));
  const hosts = new Map(facts.map(({ server }) => [server, fakeHost(server, [{ to: "df -Pk", reply: df }])]));
  return {
    look: { servers: facts, hosts } as unknown as ClusterLook,
    snapshot: { file: { name: "x.db", location, sizeBytes: 100 * mebi, takenAt: "" } } as unknown as FoundSnapshot,
  };
}

function findings(...given: Parameters<typeof scene>): ReturnType<typeof restoreFindings> {
  const { look, snapshot } = scene(...given);
  return restoreFindings(cluster, look, snapshot);
}
