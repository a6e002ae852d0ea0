import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { EtcdFacts } from "../../../../provider/distributions/etcd/facts";
import { examineStopped, prepareData } from "../../../../provider/distributions/etcd/restore-data";
import { restorePlaces, type RestorePlaces } from "../../../../provider/distributions/etcd/restore-places";
import {
  pauseBackups,
  resumeBackups,
  startApiServer,
  startMember,
  stopApiServer,
  stopMember,
} from "../../../../provider/distributions/etcd/restore-services";
import { parsePairs } from "../../../../provider/distributions/parts";
import { etcdFacts } from "../../../support/etcd-facts";
import { type FakeSystemctl, fakeSystemctl } from "../../../support/fake-systemctl";
import { listeningPorts } from "../../../support/listening-ports";
import { type ScriptHost, scriptHost } from "../../../support/script-host";

const odd = `it's "my" $HOME data; ü`;
const me = userInfo();

let host: ScriptHost;
let systemctl: FakeSystemctl;
let facts: EtcdFacts;
let places: RestorePlaces;

beforeEach(() => {
  host = scriptHost();
  const dataDir = join(host.root, odd);
  facts = etcdFacts({
    ...{ user: me.username, group: String(me.gid), restoreTool: join(host.root, "bin/etcdutl") },
    member: { dataDir, peerUrls: ["https://10.0.0.1:2380"] },
    settings: new Map([
      ["listen-client-urls", "https://10.0.0.1:22379,https://127.0.0.1:12379"],
      ["listen-peer-urls", "https://10.0.0.1:12380/"],
    ]),
  });
  places = restorePlaces("prod", facts, "a1");
  mkdirSync(inState(""), { recursive: true });
  listeningPorts(host);
  systemctl = fakeSystemctl(host);
  host.stub("sleep", "");
});
afterEach(() => host.remove());

describe("stopping etcd", () => {
  test("its unit is held and stopped, and what it was before is remembered", async () => {
    systemctl.shows("active\n");
    await host.run(stopMember(facts, places));
    expect(systemctl.told()).toEqual(["daemon-reload", "stop etcd.service"]);
    expect(readFileSync(inState("unit"), "utf8")).toBe("active\n");
  });

  test.each([
    ["of its clients", 12379, true],
    ["of its peers", 12380, true],
    ["of somebody else", 2379, false],
  ])("its listening addresses tell the ports: one %s that goes on listening", async (_, port, fails) => {
    listeningPorts(host, port);
    const stopped = host.run(stopMember(facts, places)).then(
      () => false,
      () => true,
    );
    expect(await stopped).toBe(fails);
  });

  test.each([2379, 2380])("etcd's own port %i is meant where no address tells one", async (port) => {
    listeningPorts(host, port);
    await expect(host.run(stopMember({ ...facts, settings: new Map() }, places))).rejects.toMatchObject({
      stderr: expect.stringContaining("something still listens") as string,
    });
  });
});

test("a start remembers the restored files, lets the unit go and does not wait for a quorum", async () => {
  await host.run(stopMember(facts, places));
  mkdirSync(facts.member.dataDir);
  await host.run(startMember(facts, places));
  expect(systemctl.told().slice(2)).toEqual([
    ...["daemon-reload", "reset-failed etcd.service", "start --no-block etcd.service"],
  ]);
  expect(existsSync(inState("files"))).toBe(true);
});

describe("the scheduled backups", () => {
  test("one that ran is stopped, its run too, and started again", async () => {
    systemctl.isActive("active\n");
    await host.run(pauseBackups("prod", places));
    systemctl.isActive("inactive\n");
    await host.run(pauseBackups("prod", places));
    await host.run(resumeBackups("prod", places));
    const stop = "stop etcd-backup-prod.timer etcd-backup-prod.service";
    expect(systemctl.told()).toEqual([stop, stop, "start etcd-backup-prod.timer"]);
  });

  test("one that was off stays off", async () => {
    systemctl.isActive("inactive\n");
    await host.run(pauseBackups("prod", places));
    await host.run(resumeBackups("prod", places));
    expect(systemctl.told()).toEqual([]);
  });
});

describe("an API server", () => {
  const course = async (state: string): Promise<string[]> => {
    systemctl.isActive(`${state}\n`);
    await host.run(stopApiServer("kube-apiserver.service", places.work));
    await host.run(startApiServer("kube-apiserver.service", places.work));
    return systemctl.told();
  };

  test("that was off stays off", async () => {
    expect(await course("inactive")).toEqual(["stop kube-apiserver.service"]);
  });

  test.each(["active", "activating", "failed"])(
    "that was %s, because etcd was down or not, is started",
    async (state) => {
      const restarted = ["reset-failed kube-apiserver.service", "start --no-block kube-apiserver.service"];
      expect(await course(state)).toEqual(["stop kube-apiserver.service", ...restarted]);
    },
  );

  test("that was never stopped is not started", async () => {
    await host.run(startApiServer("kube-apiserver.service", places.work));
    expect(systemctl.told()).toEqual([]);
  });
});

describe("restoring beside the old data", () => {
  const prepare = (beyond?: number): Promise<{ stdout: string }> =>
    host.run(prepareData(facts, places, "s1=https://10.0.0.1:2380", "etcd-backup-a1", beyond));

  beforeEach(() =>
    host.stub(
      "etcdutl",
      `case "$2" in
status) echo '{"hash":1,"revision":500,"totalKey":9,"version":""}' ;;
restore)
  [ ! -e "$ROOT/broken" ] || { echo 'the disk is on fire' >&2; exit 1; }
  printf '%s\\n' "$@" >"$ROOT/words"
  while [ "$1" != --data-dir ]; do shift; done
  mkdir -p "$2/member/snap" && echo restored >"$2/member/snap/db" ;;
esac`,
    ),
  );

  test("every word of etcdutl is its own, whatever is in it", async () => {
    const { stdout } = await prepare();
    expect(readFileSync(join(host.root, "words"), "utf8").trim().split("\n")).toEqual([
      ...[
        "snapshot",
        "restore",
        inState("snapshot.db"),
        "--name",
        "s1",
        "--initial-cluster",
        "s1=https://10.0.0.1:2380",
      ],
      ...["--initial-cluster-token", "etcd-backup-a1", "--initial-advertise-peer-urls", "https://10.0.0.1:2380"],
      ...["--data-dir", `${facts.member.dataDir}/.restore-a1`],
    ]);
    expect(stdout).toContain('"revision":500');
    expect(statSync(places.prepared).mode & 0o777).toBe(0o700);
  });

  test.each([
    [400, 1_000_000_000],
    [500, 1_000_000_000],
    [700, 1_000_000_200],
  ])("beyond revision %i, 500 is raised by %i", async (beyond, bump) => {
    await prepare(beyond);
    const words = readFileSync(join(host.root, "words"), "utf8").trim().split("\n");
    expect(words.slice(-3)).toEqual(["--bump-revision", String(bump), "--mark-compacted"]);
  });

  test("a data directory that is gone is made, for etcd alone", async () => {
    await prepare();
    expect(statSync(facts.member.dataDir).mode & 0o777).toBe(0o700);
  });

  test("what an earlier try left is replaced", async () => {
    mkdirSync(places.prepared, { recursive: true });
    writeFileSync(join(places.prepared, "left"), "");
    await prepare();
    expect(readdirSync(places.prepared)).toEqual(["member"]);
  });

  test("what the tool says of its failure is the error's, and the old data is not touched", async () => {
    mkdirSync(join(facts.member.dataDir, "member"), { recursive: true });
    writeFileSync(join(facts.member.dataDir, "member/db"), "old");
    writeFileSync(join(host.root, "broken"), "");
    await expect(prepare()).rejects.toMatchObject({ stderr: expect.stringContaining("the disk is on fire") as string });
    expect(readFileSync(join(facts.member.dataDir, "member/db"), "utf8")).toBe("old");
  });
});

describe("what is seen of a member that was started and stopped", () => {
  const db = (): string => join(facts.member.dataDir, "member/snap/db");
  const look = async (): Promise<ReadonlyMap<string, readonly string[]>> =>
    parsePairs((await host.query(examineStopped(facts, places))).stdout);

  beforeEach(async () => {
    mkdirSync(join(db(), ".."), { recursive: true });
    writeFileSync(db(), "restored");
    writeFileSync(inState("prepared.json"), '{"revision":500}');
    systemctl.shows("ExecMainCode=2\nExecMainStatus=15\nNRestarts=0\n");
    host.stub("etcdutl", `[ "$1 $2 $4" = "snapshot status --write-out=json" ] && echo '{"revision":501}'`);
    await host.run(startMember(facts, places));
  });

  test("its end, its boot, its revisions", async () => {
    const seen = await look();
    expect(Object.fromEntries([...seen].map(([name, [value]]) => [name, value]))).toEqual({
      ...{ ExecMainCode: "2", ExecMainStatus: "15", NRestarts: "0", files: "same" },
      boot: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
      ...{ prepared: '{"revision":500}', now: '{"revision":501}' },
    });
  });

  test.each<[string, () => void]>([
    ["written", () => writeFileSync(db(), "restoreD")],
    ["touched", () => utimesSync(db(), 1, 1)],
    ["removed", () => rmSync(db())],
    ["added", () => writeFileSync(`${db()}.new`, "")],
  ])("a file that was %s since the start", async (_, change) => {
    change();
    expect((await look()).get("files")).toEqual(["changed"]);
  });

  test("started again, it is still compared with the first start", async () => {
    writeFileSync(db(), "more");
    await host.run(startMember(facts, places));
    expect((await look()).get("files")).toEqual(["changed"]);
  });

  test("nothing is known to be the same where nothing was noted", async () => {
    rmSync(inState("files"));
    rmSync(facts.member.dataDir, { recursive: true });
    expect((await look()).get("files")).toEqual(["changed"]);
  });
});

function inState(name: string): string {
  return join(host.root, "state/prod/restore-a1", name);
}
