import { distributionOf } from "../../../provider/distributions";
import type { ServerFacts } from "../../../provider/distributions/distribution";
import { type MemberLook, membersOf } from "../../../provider/distributions/members";
import type { Cluster } from "../../../provider/model";
import type { FoundSnapshot } from "../../../provider/operations/find-snapshot";
import type { ClusterLook } from "../../../provider/operations/look-at-cluster";
import { describePlan, planRestore } from "../../../provider/operations/plan-restore";
import type { RestoreRequest } from "../../../provider/operations/restore";
import { embeddedFacts } from "../../support/embedded-facts";
import { etcdFacts } from "../../support/etcd-facts";

const names = ["s1", "s2", "s3"];
const request: RestoreRequest = { snapshot: "x", triggers: [], safetySnapshot: true, bumpRevision: false };
const snapshot: FoundSnapshot = {
  file: { name: "x", location: { kind: "file", server: "s1", path: "/x" }, sizeBytes: 4128, takenAt: "2026-01-01" },
  title: "file://s1/x",
  fetch: () => Promise.reject(new Error("nothing is fetched for a plan")),
};

test("the plan names the servers that are saved first: of etcd all that answer, of K3s one", () => {
  const etcd = names.map((server) => etcdFacts({ server }));
  const k3s = names.map((server) => embeddedFacts({ server }));
  expect(plan("etcd", etcd, ["s2", "s3"])).toContain("A safety snapshot is taken and verified first on s2, s3.");
  expect(plan("k3s", k3s, ["s2", "s3"])).toContain("A safety snapshot is taken and verified first on s2.");
});

test("of K3s that is the one that has most, of those that answer", () => {
  const revisions = { s1: 7, s2: 9, s3: 8 };
  const k3s = names.map((server) => embeddedFacts({ server }));
  expect(plan("k3s", k3s, names, {}, revisions)).toContain("A safety snapshot is taken and verified first on s2.");
  expect(plan("k3s", k3s, ["s1", "s3"], {}, revisions)).toContain(
    "A safety snapshot is taken and verified first on s3.",
  );
});

test.each([
  ["the restore's before the cluster's", { token: "then" }, { token: "now" }, "then"],
  ["the cluster's where the restore has none", {}, { token: "now" }, "now"],
  ["left to the servers where none is given", {}, {}, undefined],
])("the token of the snapshot is %s", (_, own, ofCluster, expected) => {
  const cluster: Cluster = { distribution: "k3s", name: "prod", servers: [{ name: "s1" }], ...ofCluster };
  const stages = jest.spyOn(distributionOf(cluster).restores, "stages");
  const wanted = { attempt: "a1", identity: "id", request: { ...request, ...own }, snapshot };
  planRestore(cluster, lookAt(cluster, [embeddedFacts()], []), wanted);
  expect(stages.mock.lastCall?.[1]).toHaveProperty("token", expected);
  stages.mockRestore();
});

test("the plan says once where old data is set aside", () => {
  for (const [distribution, servers] of [
    ["etcd", names.map((server) => etcdFacts({ server }))],
    ["k3s", names.map((server) => embeddedFacts({ server }))],
  ] as const) {
    const found = plan(distribution, servers, names).filter((line) => line.includes("set aside, not deleted"));
    expect(found).toEqual([expect.stringMatching(/: s1:\S+\.before-<time>, s2:\S+, s3:\S+\.$/)]);
  }
});

test("it says when there is nothing to save, and when none is wanted", () => {
  const k3s = names.map((server) => embeddedFacts({ server }));
  expect(plan("k3s", k3s, []).join("\n")).toContain("No safety snapshot can be taken: no member answers.");
  expect(plan("k3s", k3s, ["s1"], { safetySnapshot: false })).toContain("No safety snapshot, as asked.");
});

function plan(
  distribution: Cluster["distribution"],
  servers: readonly ServerFacts[],
  answering: readonly string[],
  more: Partial<RestoreRequest> = {},
  revisions: Readonly<Record<string, number>> = {},
): string[] {
  const cluster: Cluster = { distribution, name: "prod", servers: names.map((name) => ({ name })) };
  const look = lookAt(cluster, servers, answering, revisions);
  const wanted = { ...request, ...more };
  const attempt = { attempt: "20260101T000000Z", identity: "id", request: wanted, snapshot };
  return describePlan(look, planRestore(cluster, look, attempt), cluster, wanted, snapshot);
}

function lookAt(
  cluster: Cluster,
  servers: readonly ServerFacts[],
  answering: readonly string[],
  revisions: Readonly<Record<string, number>> = {},
): ClusterLook {
  const member: MemberLook = {
    ...{ memberId: "1", clusterId: "9", leaderId: "2", isLearner: false, errors: [], version: "3.6.7" },
    ...{ revision: 7, dbSize: 20480, raftIndex: 9, raftAppliedIndex: 9, raftTerm: 2 },
  };
  return {
    hosts: new Map(),
    servers,
    members: membersOf(cluster, servers, new Map()),
    status: new Map(answering.map((name) => [name, { ...member, revision: revisions[name] ?? member.revision }])),
    ...{ quorum: true, open: undefined, marker: undefined },
  };
}
