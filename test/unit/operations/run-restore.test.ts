import { BackupError } from "../../../provider/errors";
import type { Members } from "../../../provider/distributions/members";
import type { Cluster } from "../../../provider/model";
import * as finding from "../../../provider/operations/find-snapshot";
import * as looking from "../../../provider/operations/look-at-cluster";
import type { RestoreReport, RestoreRequest } from "../../../provider/operations/restore";
import { type RestoreMarker, restoreIdentity } from "../../../provider/operations/restore-identity";
import { runRestore } from "../../../provider/operations/run-restore";
import { rememberTaken } from "../../../provider/operations/taken-here";
import type { OpenAttempt } from "../../../provider/plan/journal";
import { etcdFacts } from "../../support/etcd-facts";
import { type Answer, type FakeHost, fakeHost } from "../../support/fake-host";

jest.mock("../../../provider/operations/look-at-cluster");
jest.mock("../../../provider/operations/find-snapshot");
jest.mock("../../../provider/operations/restore-findings");
const { lookAtCluster } = jest.mocked(looking);
const { findSnapshot } = jest.mocked(finding);

const cluster: Cluster = { distribution: "etcd", name: "prod", servers: [{ name: "s1" }, { name: "s2" }] };
const location = "s3://b/prod/x.db";
const request: RestoreRequest = { snapshot: location, triggers: [], safetySnapshot: true, bumpRevision: true };
const identity = restoreIdentity(cluster, location, []);
const report = { restoredAt: "2026-01-01T00:00:00Z" } as RestoreReport;
const done: RestoreMarker = { identity, requested: location, triggers: "[]", report };
const closing = (outcome: string): Answer => ({ to: `closed "$(date +%s)" ${outcome}`, reply: "" });

let info: string[];
beforeEach(() => {
  info = [];
  jest.resetAllMocks();
  findSnapshot.mockResolvedValue({
    file: {
      name: "x.db",
      location: { kind: "s3", bucket: "b", key: "prod/x.db" },
      sizeBytes: 4128,
      takenAt: "2025-12-31T00:00:00Z",
    },
    title: location,
    fetch: () => Promise.reject(new Error("nothing is fetched here")),
  });
});

describe("an attempt that was cut off before the point of no return", () => {
  test("is put back where it began, and nowhere else: etcd goes on running", async () => {
    const hosts = servers({
      s1: [
        { to: "rm -rf /var/lib/etcd/.restore-a1", reply: "" },
        { to: "rm -f /var/lib/etcd-backup/prod/restore-a1/snapshot.db", reply: "" },
      ],
      s2: [{ to: "rm -f /var/lib/etcd-backup/prod/restore-a1/snapshot.db", reply: "" }],
    });
    const open = attempt({ began: new Set(["s1:stage", "s2:stage", "s1:prepare"]) });
    lookAtCluster.mockResolvedValueOnce(look({ open })).mockResolvedValueOnce(look({ marker: done }));
    expect(await run(hosts)).toBe(report);
    expect(transcripts(hosts)).toEqual({
      s1: [
        "run rm -rf /var/lib/etcd/.restore-a1",
        "run rm -f /var/lib/etcd-backup/prod/restore-a1/snapshot.db",
        'run closed "$(date +%s)" abandoned',
      ],
      s2: ["run rm -f /var/lib/etcd-backup/prod/restore-a1/snapshot.db", 'run closed "$(date +%s)" abandoned'],
    });
    expect(info).toEqual(["An earlier restore (a1) was cut off; its servers are put back first."]);
  });

  test("of a cluster that had a quorum: it must have one again", async () => {
    const waitForQuorum = jest.fn(() => Promise.reject(new Error("no quorum")));
    lookAtCluster.mockResolvedValueOnce(look({ open: attempt({ quorumBefore: true }), members: { waitForQuorum } }));
    await expect(run(servers({ s1: [], s2: [] }))).rejects.toMatchObject({ code: "RESTORE_INTERRUPTED" });
    expect(waitForQuorum).toHaveBeenCalledTimes(1);
  });

  test("is put back also when nobody asks for the same restore any more", async () => {
    const hosts = servers({ s1: [], s2: [] });
    lookAtCluster
      .mockResolvedValueOnce(look({ open: attempt({ identity: "another" }) }))
      .mockResolvedValueOnce(look({ marker: done }));
    await run(hosts);
    expect(transcripts(hosts)).toEqual({
      s1: ['run closed "$(date +%s)" abandoned'],
      s2: ['run closed "$(date +%s)" abandoned'],
    });
  });
});

test("what began to be put back goes on being put back: nobody looks again which way to go", async () => {
  // s1 has its old data in place by now; s2 could not be reached.
  const s2 = ["systemctl stop etcd.service", "mv", "systemctl start"].map((to) => ({ to, reply: "" }));
  const hosts = servers({ s1: [{ to: "mv", reply: "" }], s2 });
  const open = attempt({ began: new Set(["s1:swap", "s2:start", "s2:swap"]), undone: new Set(["s1:start"]) });
  lookAtCluster.mockResolvedValueOnce(look({ open })).mockResolvedValueOnce(look({ marker: done }));
  expect(await run(hosts)).toBe(report);
  expect(hosts.get("s2")?.transcript.at(-1)).toBe('run closed "$(date +%s)" abandoned');
  expect(hosts.get("s1")?.transcript.some((line) => line.includes("systemctl"))).toBe(false);
});

test("an attempt that crossed, of another restore, is superseded: what it stopped runs again before it is forgotten", async () => {
  const withApi: Cluster = { ...cluster, apiServers: [{ name: "api", unit: "apiserver.service" }] };
  const leave: Answer = { to: "systemctl start etcd-backup-prod.timer", reply: "" };
  const hosts = servers({
    ...{ s1: [leave], s2: [leave] },
    api: [
      { to: "systemctl start --no-block apiserver.service", reply: "" },
      { to: "rm -rf /var/lib/etcd-backup/prod/restore-a1", reply: "" },
    ],
  });
  const open = attempt({ crossed: true, identity: "another" });
  lookAtCluster.mockResolvedValueOnce(look({ open })).mockResolvedValueOnce(look({ marker: done }));
  expect(await run(hosts, withApi)).toBe(report);
  expect(hosts.get("api")?.transcript).toEqual([
    "run systemctl start --no-block apiserver.service",
    "run rm -rf /var/lib/etcd-backup/prod/restore-a1",
    'run closed "$(date +%s)" superseded',
  ]);
  expect(hosts.get("s1")?.transcript).toEqual([
    "run systemctl start etcd-backup-prod.timer",
    'run closed "$(date +%s)" superseded',
  ]);
});

describe("superseding an attempt that crossed", () => {
  const crossed = (): OpenAttempt => attempt({ crossed: true, identity: "another" });
  const timer: Answer = { to: "systemctl start etcd-backup-prod.timer", reply: "" };

  test("what was done before it is not done any more: asked for again, it is restored again", async () => {
    const hosts = servers({ s1: [timer], s2: [timer] });
    lookAtCluster.mockResolvedValueOnce(look({ open: crossed(), marker: done })).mockResolvedValueOnce(look({}));
    // The journal cannot be opened: as far as this test goes, it begins.
    await expect(run(hosts)).rejects.toThrow("no answer to: run");
    const marker = /'(\{"identity".*\})'/.exec(hosts.get("s1")?.scripts[0] ?? "")?.[1] ?? "";
    expect(JSON.parse(marker)).toEqual({ identity: "", requested: "", triggers: "", report });
  });

  test("a snapshot that is not there supersedes nothing", async () => {
    findSnapshot.mockRejectedValue(new BackupError("SNAPSHOT_NOT_FOUND", "no snapshot named x.db"));
    const hosts = servers({ s1: [], s2: [] });
    lookAtCluster.mockResolvedValueOnce(look({ open: crossed() }));
    await expect(run(hosts)).rejects.toMatchObject({ code: "SNAPSHOT_NOT_FOUND" });
    expect(transcripts(hosts)).toEqual({ s1: [], s2: [] });
  });

  test("a member that is still kept from starting is started", async () => {
    const hosts = servers({ s1: [timer], s2: [timer] });
    lookAtCluster.mockResolvedValueOnce(look({ open: crossed() })).mockResolvedValueOnce(look({ marker: done }));
    await run(hosts);
    expect(hosts.get("s2")?.scripts[0]).toMatch(
      /if \[ -e \S*zz-etcd-backup-restore\.conf \]; then\n[^]*systemctl start --no-block etcd\.service\nfi/,
    );
  });
});

test("an attempt that a server's journal does not know is not gone on with there: a member that serves would be stopped", async () => {
  const hosts = servers({ s1: [], s2: [] });
  lookAtCluster.mockResolvedValueOnce(look({ open: attempt({ crossed: true }) }));
  await expect(run(hosts)).rejects.toMatchObject({
    code: "RESTORE_INTERRUPTED",
    message: expect.stringContaining("the journal on s1, s2 has no line of the attempt a1") as string,
  });
  expect(transcripts(hosts)).toEqual({ s1: [], s2: [] });
});

test("a snapshot of this very update is refused also after something was put back", async () => {
  rememberTaken([location]);
  lookAtCluster.mockResolvedValueOnce(look({ open: attempt({}) })).mockResolvedValueOnce(look({}));
  await expect(run(servers({ s1: [], s2: [] }))).rejects.toMatchObject({ code: "RESTORE_TO_NOW" });
});

function attempt(own: Partial<OpenAttempt>): OpenAttempt {
  return {
    ...{
      attempt: "a1",
      identity,
      quorumBefore: false,
      began: new Set<string>(),
      done: new Set<string>(),
      undone: new Set<string>(),
      crossed: false,
    },
    ...{ snapshot: { location, sizeBytes: 4128, takenAt: "2025-12-31T00:00:00Z" }, ...own },
  };
}

function look(seen: {
  readonly open?: OpenAttempt;
  readonly marker?: RestoreMarker;
  readonly members?: Partial<Members>;
}): looking.ClusterLook {
  return {
    ...{ hosts: new Map(), servers: ["s1", "s2"].map((server) => etcdFacts({ server })), status: new Map() },
    ...{ quorum: false, open: seen.open, marker: seen.marker },
    members: (seen.members ?? {}) as Members,
  };
}

/** Every server can close its journal; anything else it is told by the test. */
function servers(answers: Readonly<Record<string, readonly Answer[]>>): ReadonlyMap<string, FakeHost> {
  const ends = [closing("abandoned"), closing("superseded")];
  return new Map(Object.entries(answers).map(([name, own]) => [name, fakeHost(name, [...own, ...ends])]));
}

function transcripts(hosts: ReadonlyMap<string, FakeHost>): Record<string, readonly string[]> {
  return Object.fromEntries([...hosts].map(([name, host]) => [name, host.transcript]));
}

function run(hosts: ReadonlyMap<string, FakeHost>, of = cluster): Promise<RestoreReport> {
  const progress = { status() {}, info: (text: string) => void info.push(text), warn() {} };
  return runRestore({ cluster: of, request, call: { progress }, hosts });
}
