import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { EtcdFacts } from "../../../../provider/distributions/etcd/facts";
import { parsePairs } from "../../../../provider/distributions/etcd/parts";
import { examineStopped, prepareData } from "../../../../provider/distributions/etcd/restore-data";
import { restorePlaces, type RestorePlaces } from "../../../../provider/distributions/etcd/restore-places";
import {
  pauseBackups,
  resumeBackups,
  startApiServer,
  startAsBefore,
  startMember,
  stopApiServer,
  stopMember,
} from "../../../../provider/distributions/etcd/restore-services";
import { etcdFacts } from "../../../support/etcd-facts";
import { type ScriptHost, scriptHost } from "../../../support/script-host";

const odd = `it's "my" $HOME data; ü`;
const me = userInfo();

let host: ScriptHost;
let facts: EtcdFacts;
let places: RestorePlaces;

beforeEach(() => {
  host = scriptHost();
  const dataDir = join(host.root, odd);
  facts = etcdFacts({
    ...{ user: me.username, group: String(me.gid), restoreTool: join(host.root, "bin/etcdutl") },
    member: { dataDir, peerUrls: ["https://10.0.0.1:2380"] },
    settings: new Map([
      ["listen-client-urls", "https://10.0.0.1:2379,https://127.0.0.1:2379"],
      ["listen-peer-urls", "https://10.0.0.1:2380/"],
    ]),
  });
  places = restorePlaces("prod", facts, "a1");
  mkdirSync(inState(""), { recursive: true });
  mkdirSync(join(host.root, "net"));
  listening();
  // Remembers what it was told, and answers what it is given to answer.
  host.stub(
    "systemctl",
    `case "$1" in
show) [ -s "$ROOT/show" ] && cat "$ROOT/show"; exit 0 ;;
is-active) cat "$ROOT/active"; grep -qx active "$ROOT/active" ;;
*) echo "$*" >>"$ROOT/told" ;;
esac`,
  );
  host.stub("sleep", "");
});
afterEach(() => host.remove());

describe("stopping etcd", () => {
  test("a hold comes first, so that not even a boot starts it", async () => {
    answers("show", "active\n");
    await host.run(stopMember(facts, places));
    expect(told()).toEqual(["daemon-reload", "stop etcd.service"]);
    expect(hold()).toContain("ConditionPathExists=/nonexistent/");
  });

  test("units that require it, and ran, are started again after it", async () => {
    host.stub(
      "systemctl",
      `case "$*" in
*RequiredBy*) printf 'api.service idle.service\n\n' ;;
show*) echo active ;;
is-active*api.service) exit 0 ;;
is-active*) exit 3 ;;
*) echo "$*" >>"$ROOT/told" ;;
esac`,
    );
    await host.run(stopMember(facts, places));
    await host.run(startAsBefore(facts, places));
    expect(told().slice(-2)).toEqual(["start --no-block etcd.service", "start --no-block api.service"]);
  });

  test("it is stopped when nothing listens on its ports any more", async () => {
    listening(2379, 22);
    host.stub(
      "sleep",
      `echo slept >>"$ROOT/told"; grep -v :094B "$ROOT/net/tcp" >"$ROOT/net/less"; mv "$ROOT/net/less" "$ROOT/net/tcp"`,
    );
    await host.run(stopMember(facts, places));
    expect(told()).toContain("slept");
  });

  test("something that goes on listening is a failure", async () => {
    listening(2380);
    await expect(host.run(stopMember(facts, places))).rejects.toMatchObject({
      stderr: expect.stringContaining("something still listens") as string,
    });
  });

  test("a server without IPv6 is as good as any", async () => {
    rmSync(join(host.root, "net/tcp6"));
    await host.run(stopMember(facts, places));
    listening(2380);
    rmSync(join(host.root, "net/tcp6"));
    await expect(host.run(stopMember(facts, places))).rejects.toThrow();
  });

  test.each(["active", "activating", "reloading"])(
    "what was %s before is started again when it is put back",
    async (state) => {
      answers("show", `${state}\n`);
      await host.run(stopMember(facts, places));
      answers("show", "inactive\n");
      await host.run(stopMember(facts, places));
      await host.run(startAsBefore(facts, places));
      expect(told().at(-1)).toBe("start --no-block etcd.service");
      expect(existsSync(join(host.root, "units/etcd.service.d"))).toBe(false);
    },
  );

  test.each(["inactive", "failed"])("what was %s before is left so, without the hold", async (state) => {
    answers("show", `${state}\n`);
    await host.run(stopMember(facts, places));
    await host.run(startAsBefore(facts, places));
    expect(told()).not.toContain("start --no-block etcd.service");
    expect(existsSync(join(host.root, "units/etcd.service.d"))).toBe(false);
  });

  test("somebody's own drop-ins stay", async () => {
    const own = join(host.root, "units/etcd.service.d/limits.conf");
    mkdirSync(join(own, ".."), { recursive: true });
    writeFileSync(own, "[Service]\n");
    answers("show", "active\n");
    await host.run(stopMember(facts, places));
    await host.run(startAsBefore(facts, places));
    expect(readdirSync(join(own, ".."))).toEqual(["limits.conf"]);
  });

  test("putting back what was never stopped starts nothing", async () => {
    await host.run(startAsBefore(facts, places));
    expect(told()).toEqual(["daemon-reload"]);
  });

  test("a look that is cut off is not taken for what was found", async () => {
    host.stub("systemctl", `[ "$1" != show ] || { kill -KILL $PPID; exit; }`);
    await expect(host.run(stopMember(facts, places))).rejects.toThrow();
    expect(existsSync(inState("unit"))).toBe(false);
  });
});

describe("the scheduled backups", () => {
  test("one that ran is stopped, its run too, and started again", async () => {
    answers("active", "active\n");
    await host.run(pauseBackups("prod", places));
    answers("active", "inactive\n");
    await host.run(pauseBackups("prod", places));
    await host.run(resumeBackups("prod", places));
    const stop = "stop etcd-backup-prod.timer etcd-backup-prod.service";
    expect(told()).toEqual([stop, stop, "start etcd-backup-prod.timer"]);
  });

  test("one that was off stays off", async () => {
    answers("active", "inactive\n");
    await host.run(pauseBackups("prod", places));
    await host.run(resumeBackups("prod", places));
    expect(told()).toEqual([]);
  });
});

describe("an API server", () => {
  const course = async (state: string): Promise<string[]> => {
    answers("active", `${state}\n`);
    await host.run(stopApiServer("kube-apiserver.service", places.work));
    await host.run(startApiServer("kube-apiserver.service", places.work));
    return told();
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
    expect(told()).toEqual([]);
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
    answers("show", "ExecMainCode=2\nExecMainStatus=15\nNRestarts=0\n");
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

function answers(file: "show" | "active", text: string): void {
  writeFileSync(join(host.root, file), text);
}

function told(): string[] {
  const path = join(host.root, "told");
  return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
}

function hold(): string {
  return readFileSync(join(host.root, "units/etcd.service.d/zz-etcd-backup-restore.conf"), "utf8");
}

/** What the kernel shows of ports; in state 0A one listens, in 06 it is the past of a connection. */
function listening(...ports: number[]): void {
  const line = (port: number, state: string): string =>
    `   0: 0100007F:${port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 ${state} 00000000:00000000\n`;
  const header = "  sl  local_address rem_address   st tx_queue rx_queue\n";
  writeFileSync(join(host.root, "net/tcp"), header + line(2379, "06") + ports.map((port) => line(port, "0A")).join(""));
  writeFileSync(join(host.root, "net/tcp6"), header);
}
