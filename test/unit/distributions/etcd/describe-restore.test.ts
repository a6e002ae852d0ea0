import type { RestoreStagesRequest } from "../../../../provider/distributions/distribution";
import { describeRestore } from "../../../../provider/distributions/etcd/describe-restore";
import type { SnapshotFile } from "../../../../provider/model";
import { etcdFacts, type GivenFacts } from "../../../support/etcd-facts";

const mebi = 1024 * 1024;

test("members, revision and time", () => {
  const said = lines([{ server: "s1" }, { server: "s2", member: { name: "infra2" }, etcdVersion: "3.6.1" }]);
  expect(said).toEqual([
    "Members afterwards: s1 (s1, etcd 3.6.16), infra2 (s2, etcd 3.6.1).",
    "The revision is raised beyond the present one, so that every watcher lists again.",
    "The old data is set aside, not deleted: s1:/var/lib/etcd/member.before-<time>, s2:/var/lib/etcd/member.before-<time>.",
    "It takes about 21 s; etcd is stopped for about 10 s of it.",
  ]);
});

test("a log that lies apart is set aside where it lies", () => {
  expect(lines([{ member: { dataDir: "/srv/etcd", walDir: "/wal" } }])).toContain(
    "The old data is set aside, not deleted: s1:/srv/etcd/member.before-<time>, s1:/wal/before-<time>.",
  );
});

test.each<[string, readonly GivenFacts[], boolean, RegExp]>([
  ["by all tools", [{}, {}], true, /^The revision is raised/],
  ["by some tools only", [{}, { canBumpRevision: false }], true, /cannot\. Restart every client that watches\.$/],
  ["by nobody's wish", [{}, {}], false, /as asked\.$/],
])("a revision that can be raised %s", (_, servers, bumpRevision, line) => {
  expect(lines(servers, { bumpRevision })[1]).toMatch(line);
});

test("a large snapshot takes longer", () => {
  expect(lines([{}], {}, 3000 * mebi).at(-1)).toMatch(/^It takes about 120 s; etcd is stopped for about 10 s/);
});

function lines(
  servers: readonly GivenFacts[],
  wanted: Partial<RestoreStagesRequest> = {},
  sizeBytes = mebi,
): readonly string[] {
  const request = { cluster: { name: "prod" }, bumpRevision: true, ...wanted } as RestoreStagesRequest;
  const snapshot = { name: "x.db", sizeBytes } as SnapshotFile;
  return describeRestore(
    servers.map((own) => etcdFacts(own)),
    request,
    snapshot,
  );
}
