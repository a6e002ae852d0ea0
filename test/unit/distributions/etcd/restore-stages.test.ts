import type { RestoreStagesRequest } from "../../../../provider/distributions/distribution";
import type { EtcdFacts } from "../../../../provider/distributions/etcd/facts";
import { restoreStages } from "../../../../provider/distributions/etcd/restore-stages";
import { settle } from "../../../../provider/distributions/etcd/settle";
import type { Members } from "../../../../provider/distributions/members";
import type { Cluster } from "../../../../provider/model";
import type { Stage, Step } from "../../../../provider/plan/plan";
import { etcdFacts } from "../../../support/etcd-facts";
import { type Answer, type FakeHost, fakeHost } from "../../../support/fake-host";

const cluster: Cluster = {
  ...{ distribution: "etcd", name: "prod", servers: [{ name: "s1" }, { name: "s2" }] },
  apiServers: [{ name: "api", unit: "apiserver.service" }],
};
const servers = ["s1", "s2"].map((server) => etcdFacts({ server }));

test("backups pause first, everything is prepared before anything stops, API servers are outermost", () => {
  expect(ids(restoreStages(servers, request()))).toEqual([
    ["s1:pause-backups", "s2:pause-backups"],
    ["s1:stage", "s2:stage"],
    ["s2:safety-snapshot"],
    ["s1:prepare", "s2:prepare"],
    ["api:stop-api-server"],
    ["s1:stop", "s2:stop"],
    ["s1:swap", "s2:swap"],
    ["s1:start", "s2:start"],
    ["cluster:serve"],
    ["cluster:verify"],
    ["api:start-api-server"],
  ]);
});

test("stages with nothing to do are not there", () => {
  const all = ids(restoreStages(servers, request({ safety: [], cluster: { ...cluster, apiServers: [] } }))).flat();
  expect(all.filter((id) => /safety|api/.test(id))).toEqual([]);
});

test("what changes a server before the point of no return can be undone", () => {
  const stages = restoreStages(servers, request());
  const crossing = stages.findIndex((stage) => stage.some((step) => step.pointOfNoReturn === "crossing"));
  const before = stages.slice(0, crossing + 1).flat();
  // A snapshot more is no change of a cluster's.
  expect(before.filter((step) => step.undo === undefined).map((step) => step.id)).toEqual(["s2:safety-snapshot"]);
});

test("steps have the same ids in every attempt", () => {
  expect(ids(restoreStages(servers, request({ attempt: "a2" })))).toEqual(ids(restoreStages(servers, request())));
});

describe("the revision", () => {
  const older = etcdFacts({ server: "s2", canBumpRevision: false });
  const prepared = async (all: readonly EtcdFacts[], own: Partial<RestoreStagesRequest> = {}): Promise<string[]> => {
    const [first] = all;
    const host = fakeHost("s1", [{ to: first?.restoreTool ?? "", reply: "" }]);
    await step("s1:prepare", { highestRevision: 4321, ...own }, all).run(host);
    return host.scripts;
  };

  test("is raised beyond the highest that anybody knows", async () => {
    expect(await prepared(servers)).toEqual([expect.stringMatching(/\b4321\b[^]*--bump-revision/)]);
  });

  test("is raised on all servers or on none: their members would differ", async () => {
    expect(await prepared([etcdFacts({ server: "s1" }), older])).toEqual([
      expect.not.stringContaining("--bump-revision"),
    ]);
  });

  test("stays when that is asked for", async () => {
    expect(await prepared(servers, { bumpRevision: false })).toEqual([expect.not.stringContaining("--bump-revision")]);
  });
});

describe("staging", () => {
  const sound = `sound 2080 1767225600 ${"a".repeat(64)}\n`;
  const looks = (first: string, second = first): Answer[] => [
    { to: "umask 077; mkdir -p", reply: "" },
    { to: "SHA-256 trailer", reply: first, times: 1 },
    { to: "SHA-256 trailer", reply: second },
  ];

  test("a snapshot that is there, whole, is not fetched again", async () => {
    await step("s1:stage").run(fakeHost("s1", looks(sound)));
  });

  test.each(["missing\n", "corrupt it is empty\n"])("one that is %j is fetched, and looked at again", async (first) => {
    const fetch = jest.fn(() => Promise.resolve());
    await step("s1:stage", { fetch }).run(fakeHost("s1", looks(first, sound)));
    expect(fetch).toHaveBeenCalledWith("s1", "/var/lib/etcd-backup/prod/restore-a1/snapshot.db");
  });

  test("what arrives broken is refused while etcd still runs", async () => {
    const broken = step("s1:stage", { fetch: () => Promise.resolve() });
    await expect(broken.run(fakeHost("s1", looks("missing\n", "corrupt it is empty\n")))).rejects.toMatchObject({
      ...{ code: "SNAPSHOT_CORRUPT", host: "s1", message: expect.stringContaining("it is empty") as string },
    });
  });
});

describe("settling", () => {
  const journal = "/var/lib/etcd-backup/prod/journal";
  const host = (name: string, files: string): FakeHost =>
    fakeHost(
      name,
      [
        { to: "systemctl stop etcd.service", reply: "" },
        { to: "systemctl start --no-block etcd.service", reply: "" },
        { to: "ExecMainCode", reply: `files=${files}\n` },
      ],
      { [journal]: `begin\t1\t${name}:start\tboot-1\n` },
    );
  const quorum = (yes: boolean): Partial<RestoreStagesRequest> => ({
    members: { hasQuorum: () => Promise.resolve(yes) } as unknown as Members,
  });

  test("forward at once where a quorum answers: nothing is stopped", async () => {
    const hosts = new Map(["s1", "s2"].map((name) => [name, fakeHost(name)]));
    expect(await settle(servers, request(quorum(true)), hosts)).toBe("forward");
  });

  test("back when no member has changed; all are stopped, and stay so", async () => {
    const hosts = new Map(["s1", "s2"].map((name) => [name, host(name, "same")]));
    expect(await settle(servers, request(quorum(false)), hosts)).toBe("back");
    for (const one of hosts.values()) {
      expect(one.transcript).toEqual(["run systemctl stop etcd.service", `read ${journal}`, "query ExecMainCode"]);
    }
  });

  test("forward when one may have: all are started again", async () => {
    const hosts = new Map([
      ["s1", host("s1", "same")],
      ["s2", host("s2", "changed")],
    ] as const);
    expect(await settle(servers, request(quorum(false)), hosts)).toBe("forward");
    for (const one of hosts.values()) expect(one.transcript.at(-1)).toBe("run systemctl start --no-block etcd.service");
  });
});

function request(own: Partial<RestoreStagesRequest> = {}): RestoreStagesRequest {
  return {
    ...{ cluster, attempt: "a1", snapshotName: "x.db", members: {} as Members, safety: ["s2"], token: undefined },
    ...{ bumpRevision: true, highestRevision: 0, quorum: true },
    fetch: () => Promise.reject(new Error("nothing is fetched here")),
    ...{ patienceMs: () => 1000, proven: () => undefined },
    ...own,
  };
}

function step(id: string, own: Partial<RestoreStagesRequest> = {}, all: readonly EtcdFacts[] = servers): Step {
  const found = restoreStages(all, request(own))
    .flat()
    .find((one) => one.id === id);
  if (found === undefined) throw new Error(`no step ${id}`);
  return found;
}

function ids(stages: readonly Stage[]): string[][] {
  return stages.map((stage) => stage.map((one) => one.id));
}
