import {
  configDrift,
  overrides,
  restartDrift,
} from "../../../../../provider/distributions/embedded-etcd/backups/backup-drift";
import { dropIn } from "../../../../../provider/distributions/embedded-etcd/backups/drop-in";
import type { ConfigFileFacts, EmbeddedFacts } from "../../../../../provider/distributions/embedded-etcd/facts";
import type { BackupSettings, Cluster } from "../../../../../provider/model";
import { embeddedFacts, type GivenEmbeddedFacts } from "../../../../support/embedded-facts";

const cluster: Cluster = { distribution: "k3s", name: "prod", servers: [{ name: "s1" }] };
const settings: BackupSettings = {
  ...{ schedule: "0 */6 * * *", retention: 8, snapshotName: "etcd-snapshot", enabled: true },
  s3: { bucket: "b", accessKeyId: "AKIA-id", secretAccessKey: "s3-secret", proxy: "http://me:p4ss@proxy:3128" },
};
const ours = dropIn(cluster, settings, embeddedFacts());
const later = "/etc/rancher/k3s/config.yaml.d/90-own.yaml";

test("a server that does as declared has no drift, also where an earlier file says something else", () => {
  const base = { path: "/etc/rancher/k3s/config.yaml", text: "etcd-snapshot-retention: 2\netcd-s3-proxy: none\n" };
  expect(configDrift(ours, server({}, base))).toEqual([]);
});

test("a server without our file is not told field by field", () => {
  expect(configDrift(ours, embeddedFacts())).toEqual([`${ours.path}: is missing`]);
});

describe("our file", () => {
  test.each<[string, Partial<ConfigFileFacts>, string]>([
    ["readable for others", { mode: "644" }, `${ours.path}: mode 0644, declared 0600`],
    ["somebody else's", { owner: "ubuntu" }, `${ours.path}: belongs to ubuntu, declared root`],
    ["with another number", edited(/retention: 8\n/, "retention: 3\n"), "retention: 3, declared 8"],
    ["with a line too few", edited(/etcd-s3-bucket: .*\n/, ""), "s3.bucket: not set, declared b"],
    [
      "switched off",
      edited("snapshots: false", "snapshots: true"),
      "enabled: etcd-disable-snapshots is true, declared false",
    ],
    ["with another key, which is not said", edited("s3-secret", "stolen"), "s3.secretAccessKey: differs"],
    ["with another proxy, whose password is not said", edited("p4ss", "pass"), "s3.proxy: differs"],
    ["with more than ours", edited(/$/, "tls-san: x\n"), `${ours.path}: its content was changed`],
  ])("%s", (_, change, line) => {
    expect(configDrift(ours, server(change))).toEqual([line]);
  });

  test("the same value in other words is the same", () => {
    const other = edited('"5m"', "5m0s").text.replace("skip-ssl-verify: false", "skip-ssl-verify: 0");
    expect(configDrift(ours, server({ text: other }))).toEqual([`${ours.path}: its content was changed`]);
  });
});

describe("what overrides our file", () => {
  test("a later drop-in is named with what it says, but for secrets", () => {
    const facts = server({}, { path: later, text: "etcd-snapshot-retention: 1\netcd-s3-secret-key: theirs\n" });
    const lines = [`retention: 1 (by ${later}), declared 8`, `s3.secretAccessKey: differs (by ${later})`];
    expect(configDrift(ours, facts)).toEqual(lines);
    expect(overrides(ours, facts)).toEqual(lines);
  });

  test("an argument of the unit is found before our file is there", () => {
    const facts = embeddedFacts({ args: ["--etcd-snapshot-schedule-cron=0 0 * * *"] });
    expect(overrides(ours, facts)).toEqual(["schedule: 0 0 * * * (by ExecStart), declared 0 */6 * * *"]);
  });

  test("what our file itself overrides does not count", () => {
    const base = { path: "/etc/rancher/k3s/config.yaml", text: "etcd-snapshot-retention: 2\n" };
    expect(overrides(ours, embeddedFacts({ configFiles: [base] }))).toEqual([]);
  });
});

describe("a server that was not started again", () => {
  const startedAt = 1000;

  test("since our file was changed", () => {
    expect(restartDrift(ours, server({ changedAt: 1001 }, undefined, { startedAt }))).toBe(
      `restart: k3s.service has not been started again since ${ours.path} was changed`,
    );
    expect(restartDrift(ours, server({ changedAt: 1000 }, undefined, { startedAt }))).toBeUndefined();
  });

  test("a change of the user's own file that says nothing of backups is none of ours", () => {
    const base = { path: "/etc/rancher/k3s/config.yaml", text: "tls-san: x\n", changedAt: 2000 };
    expect(restartDrift(ours, server({ changedAt: 1 }, base, { startedAt }))).toBeUndefined();
  });

  test("one that does not run will read its files when it is started", () => {
    const facts = server({ changedAt: 2000 }, undefined, { startedAt: undefined, unitActive: false });
    expect(restartDrift(ours, facts)).toBeUndefined();
  });
});

function edited(from: string | RegExp, to: string): { readonly text: string } {
  return { text: ours.content.replace(from, to) };
}

function server(
  change: Partial<ConfigFileFacts> = {},
  other?: Partial<ConfigFileFacts> & { readonly path: string },
  own: GivenEmbeddedFacts = {},
): EmbeddedFacts {
  // As a look shows a file: without the line end at its end.
  const there = { path: ours.path, text: ours.content.trimEnd(), ...change };
  return embeddedFacts({ ...own, configFiles: [there, ...(other === undefined ? [] : [other])] });
}
