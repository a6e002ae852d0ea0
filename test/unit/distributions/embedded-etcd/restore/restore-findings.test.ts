import type { Finding, RestoreLook } from "../../../../../provider/distributions/distribution";
import type { EmbeddedFacts, Tool } from "../../../../../provider/distributions/embedded-etcd/facts";
import { restoreFindings } from "../../../../../provider/distributions/embedded-etcd/restore/restore-findings";
import { hashToken } from "../../../../../provider/distributions/embedded-etcd/token";
import type { Cluster, SnapshotFile, SnapshotLocation } from "../../../../../provider/model";
import { embeddedFacts, type GivenEmbeddedFacts, rke2Program } from "../../../../support/embedded-facts";
import { type Answer, type FakeHost, fakeHost } from "../../../../support/fake-host";

const mebi = 1024 * 1024;
const file: SnapshotLocation = { kind: "file", server: "s1", path: "/x-s1-1767225600" };
const object: SnapshotLocation = { kind: "s3", bucket: "b", key: "x-s1-1767225600" };
const ours = hashToken("ours");
const without = (...tools: readonly Tool[]): ReadonlySet<Tool> =>
  new Set([...embeddedFacts().tools].filter((tool) => !tools.includes(tool)));

test("nothing stands in the way of a sound cluster", async () => {
  expect(await findings({ servers: [{}, {}, {}] })).toEqual([]);
});

describe("tools", () => {
  test.each<[Tool, Partial<Scene>]>([
    ["systemd-run", {}],
    ["sha256sum", {}],
    ["flock", {}],
    ["gzip", { snapshot: { name: "x-s1-1767225600.zip" } }],
    ["curl", { snapshot: { location: object } }],
  ])("%s is needed on the first server", async (tool, scene) => {
    const lacking = { tools: without(tool) };
    expect(await texts({ ...scene, servers: [lacking, {}] })).toEqual([
      expect.stringContaining(`s1: there is no ${tool};`),
    ]);
    if (tool !== "flock") expect(await texts({ ...scene, servers: [{}, lacking] })).toEqual([]);
  });

  test("those of one snapshot are not needed for another", async () => {
    expect(await texts({ servers: [{ tools: without("gzip", "curl") }] })).toEqual([]);
  });

  test("RKE2's kill script is needed everywhere, its program too", async () => {
    const own = { program: rke2Program, killScript: "/usr/bin/rke2-killall.sh" };
    expect(await texts({ servers: [own, { ...own, killScript: undefined, binary: "" }] })).toEqual([
      expect.stringMatching(/^s2: there is no rke2, no rke2-killall\.sh;/),
    ]);
  });
});

describe("the token", () => {
  const inSnapshot = (...tokens: readonly string[]): Answer => ({
    to: "/bootstrap/",
    reply: tokens.map((token) => `/bootstrap/${hashToken(token)}\n`).join(""),
  });

  const tokenFile = (hash: string): Answer => ({ to: "K10*::*", reply: hash });

  test("of the servers is the snapshot's, or it is refused before anything is touched", async () => {
    expect(await texts({ answers: [inSnapshot("ours")] })).toEqual([]);
    const found = await findings({ answers: [inSnapshot("theirs")] });
    expect(found).toMatchObject([
      { code: "TOKEN_MISMATCH", text: expect.stringContaining(hashToken("theirs")) as string },
    ]);
    // There is no way around it: the reset would fail, having written over the server's own.
    expect(found[0]?.mayAccept).toBeUndefined();
  });

  test("may be given", async () => {
    expect(await texts({ answers: [inSnapshot("theirs")], token: "theirs" })).toEqual([]);
    expect(await texts({ answers: [inSnapshot("ours")], token: "theirs" })).toHaveLength(1);
  });

  test("of an object in S3 is known by its metadata; where there is none, it is not asked for", async () => {
    const at = (metadata: Readonly<Record<string, string>>): Partial<Scene> => ({
      snapshot: { location: object, metadata },
    });
    expect(await texts(at({ "k3s-token-hash": ours }))).toEqual([]);
    expect(await texts(at({ "k3s-token-hash": "0123456789ab" }))).toEqual([
      expect.stringContaining("another server token"),
    ]);
    expect(await texts(at({ "rke2-token-hash": "0123456789ab" }))).toEqual([]);
    expect(await texts(at({}))).toEqual([]);
  });

  test("and a snapshot of a newer etcd is refused where its object says so", async () => {
    const by = (version: string): Partial<Scene> => ({
      snapshot: { location: object, metadata: { "etcd-version": version } },
      servers: [{ etcdVersion: "3.5.26" }],
    });
    expect(await texts(by("3.6.7"))).toEqual([
      expect.stringMatching(/taken by etcd 3\.6\.7, and here is etcd 3\.5\.26/),
    ]);
    expect(await texts(by("3.5.9"))).toEqual([]);
    expect(await texts(by("3.4.23"))).toEqual([]);
  });

  test("in a server's own configuration would keep it from starting, if it is another", async () => {
    const own = { args: ["--token", "s3cret-ours"] };
    expect(await texts({ servers: [{}, own], token: "theirs" })).toEqual([
      expect.stringMatching(/^s2: ExecStart has another token than `token`/),
    ]);
    expect(await texts({ servers: [own], token: "s3cret-ours" })).toEqual([]);
  });

  test("has to be given on a machine that has none", async () => {
    const none = { tokenHash: undefined };
    expect(await texts({ servers: [none] })).toEqual([expect.stringMatching(/^s1: it has no server token; give/)]);
    expect(await texts({ servers: [none], token: "any" })).toEqual([]);
    const inFile = { ...none, args: ["--token-file=/x"] };
    expect(await texts({ servers: [inFile], answers: [tokenFile(`${ours}\n`)] })).toEqual([]);
    expect(await texts({ servers: [inFile], answers: [tokenFile("")] })).toHaveLength(1);
  });

  test("in a file that its configuration names would keep it from starting too, if it is another", async () => {
    const servers = [{}, { args: ["--token-file=/etc/k3s.token"] }];
    expect(await texts({ servers, token: "theirs", answers: [tokenFile(`${ours}\n`)] })).toEqual([
      expect.stringMatching(/^s2: \/etc\/k3s\.token has another token than `token`/),
    ]);
    expect(await texts({ servers, token: "theirs", answers: [tokenFile(hashToken("theirs"))] })).toEqual([]);
    // Its own: K3s writes it anew.
    const own = [{ args: ["--token-file=/var/lib/rancher/k3s/server/token"] }];
    expect(await texts({ servers: own, token: "theirs" })).toEqual([]);
  });

  test("is never shown", async () => {
    const all = await texts({
      servers: [{ args: ["--token=s3cret-1"] }],
      token: "s3cret-2",
      answers: [inSnapshot("s3cret-3")],
    });
    expect(all.length).toBeGreaterThan(1);
    expect(all.join()).not.toContain("s3cret");
  });
});

describe("another cluster's snapshot", () => {
  const uid = "6a4a5a0e-0000-4000-8000-000000000000";
  const metadata = { "k3s-cluster-id": uid };
  const says = (reply: string): Partial<Scene> => ({
    ...{ quorum: true, snapshot: { location: object, metadata } },
    answers: [{ to: "get namespace kube-system", reply }],
  });

  test("is refused where both tell whose they are, and may be accepted", async () => {
    expect(await findings(says("another-uid"))).toMatchObject([
      { code: "SNAPSHOT_FOREIGN", mayAccept: true, text: expect.stringContaining(uid) as string },
    ]);
    expect(await findings(says(`${uid}\n`))).toEqual([]);
  });

  test("cannot be told where no API server answers: that is no reason", async () => {
    expect(await findings(says(""))).toEqual([]);
    expect(await findings({ ...says("another-uid"), quorum: false })).toEqual([]);
  });
});

describe("versions", () => {
  const old = "v1.20.9+k3s1";
  test("that lose data on new machines are refused there, with a link; whoever knows better may accept", async () => {
    const found = await findings({ servers: [{ version: old, data: { hasEtcd: false } }] });
    expect(found.map(({ code, mayAccept }) => [code, mayAccept])).toContainEqual(["UNSUPPORTED_VERSION", true]);
    expect(found.map(({ text }) => text)).toContainEqual(expect.stringMatching(/^s1: v1\.20\.9\+k3s1: .*https:\/\//));
  });

  test("are not refused in place for what goes wrong on new machines", async () => {
    expect((await texts({ servers: [{ version: "v1.21.6+k3s1" }] })).join()).not.toContain("issues/4296");
    expect((await texts({ servers: [{ version: "v1.21.6+k3s1", data: { hasEtcd: false } }] })).join()).toContain(
      "issues/4296",
    );
  });
});

test("two servers that are one node would never be two members", async () => {
  expect(await texts({ servers: [{ nodeName: "n" }, { nodeName: "n" }, { nodeName: "m" }] })).toEqual([
    expect.stringMatching(/^two servers are the node n;/),
  ]);
});

test("a server without an API server could not be asked afterwards", async () => {
  expect(await texts({ servers: [{}, { args: ["--disable-apiserver"] }] })).toEqual([
    expect.stringMatching(/^s2: etcd without an API server/),
  ]);
});

test("a peer that would join another server is found out before anything stops", async () => {
  expect(await texts({ servers: [{}, { args: ["--server=https://10.0.0.99:6443"] }] })).toEqual([
    expect.stringMatching(/^s2: ExecStart has --server https:\/\/10\.0\.0\.99:6443/),
  ]);
});

describe("members", () => {
  test("that are lost while others have a quorum are told", async () => {
    const found = await findings({ servers: [{}, {}, {}], quorum: true, silent: ["s3"] });
    expect(found.map(({ code, text }) => [code, text.split(":")[0]])).toEqual([["MEMBER_LOST", "s3"]]);
  });
});

describe("disks", () => {
  // The snapshot has 100 MiB, the present data 50 MiB, a new WAL 64 MiB.
  test.each<[string, readonly number[], boolean, Partial<Scene>]>([
    ["enough", [100, 50, 264], true, {}],
    ["too little for us", [99, 50, 264], false, {}],
    ["too little for the safety snapshot", [100, 49, 264], false, {}],
    ["too little for the new data", [100, 50, 263], false, {}],
    ["enough for what is unpacked", [600, 50, 1064], true, { snapshot: { name: "x-s1-1767225600.zip" } }],
    ["too little for what is unpacked", [599, 50, 1064], false, { snapshot: { name: "x-s1-1767225600.zip" } }],
  ])("with %s: %j MiB", async (_, free, enough, scene) => {
    const found = await findings({ ...scene, free });
    expect(found.map(({ code }) => code)).toEqual(enough ? [] : ["NO_SPACE"]);
  });

  test("that seem too small may be right for a zip, of which nobody knows how far it was compressed; not for others", async () => {
    const full = [0, 0, 0];
    const zip = await findings({ free: full, snapshot: { name: "x-s1-1767225600.zip" } });
    expect(zip.map(({ code, mayAccept }) => [code, mayAccept])).toEqual(Array(3).fill(["NO_SPACE", true]));
    const plain = await findings({ free: full });
    expect(plain.map(({ code, mayAccept }) => [code, mayAccept])).toEqual(Array(3).fill(["NO_SPACE", undefined]));
  });

  test("a mount point cannot be renamed, by nobody", async () => {
    for (const snapshot of [{}, { name: "x-s1-1767225600.zip" }]) {
      const found = await findings({ snapshot, answers: [{ to: "mountpoint", reply: "mounted\n" }] });
      expect(found).toEqual([
        { code: "UNSUPPORTED_SETUP", text: expect.stringContaining("server/db/etcd is a mount point") as string },
      ]);
    }
  });
});

interface Scene {
  readonly servers?: readonly GivenEmbeddedFacts[];
  readonly snapshot?: Partial<SnapshotFile>;
  readonly token?: string;
  readonly quorum?: boolean;
  /** Whose members do not answer. */
  readonly silent?: readonly string[];
  readonly answers?: readonly Answer[];
  /** MiB on each of the file systems that a server is asked for. */
  readonly free?: readonly number[];
}

async function findings(scene: Scene): Promise<readonly Finding[]> {
  const { servers = [{}], quorum = false, silent = [], free } = scene;
  const all = servers
    .map((own, index) => embeddedFacts({ server: `s${index + 1}`, tokenHash: ours, ...own }))
    .map((facts) => ({ ...facts, data: { ...facts.data, databaseBytes: 50 * mebi } }));
  const answers: Answer[] = [
    ...(scene.answers ?? []),
    { to: "df -Pk", reply: (text) => space(text, free) },
    { to: "mountpoint", reply: "" },
    { to: "/bootstrap/", reply: "" },
  ];
  const hosts = new Map(all.map(({ server }) => [server, fakeHost(server, answers) satisfies FakeHost]));
  const look = {
    ...{ servers: all, hosts: hosts as unknown as RestoreLook["hosts"], quorum },
    members: { use: () => Promise.resolve([]) } as unknown as RestoreLook["members"],
    status: new Map(
      all.map(({ server }) => [server, silent.includes(server) ? undefined : {}]),
    ) as unknown as RestoreLook["status"],
  } satisfies RestoreLook<EmbeddedFacts>;
  const cluster: Cluster = { distribution: "k3s", name: "prod", servers: [{ name: "s1" }] };
  const snapshot = { name: "x-s1-1767225600", location: file, sizeBytes: 100 * mebi, takenAt: "", ...scene.snapshot };
  return restoreFindings(cluster, look, snapshot, scene.token);
}

async function texts(scene: Scene): Promise<string[]> {
  return (await findings(scene)).map(({ text }) => text);
}

/** Every path is a file system of its own. */
function space(script: string, free: readonly number[] = []): string {
  const paths = /for p in (.*); do/.exec(script)?.[1]?.split(" ") ?? [];
  return paths.map((_, index) => `${index} ${(free[index] ?? 9999) * 1024}\n`).join("");
}
