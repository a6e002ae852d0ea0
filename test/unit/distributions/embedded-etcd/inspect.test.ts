import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setting } from "../../../../provider/distributions/embedded-etcd/settings/config-files";
import type { EmbeddedFacts } from "../../../../provider/distributions/embedded-etcd/facts";
import { inspect } from "../../../../provider/distributions/embedded-etcd/inspect";
import type { Program } from "../../../../provider/distributions/embedded-etcd/program";
import { hashToken } from "../../../../provider/distributions/embedded-etcd/token";
import type { Cluster } from "../../../../provider/model";
import { k3sProgram, rke2Program } from "../../../support/embedded-facts";
import { type FakeHost, fakeHost } from "../../../support/fake-host";

// Recorded on the stand-in, see test/fixtures/embedded-etcd/record.ts.
const cluster: Cluster = { distribution: "k3s", name: "prod", servers: [{ name: "s1" }] };

describe.each(["config-file", "exec-start", "env-file"])("a server that has its settings by %s", (configuration) => {
  test.each([
    ["running", true],
    ["stopped", false],
  ])("is known while it is %s", async (state, running) => {
    const facts = await look(`${configuration}-${state}`);
    expect(facts).toMatchObject({
      ...{ server: "s1", unit: "k3s.service", unitActive: running, running, nodeName: "s1" },
      ...{ version: "v1.35.4+k3s1", binary: "/usr/local/bin/k3s", configFile: "/etc/rancher/k3s/config.yaml" },
      etcdVersion: running ? "3.6.16" : "3.6",
      ...{ dataDir: "/var/lib/rancher/k3s", snapshotDirectory: "/var/lib/rancher/k3s/server/db/snapshots" },
      snapshots: [{ name: expect.stringMatching(/^first-s1-\d+$/) as string }],
      data: { hasEtcd: true, hasSqlite: false },
      ...{ tokenHash: hashToken("a-token"), hasNodePassword: true, supervisorPort: 6443 },
      ...{ journal: "", marker: "", lease: "" },
      environmentFiles: ["-/etc/default/k3s", "-/etc/sysconfig/k3s", "-/etc/systemd/system/k3s.service.env"],
      tools: new Set(["curl", "flock", "gzip", "sha256sum", "systemd-run"]),
      killScript: "/usr/local/bin/k3s-killall.sh",
      member: {
        name: expect.stringMatching(/^s1-[0-9a-f]{8}$/) as string,
        peerUrls: [expect.stringMatching(/^https:\/\/10\.[\d.]+:2380$/)],
        endpoint: "https://127.0.0.1:2379",
        cert: "/var/lib/rancher/k3s/server/tls/etcd/client.crt",
      },
    });
    expect([setting(facts.settings, "token"), setting(facts.settings, "cluster-init")]).toEqual(["a-token", "true"]);
    expect(facts.member.peerUrls).toEqual([`https://${facts.address}:2380`]);
    expect(facts.startedAt === undefined).toBe(!running);
    if (facts.startedAt !== undefined) expect(facts.clock - facts.startedAt).toBeLessThan(60);
    expect(facts.data.databaseBytes).toBeGreaterThan(10_000);
    expect(facts.boot).toMatch(/^[0-9a-f-]{36}$/);
  });
});

test("it is one round trip where everything is in its usual place, and only looks", async () => {
  const host = answering("exec-start-running");
  await inspect(k3sProgram, host, cluster);
  expect(host.transcript).toEqual(["query mark="]);
});

test("a data directory, a snapshot directory and a node name of its own are believed", async () => {
  expect(await look("data-dir-running")).toMatchObject({
    ...{ dataDir: "/srv/k3s", snapshotDirectory: "/srv/snapshots", nodeName: "given" },
    data: { hasEtcd: true },
    member: { cacert: "/srv/k3s/server/tls/etcd/server-ca.crt" },
  });
});

test("RKE2 has the same under its own names", async () => {
  expect(await look("rke2-running", rke2Program)).toMatchObject({
    ...{ unit: "rke2-server.service", version: "v1.35.4+rke2r1", dataDir: "/var/lib/rancher/rke2", running: true },
    ...{ killScript: "/usr/local/bin/rke2-killall.sh", supervisorPort: 9345 },
  });
});

describe("what was looked for in the wrong place is looked for again", () => {
  const places = (script: string): string[] => /config=(\S+) data=(\S+) snapshots=(\S+)/.exec(script)?.slice(1) ?? [];
  const asked = async (
    text: string,
    own: Partial<Cluster> = {},
  ): Promise<{ facts: EmbeddedFacts; asked: string[][] }> => {
    const host = telling(text);
    const facts = await inspect(k3sProgram, host, { ...cluster, ...own });
    return { facts, asked: host.scripts.map(places) };
  };
  const usual = "/var/lib/rancher/k3s";

  test("a data directory with a blank", async () => {
    const text = recorded("data-dir-running").replaceAll('data-dir: "/srv/k3s"', 'data-dir: "/srv/my k3s"');
    const { facts, asked: all } = await asked(text);
    expect(facts.dataDir).toBe("/srv/my k3s");
    expect(all[0]).toEqual(["''", "''", "''"]);
    // It never answers for what it is asked here: two more questions are enough.
    expect(all).toHaveLength(3);
  });

  test("a configuration file that only the environment names", async () => {
    const text = recorded("env-file-running").replace(
      "K3S_CLUSTER_INIT='true'",
      "K3S_CLUSTER_INIT='true'\nK3S_CONFIG_FILE=/etc/other.yaml",
    );
    const { facts, asked: all } = await asked(text);
    expect(facts.configFile).toBe("/etc/other.yaml");
    expect(all[1]).toEqual(["/etc/other.yaml", usual, `${usual}/server/db/snapshots`]);
  });

  test("the given data directory stays what is given", async () => {
    const { facts } = await asked(recorded("config-file-running"), { dataDir: "/given" });
    expect(facts.dataDir).toBe("/given");
  });
});

test("what a restore under way has it configured to is not its own configuration", async () => {
  const dropIn = "/etc/rancher/k3s/config.yaml.d/~~~etcd-backup-restore.yaml";
  const text = recorded("config-file-running").replace(
    "=MARK looked",
    `=MARK file 600 root 1 ${dropIn}\nserver: "https://10.0.0.1:6443"\ntoken: "other"\n\n=MARK looked`,
  );
  const facts = await inspect(k3sProgram, telling(text), cluster);
  expect([setting(facts.settings, "server"), setting(facts.settings, "token")]).toEqual([undefined, "a-token"]);
  expect(facts.configFiles.map(({ path }) => path)).toEqual(["/etc/rancher/k3s/config.yaml"]);
});

describe("refused", () => {
  test.each([
    ["none", "no unit k3s.service"],
    ["sqlite", "SQLite here"],
    ["external", "an external datastore"],
  ])("%s", async (name, what) => {
    await expect(look(name)).rejects.toMatchObject({
      ...{ code: "NOT_EMBEDDED_ETCD", host: "s1", message: expect.stringContaining(what) as string },
    });
  });

  test("nothing of an external datastore's address is shown", async () => {
    await expect(look("external")).rejects.toMatchObject({ message: expect.not.stringContaining("u:p@") as string });
  });

  test("an agent belongs among the agents", async () => {
    const asAgent = inspect(k3sProgram, answering("agent"), { ...cluster, unit: "k3s-agent.service" });
    await expect(asAgent).rejects.toMatchObject({
      ...{
        code: "NOT_EMBEDDED_ETCD",
        message: expect.stringMatching(/k3s-agent\.service does not run.*\n.*`agents`/) as string,
      },
    });
  });

  test("what Rancher manages", async () => {
    await expect(look("rancher")).rejects.toMatchObject({
      ...{ code: "MANAGED_ELSEWHERE", message: expect.stringMatching(/50-rancher\.yaml[^]*Rancher/) as string },
    });
  });

  test("a configuration that its own server could not read", async () => {
    const text = recorded("config-file-running").replace("cluster-init: true", "cluster-init: [");
    await expect(inspect(k3sProgram, telling(text), cluster)).rejects.toMatchObject({
      message: expect.stringMatching(/^s1: \/etc\/rancher\/k3s\/config\.yaml cannot be read/) as string,
    });
  });

  test("a server that leaves etcd to others", async () => {
    const text = recorded("config-file-running").replace("cluster-init: true", "disable-etcd: true");
    await expect(inspect(k3sProgram, telling(text), cluster)).rejects.toMatchObject({ code: "NOT_EMBEDDED_ETCD" });
  });

  test("an answer that was cut off", async () => {
    const text = recorded("config-file-running").replace(/=MARK clock[^]*/, "");
    await expect(inspect(k3sProgram, telling(text), cluster)).rejects.toBeInstanceOf(Error);
  });
});

function recorded(name: string): string {
  return readFileSync(join(__dirname, "../../../fixtures/embedded-etcd", `${name}.txt`), "utf8");
}

/** Answers with a text in which every part is headed by the mark that this look chose. */
function telling(text: string): FakeHost {
  const withMark = (script: string): string => text.replaceAll("=MARK", /mark=(\S+)/.exec(script)?.[1] ?? "");
  return fakeHost("s1", [{ to: "mark=", reply: withMark }]);
}

function answering(name: string): FakeHost {
  return telling(recorded(name));
}

function look(name: string, program: Program = k3sProgram): Promise<EmbeddedFacts> {
  return inspect(program, answering(name), cluster);
}
