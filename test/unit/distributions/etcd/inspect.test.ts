import { readFileSync } from "node:fs";
import { join } from "node:path";
import { toOnCalendar } from "../../../../provider/distributions/etcd/cron";
import type { EtcdFacts } from "../../../../provider/distributions/etcd/facts";
import { inspect } from "../../../../provider/distributions/etcd/inspect";
import type { Cluster } from "../../../../provider/model";
import { type FakeHost, fakeHost } from "../../../support/fake-host";

const cluster: Cluster = { distribution: "etcd", name: "prod", servers: [{ name: "s1" }] };
const tls = { cacert: "/etc/etcd/pki/ca.crt", cert: "/etc/etcd/pki/server.crt", key: "/etc/etcd/pki/server.key" };

describe.each(["flags", "env", "config-file"])("a server whose etcd has its settings by %s", (configuration) => {
  test.each([
    ["running", true],
    ["stopped", false],
  ])("is known while it is %s", async (state, running) => {
    const facts = await look(`${configuration}-${state}`);
    expect(facts).toMatchObject({
      ...{ server: "s1", unit: "etcd.service", unitActive: running, running, user: "etcd", group: "etcd" },
      ...{ etcdVersion: "3.6.16", etcdctl: "/usr/local/bin/etcdctl", restoreTool: "/usr/local/bin/etcdutl" },
      ...{ canBumpRevision: true, journal: "", marker: "", lease: "" },
      tools: new Set(["curl", "flock", "sha256sum", "systemd-analyze"]),
      member: {
        ...{
          name: "s1",
          dataDir: "/var/lib/etcd",
          walDir: "/var/lib/etcd-wal/wal",
          endpoint: "https://127.0.0.1:2379",
        },
        ...{ peerUrls: [expect.stringMatching(/^https:\/\/10\.[\d.]+:2380$/)], ...tls },
      },
    });
    expect(facts.clock).toBeGreaterThan(1_700_000_000);
    expect(facts.boot).toMatch(/^[0-9a-f-]{36}$/);
    expect(facts.startedAt).toMatch(/UTC$/);
  });
});

test("it is one round trip, and only looks", async () => {
  const host = answering("flags-running");
  await inspect(host, cluster);
  expect(host.transcript).toEqual(["query mark="]);
});

test("etcd 3.4 restores with etcdctl, and cannot raise the revision", async () => {
  const facts = await look("3.4-running");
  expect(facts).toMatchObject({
    etcdVersion: expect.stringMatching(/^3\.4\./) as string,
    restoreTool: "/usr/local/bin/etcdctl",
  });
  expect(facts.canBumpRevision).toBe(false);
});

test("of the backups it sees what systemd runs, not what our files say", async () => {
  const { backups } = await look("backups-overridden");
  expect(backups).toMatchObject({
    ...{ timerActive: false, timerEnabled: true, needsReload: false, status: "" },
    ...{ calendar: ["Mon *-*-* 00:00:00"], declaredCalendar: ["*-*-* 00,06,12,18:00:00"] },
    dropIns: ["/etc/systemd/system/etcd-backup-prod.timer.d/slow.conf"],
    commands: ["/bin/sh /etc/etcd-backup/prod/save.sh /etc/etcd-backup/prod/settings"],
  });
  expect(backups.files.map(({ mode, owner, path }) => `${mode} ${owner} ${path}`)).toEqual([
    "700 root /etc/etcd-backup/prod",
    "700 root /etc/etcd-backup/prod/save.sh",
    "600 root /etc/etcd-backup/prod/settings",
    "644 root /etc/systemd/system/etcd-backup-prod.service",
    "644 root /etc/systemd/system/etcd-backup-prod.timer",
  ]);
  expect(backups.files.map(({ sha256 }) => /^[0-9a-f]{64}$/.test(sha256))).toEqual([false, true, true, true, true]);
});

test("several units are named, and the choice is asked for", async () => {
  await expect(look("two-units")).rejects.toMatchObject({
    ...{ code: "NOT_ETCD", host: "s1" },
    message: expect.stringMatching(/etcd-events\.service, etcd\.service\n.*`unit`/) as string,
  });
});

test("a server without etcd says so", async () => {
  await expect(look("none")).rejects.toMatchObject({ code: "NOT_ETCD", host: "s1" });
});

test("a unit that is given and not there says so", async () => {
  const text = recorded("flags-stopped").replace("LoadState=loaded", "LoadState=not-found");
  await expect(inspect(telling(text), { ...cluster, unit: "etcdd.service" })).rejects.toMatchObject({
    ...{ code: "NOT_ETCD", message: expect.stringContaining("`unit`") as string },
  });
});

test("what is given for the cluster wins over what is found", async () => {
  const given = {
    dataDir: "/other",
    endpoints: ["https://etcd.internal:4001"],
    cacert: "/ca",
    cert: "/cert",
    key: "/key",
  };
  const { member } = await inspect(answering("flags-running"), { ...cluster, ...given });
  expect(member).toMatchObject({
    dataDir: "/other",
    endpoint: "https://etcd.internal:4001",
    cacert: "/ca",
    cert: "/cert",
    key: "/key",
  });
});

describe("a member with few settings", () => {
  const withArgs = (words: string, more: Readonly<Record<string, string>> = {}): FakeHost => {
    const text = recorded("flags-stopped").replace(
      /(=MARK args\n)[^]*?\n\n(?==MARK)/,
      `$1${words.split(" ").join("\n")}\n\n`,
    );
    return telling(Object.entries(more).reduce((all, [from, to]) => all.replace(from, to), text));
  };
  const at = { "WorkingDirectory=\n": "WorkingDirectory=/srv/etcd\n" };

  test("without a data directory it is asked for, unless the unit's own directory tells", async () => {
    await expect(inspect(withArgs("etcd --name s1"), cluster)).rejects.toMatchObject({
      ...{ code: "SETTING_NOT_FOUND", message: expect.stringContaining("`dataDir`") as string },
    });
    expect((await inspect(withArgs("etcd --name s1", at), cluster)).member.dataDir).toBe("/srv/etcd/s1.etcd");
  });

  test("relative directories are below the unit's own", async () => {
    const { member } = await inspect(withArgs("etcd --data-dir data --wal-dir wal", at), cluster);
    expect([member.name, member.dataDir, member.walDir]).toEqual(["default", "/srv/etcd/data", "/srv/etcd/wal"]);
  });

  test("without TLS no certificates are wanted; with it and no authority, one is asked for", async () => {
    const { member } = await inspect(withArgs("etcd --data-dir /d"), cluster);
    expect(member).toMatchObject({
      endpoint: "http://127.0.0.1:2379",
      cacert: undefined,
      cert: undefined,
      key: undefined,
    });
    const tlsOnly = withArgs("etcd --data-dir /d --listen-client-urls https://10.0.0.1:2379");
    await expect(inspect(tlsOnly, cluster)).rejects.toMatchObject({
      ...{ code: "SETTING_NOT_FOUND", message: expect.stringContaining("`cacert`") as string },
    });
  });

  test.each([
    ["http://0.0.0.0:2379", "http://127.0.0.1:2379"],
    ["http://[::]:2379", "http://127.0.0.1:2379"],
    ["http://10.0.0.1:2379,http://localhost:2379", "http://localhost:2379"],
    ["http://10.0.0.1:2379", "http://10.0.0.1:2379"],
  ])("one that listens on %s is asked at %s", async (urls, endpoint) => {
    const { member } = await inspect(withArgs(`etcd --data-dir /d --listen-client-urls ${urls}`), cluster);
    expect(member.endpoint).toBe(endpoint);
  });
});

function recorded(name: string): string {
  return readFileSync(join(__dirname, "../../../fixtures/etcd", `${name}.txt`), "utf8");
}

/** Answers with a text in which every part is headed by the mark that this look chose. */
function telling(text: string): FakeHost {
  const withMark = (script: string): string => text.replaceAll("=MARK", /mark=(\S+)/.exec(script)?.[1] ?? "");
  return fakeHost("s1", [{ to: "mark=", reply: withMark }]);
}

function answering(name: string): FakeHost {
  return telling(recorded(name));
}

function look(name: string): Promise<EtcdFacts> {
  return inspect(answering(name), cluster, toOnCalendar("0 */6 * * *"));
}
