import type { RestoreStagesRequest } from "../../../../../provider/distributions/distribution";
import { describeRestore } from "../../../../../provider/distributions/embedded-etcd/restore/describe-restore";
import type { SnapshotFile } from "../../../../../provider/model";
import { embeddedFacts, type GivenEmbeddedFacts, rke2Program } from "../../../../support/embedded-facts";

const mebi = 1024 * 1024;

test("who is reset, who joins, what stops, what is forgotten, how long", () => {
  expect(lines([{ server: "s1" }, { server: "s2", dataDir: "/srv/k3s" }, { server: "s3" }])).toEqual([
    "s1 (K3s v1.35.4+k3s1) is reset to the snapshot; s2, then s3 join it as new members.",
    "All K3s servers stop at once; the containers that run go on running.",
    expect.stringMatching(/^Kubernetes forgets what was created after the snapshot/),
    expect.stringMatching(/^The revision goes back/),
    `The old data is set aside, not deleted: ${["s1", "s2", "s3"].map((server) => `${server}:${server === "s2" ? "/srv" : "/var/lib/rancher"}/k3s/server/db/etcd.before-<time>`).join(", ")}.`,
    "Certificates and token of s1 are kept in /var/lib/rancher/k3s/server/before-<time>.",
    "It takes about 101 s; the API server is away until s1 serves.",
  ]);
});

test("one server has nobody to join it", () => {
  expect(lines([{}])[0]).toBe("s1 (K3s v1.35.4+k3s1) is reset to the snapshot.");
  expect(lines([{}, { server: "s2" }])[0]).toMatch(/; s2 joins it as new member\.$/);
});

test("RKE2's containers stop with it", () => {
  expect(lines([{ program: rke2Program }])[1]).toMatch(/^All RKE2 servers stop at once, with every container/);
});

test("machines without old data are named, and nothing of them is said to be set aside", () => {
  const fresh = { data: { hasEtcd: false } };
  const none = lines([{ ...fresh }, { server: "s2", ...fresh }]);
  expect(none[1]).toBe("No data of an old cluster on s1, s2.");
  expect(none.join("\n")).not.toContain("set aside");
  expect(lines([{ ...fresh }, { server: "s2" }])).toContain(
    "The old data is set aside, not deleted: s2:/var/lib/rancher/k3s/server/db/etcd.before-<time>.",
  );
});

test("a machine that has no token yet is promised no copy of one", () => {
  expect(lines([{ tokenHash: undefined, data: { hasEtcd: false } }]).join("\n")).not.toContain("are kept in");
});

test("a large snapshot takes longer", () => {
  expect(lines([{}], 3000 * mebi).at(-1)).toMatch(/^It takes about 140 s/);
});

function lines(servers: readonly GivenEmbeddedFacts[], sizeBytes = mebi): readonly string[] {
  const all = servers.map((own) => embeddedFacts(own));
  return describeRestore(all, {} as RestoreStagesRequest, { name: "x", sizeBytes } as SnapshotFile);
}
