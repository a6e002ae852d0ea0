import type { RestoreStagesRequest } from "../../../../../provider/distributions/distribution";
import type { EmbeddedFacts } from "../../../../../provider/distributions/embedded-etcd/facts";
import { restoreStages } from "../../../../../provider/distributions/embedded-etcd/restore/restore-stages";
import { hashToken } from "../../../../../provider/distributions/embedded-etcd/token";
import type { EqualMembers, Members } from "../../../../../provider/distributions/members";
import type { Cluster } from "../../../../../provider/model";
import type { Stage, Step } from "../../../../../provider/plan/plan";
import { embeddedFacts, type GivenEmbeddedFacts, rke2Program } from "../../../../support/embedded-facts";
import { type FakeHost, fakeHost } from "../../../../support/fake-host";

const cluster: Cluster = { distribution: "k3s", name: "prod", servers: [{ name: "s1" }] };
const known = { hasNodePassword: true };
const three = ["s1", "s2", "s3"].map((server) => embeddedFacts({ server, ...known }));

test("one server is reset, serves, and the others join it one by one, each a voter before the next", () => {
  expect(ids(restoreStages(three, request()))).toEqual([
    ["s1:stage"],
    ["s2:safety-snapshot"],
    ["s1:stop", "s2:stop", "s3:stop"],
    ["s1:set-aside", "s2:set-aside", "s3:set-aside"],
    ["s1:reset"],
    ["s1:start"],
    ["cluster:serve"],
    ["cluster:api"],
    ["s2:rejoin"],
    ["s2:voter"],
    ["s3:rejoin"],
    ["s3:voter"],
    ["s2:api", "s3:api"],
    ["cluster:verify"],
    ["s1:stale-nodes"],
  ]);
});

test("one server is enough, and stages with nothing to do are not there", () => {
  expect(ids(restoreStages(three.slice(0, 1), request({ safety: [] }))).flat()).toEqual([
    ...["s1:stage", "s1:stop", "s1:set-aside", "s1:reset", "s1:start"],
    ...["cluster:serve", "cluster:api", "cluster:verify", "s1:stale-nodes"],
  ]);
  expect(restoreStages([], request())).toEqual([]);
});

test("passwords of new machines are forgotten before they join; of others they are right", () => {
  const [s1, s2] = three;
  const all = [s1, s2, embeddedFacts({ server: "new", nodeName: "n3", hasNodePassword: false })] as EmbeddedFacts[];
  const order = ids(restoreStages(all, request())).flat();
  expect(order.slice(order.indexOf("cluster:api"), order.indexOf("s2:voter"))).toEqual([
    ...["cluster:api", "s1:node-passwords", "s2:rejoin"],
  ]);
  return expect(scriptsOf("s1:node-passwords", {}, all)).resolves.toEqual([
    expect.stringMatching(/delete secret --ignore-not-found n3\.node-password\.k3s$/),
  ]);
});

test("steps have the same ids in every attempt", () => {
  expect(ids(restoreStages(three, request({ attempt: "a2", token: "x" })))).toEqual(
    ids(restoreStages(three, request())),
  );
});

describe("the point of no return", () => {
  const stages = restoreStages(three, request());
  const crossing = stages.findIndex((stage) => stage.some((step) => step.pointOfNoReturn === "crossing"));

  test("is the start of the restored server, crossed when it serves", () => {
    expect(ids(stages)[crossing]).toEqual(["s1:start"]);
    expect(
      stages
        .flat()
        .filter((step) => step.pointOfNoReturn === "crossed")
        .map(({ id }) => id),
    ).toEqual(["cluster:serve"]);
  });

  test("what changes a server before it can be undone, and nothing after it pretends to be", () => {
    const before = stages.slice(0, crossing + 1).flat();
    // A snapshot more is no change of a cluster's.
    expect(before.filter((step) => step.undo === undefined).map((step) => step.id)).toEqual(["s2:safety-snapshot"]);
    expect(
      stages
        .slice(crossing + 1)
        .flat()
        .filter((step) => step.undo !== undefined),
    ).toEqual([]);
  });

  test("until then no server has been told to join", () => {
    const joins = ids(stages).findIndex((stage) => stage.includes("s2:rejoin"));
    expect(joins).toBeGreaterThan(ids(stages).findIndex((stage) => stage.includes("cluster:serve")));
  });
});

describe("setting aside", () => {
  const allWith = (own: GivenEmbeddedFacts): EmbeddedFacts[] =>
    three.map(({ server }) => embeddedFacts({ server, ...known, ...own }));
  const moved = async (token: string | undefined, server: string, own: GivenEmbeddedFacts = {}): Promise<boolean> =>
    /for f in tls cred token; do\n.*mv "\$server/.test(
      (await scriptsOf(`${server}:set-aside`, { token }, allWith(own))).join(""),
    );

  test("a peer's certificates go too where the snapshot has another token", async () => {
    expect(await moved("other", "s2")).toBe(true);
    expect(await moved(undefined, "s2")).toBe(false);
    expect(await moved("its own", "s2", { tokenHash: hashToken("its own") })).toBe(false);
    expect(await moved("other", "s2", { tokenHash: undefined })).toBe(false);
  });

  test("the first server's are copied, as the reset writes over them", async () => {
    expect((await scriptsOf("s1:set-aside")).join("")).toContain("cp -a");
    expect((await scriptsOf("s2:set-aside")).join("")).not.toContain("cp -a");
    expect(await moved("other", "s1")).toBe(false);
  });

  test("snapshots are never mentioned: they stay where they are", async () => {
    for (const { server } of three) {
      expect((await scriptsOf(`${server}:set-aside`)).join("")).not.toMatch(/snapshots|rm -rf "\$server\/db"/);
    }
  });
});

describe("putting back", () => {
  test("data goes before the copies: the reset may have filled the disk", async () => {
    const text = (await undoOf("s1:set-aside")).join("");
    expect(text.indexOf("server/db/etcd")).toBeGreaterThan(0);
    expect(text.indexOf('mv "$aside"')).toBeLessThan(text.indexOf("cp -a"));
  });

  test("a peer gets back what belongs to its token, whatever is seen of it by now", async () => {
    const text = (await undoOf("s2:set-aside")).join("");
    expect(text).toContain('mv "$kept/$f" "$server/$f"');
    expect(text).toContain("kept=/var/lib/rancher/k3s/server/before-a1");
    expect(text).not.toContain("cp -a");
  });

  test("a server starts as before; only the first still has work to do", async () => {
    expect((await undoOf("s2:stop")).join("")).toContain("rm -rf /var/lib/etcd-backup/prod/restore-a1");
    expect((await undoOf("s1:stop")).join("")).not.toContain("rm -rf");
    expect(await undoOf("s1:stage")).toEqual(["rm -rf /var/lib/etcd-backup/prod/restore-a1"]);
  });

  test("a reset that runs on is ended, and its configuration taken away", async () => {
    expect((await undoOf("s1:reset")).join("")).toMatch(
      /systemctl stop etcd-backup-reset-a1\.service[^]*rm -f \S+~~~etcd-backup-restore\.yaml/,
    );
  });

  test("a server that was started is stopped first, and held", async () => {
    expect((await undoOf("s1:start")).join("")).toMatch(/ConditionPathExists[^]*systemctl stop k3s\.service/);
  });
});

test("RKE2's containers end with their server, wherever it is stopped", async () => {
  const all = ["s1", "s2"].map((server) =>
    embeddedFacts({ server, program: rke2Program, killScript: "/usr/bin/rke2-killall.sh", ...known }),
  );
  const kills = /RKE2_DATA_DIR=\/var\/lib\/rancher\/rke2 \/usr\/bin\/rke2-killall\.sh/;
  for (const id of ["s1:stop", "s2:stop"]) expect((await scriptsOf(id, {}, all)).join("")).toMatch(kills);
  for (const id of ["s1:start", "s1:reset"]) expect((await undoOf(id, {}, all)).join("")).toMatch(kills);
});

test("the files of the restored server are remembered before it starts", async () => {
  const text = (await scriptsOf("s1:start")).join("");
  expect(text.indexOf("-type f")).toBeGreaterThan(0);
  expect(text.indexOf("-type f")).toBeLessThan(text.indexOf("systemctl start --no-block k3s.service"));
});

test("what is proven at the end is all members", async () => {
  const equal: EqualMembers = { revision: 7, alarms: [], members: [] };
  const waitForEqualMembers = jest.fn(() => Promise.resolve(equal));
  const proven = jest.fn();
  await step("cluster:verify", { members: { waitForEqualMembers } as unknown as Members, proven }).run(fakeHost("s1"));
  expect(waitForEqualMembers).toHaveBeenCalledWith(three, 1000);
  expect(proven).toHaveBeenCalledWith(equal);
});

describe("no secret", () => {
  const secret = "s3cret-t0ken";
  const own: GivenEmbeddedFacts = { args: ["--token", secret], environment: [{ name: "K3S_TOKEN", value: secret }] };
  const all = ["s1", "s2"].map((server) => embeddedFacts({ server, ...known, ...own }));

  test("is in a title or an id", () => {
    const said = restoreStages(all, request({ token: secret })).flat();
    expect(said.map(({ id, title }) => `${id} ${title}`).join()).not.toContain(secret);
  });

  test("is a word of what a step runs, but on standard input", async () => {
    for (const id of ["s1:stop", "s1:set-aside", "s1:reset", "s1:start", "s2:rejoin"]) {
      for (const line of (await scriptsOf(id, { token: secret }, all)).join("\n").split("\n")) {
        if (line.includes(secret)) expect(line).toMatch(/^printf '%s' |^(token|K3S_TOKEN)/);
      }
    }
  });
});

function request(own: Partial<RestoreStagesRequest> = {}): RestoreStagesRequest {
  return {
    ...{ cluster, attempt: "a1", snapshotName: "x-s1-1767225600", members: {} as Members, safety: ["s2"] },
    ...{ quorum: true, token: undefined, bumpRevision: false, highestRevision: 0, readers: new Map() },
    fetch: () => Promise.reject(new Error("nothing is fetched here")),
    ...{ patienceMs: () => 1000, proven: () => undefined },
    ...own,
  };
}

function step(id: string, own: Partial<RestoreStagesRequest> = {}, all: readonly EmbeddedFacts[] = three): Step {
  const found = restoreStages(all, request(own))
    .flat()
    .find((one) => one.id === id);
  if (found === undefined) throw new Error(`no step ${id}`);
  return found;
}

/** A host that does whatever it is told, and a reset that is done. */
function willing(server: string): FakeHost {
  const reset = "\n=reset unit\nActiveState=active\nExecMainStatus=0\n\n=reset said\ndone\n\n=reset log\n";
  return fakeHost(server, [
    { to: "=reset", reply: reset },
    { to: /./, reply: "" },
  ]);
}

async function scriptsOf(id: string, own: Partial<RestoreStagesRequest> = {}, all = three): Promise<string[]> {
  const host = willing(id.split(":")[0] ?? "");
  await step(id, own, all).run(host);
  return host.scripts;
}

async function undoOf(id: string, own: Partial<RestoreStagesRequest> = {}, all = three): Promise<string[]> {
  const host = willing(id.split(":")[0] ?? "");
  await step(id, own, all).undo?.(host);
  return host.scripts;
}

function ids(stages: readonly Stage[]): string[][] {
  return stages.map((stage) => stage.map((one) => one.id));
}
