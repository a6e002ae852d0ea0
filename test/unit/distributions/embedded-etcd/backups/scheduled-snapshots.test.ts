import {
  lastFailure,
  lastScheduledAt,
  staleSince,
} from "../../../../../provider/distributions/embedded-etcd/backups/scheduled-snapshots";
import { embeddedFacts, type GivenEmbeddedFacts } from "../../../../support/embedded-facts";

const midnight = Date.parse("2026-01-02T00:00:00Z") / 1000;
const [hour, grace] = [3600, 15 * 60];
const named = (...names: string[]): GivenEmbeddedFacts => ({
  snapshots: names.map((name) => ({ name, sizeBytes: 4128, changedAt: 0 })),
});

describe("the last scheduled snapshot", () => {
  test.each<[string, string, string | undefined]>([
    ["plain", `etcd-snapshot-s1-${midnight}`, "2026-01-02T00:00:00.000Z"],
    ["compressed", `etcd-snapshot-s1-${midnight}.zip`, "2026-01-02T00:00:00.000Z"],
    ["of another base that begins the same", `etcd-snapshot-pre-upgrade-s1-${midnight}`, undefined],
    ["of another server", `etcd-snapshot-s11-${midnight}`, undefined],
    ["of another server whose name goes on", `etcd-snapshot-s1-b-${midnight}`, undefined],
    ["on request", `on-demand-s1-${midnight}`, undefined],
    ["still written", `etcd-snapshot-s1-${midnight}.part`, undefined],
  ])("%s", (_, name, at) => {
    expect(lastScheduledAt(embeddedFacts(named(name)))).toBe(at);
  });

  test("the newest by its name, empty files left out", () => {
    const facts = named(`etcd-snapshot-s1-${midnight}`, `etcd-snapshot-s1-${midnight - hour}`);
    const empty = { name: `etcd-snapshot-s1-${midnight + hour}`, sizeBytes: 0, changedAt: 0 };
    const all = { snapshots: [...(facts.snapshots ?? []), empty] };
    expect(lastScheduledAt(embeddedFacts(all))).toBe("2026-01-02T00:00:00.000Z");
  });

  test("under the name that the server's settings say", () => {
    const configFiles = [{ path: "/etc/rancher/k3s/config.yaml", text: "etcd-snapshot-name: nightly\n" }];
    expect(lastScheduledAt(embeddedFacts({ ...named(`nightly-s1-${midnight}`), configFiles }))).toBeDefined();
    expect(lastScheduledAt(embeddedFacts({ ...named(`etcd-snapshot-s1-${midnight}`), configFiles }))).toBeUndefined();
  });
});

describe("a snapshot is owed", () => {
  const since = (seconds: number, own: GivenEmbeddedFacts): string | undefined =>
    staleSince("0 */6 * * *", embeddedFacts({ clock: midnight + seconds, startedAt: midnight - 1000 * hour, ...own }));
  const old = named(`etcd-snapshot-s1-${midnight}`);

  test("for one interval and a quarter of an hour after the last, to the second", () => {
    expect(since(6 * hour + grace, old)).toBeUndefined();
    expect(since(6 * hour + grace + 1, old)).toBe(
      "schedule: the newest snapshot is of 2026-01-02T00:00:00.000Z, one was due by 2026-01-02T06:15:00.000Z",
    );
  });

  test("from the server's start on, and from the last change of our file on", () => {
    expect(since(6 * hour + grace + 1, { ...old, startedAt: midnight + 1 })).toBeUndefined();
    const file = { path: "/etc/rancher/k3s/config.yaml.d/60-etcd-backup.yaml", changedAt: midnight + 1 };
    expect(since(6 * hour + grace + 1, { ...old, configFiles: [file] })).toBeUndefined();
    expect(since(6 * hour + grace + 2, { ...old, configFiles: [file] })).toContain("schedule: the newest");
  });
});

describe("the last failure, by the list that Kubernetes keeps", () => {
  const item = (at: number, nodeName: string, message?: string): object => ({
    spec: { snapshotName: `etcd-snapshot-s1-${at}`, nodeName },
    status: message === undefined ? { readyToUse: true } : { error: { message } },
  });
  const seen = (...items: object[]): string | undefined =>
    lastFailure(embeddedFacts(named(`etcd-snapshot-s1-${midnight}`)), JSON.stringify({ items }));

  test("an upload that failed", () => {
    expect(seen(item(midnight, "s1"), item(midnight, "s3", "Access Denied."))).toBe(
      "the scheduled snapshot of 2026-01-02T00:00:00.000Z did not reach S3: Access Denied.",
    );
  });

  test("one that was followed by a good one is over", () => {
    expect(seen(item(midnight - hour, "s3", "Access Denied."), item(midnight, "s3"))).toBeUndefined();
  });

  test("a newer one that left no file", () => {
    expect(seen(item(midnight + hour, "s1", "no space left"))).toContain("failed: no space left");
  });

  test("what other servers failed at is theirs to say", () => {
    const other = { spec: { snapshotName: `etcd-snapshot-s2-${midnight}` }, status: { error: { message: "x" } } };
    expect(seen(other)).toBeUndefined();
  });
});
