import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { EmbeddedFacts } from "../../../../../provider/distributions/embedded-etcd/facts";
import { finishServer, leaveServer } from "../../../../../provider/distributions/embedded-etcd/restore/finish-server";
import { embeddedFacts } from "../../../../support/embedded-facts";
import { type FakeSystemctl, fakeSystemctl } from "../../../../support/fake-systemctl";
import { type ScriptHost, scriptHost } from "../../../../support/script-host";

let host: ScriptHost;
let systemctl: FakeSystemctl;
let facts: EmbeddedFacts;
beforeEach(() => {
  host = scriptHost();
  host.stub("sync", "");
  systemctl = fakeSystemctl(host);
  facts = embeddedFacts({ configFile: join(host.root, "etc/config.yaml"), dataDir: join(host.root, "k3s") });
  for (const [path, text] of Object.entries(files())) {
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, text);
  }
});
afterEach(() => host.remove());

describe.each([
  ["finished", (marker: string) => finishServer("prod", facts, "a1", marker)],
  ["left to another restore", (marker: string) => leaveServer("prod", facts, "a1", marker)],
])("an attempt that is %s", (_, end) => {
  test("is on record; what told the server to join and what was staged is gone, and nothing else", async () => {
    await host.run(end('{"a":"it\'s"}'));
    expect(readFileSync(inState("restored.json"), "utf8")).toBe('{"a":"it\'s"}');
    const left = Object.keys(files()).filter((path) => existsSync(path));
    expect(left).toEqual([
      join(host.root, "etc/config.yaml.d/60-etcd-backup.yaml"),
      inState("restore-a2/snapshot"),
      ...Object.keys(ofBefore()),
    ]);
  });

  test("starts units that were stopped with it, and is safe to repeat", async () => {
    await host.run(end("{}"));
    await host.run(end("{}"));
    expect(systemctl.told()).toEqual(["start --no-block api.service"]);
  });
});

test("a record that cannot be written leaves what was staged: the end can be tried again", async () => {
  host.stub("mktemp", "echo 'No space left on device' >&2; exit 1");
  await expect(host.run(finishServer("prod", facts, "a1", "{}"))).rejects.toBeInstanceOf(Error);
  expect(existsSync(inState("restore-a1/snapshot"))).toBe(true);
});

test("a server that is left without data is not started: it might begin a cluster of its own", async () => {
  const hold = join(host.root, "units/k3s.service.d/zz-etcd-backup-restore.conf");
  mkdirSync(join(hold, ".."), { recursive: true });
  writeFileSync(hold, "");
  await host.run(leaveServer("prod", facts, "a1", undefined));
  expect(systemctl.told().filter((line) => line.includes("k3s"))).toEqual([]);
  expect(existsSync(hold)).toBe(true);
  expect(existsSync(inState("restored.json"))).toBe(false);
});

function inState(path: string): string {
  return join(host.root, "state/prod", path);
}

function files(): Readonly<Record<string, string>> {
  return {
    [join(host.root, "etc/config.yaml.d/60-etcd-backup.yaml")]: "etcd-snapshot-retention: 5",
    [join(host.root, "etc/config.yaml.d/~~~etcd-backup-restore.yaml")]: 'server: "x"',
    [inState("restore-a1/snapshot")]: "snapshot",
    [inState("restore-a1/dependants")]: "api.service\n",
    [inState("restore-a2/snapshot")]: "another attempt's",
    ...ofBefore(),
  };
}

/** Data and token of before: whoever goes back needs both. */
function ofBefore(): Readonly<Record<string, string>> {
  return {
    [join(host.root, "k3s/server/db/etcd.before-a1/member/snap/db")]: "old",
    [join(host.root, "k3s/server/before-a1/token")]: "old",
  };
}
