import {
  backupAdvice,
  backupFindings,
} from "../../../../../provider/distributions/embedded-etcd/backups/backup-findings";
import type { BackupSettings, Cluster, S3Settings } from "../../../../../provider/model";
import { embeddedFacts, type GivenEmbeddedFacts } from "../../../../support/embedded-facts";

const cluster: Cluster = { distribution: "k3s", name: "prod", servers: [{ name: "s1" }] };
const settings: BackupSettings = { schedule: "0 0 * * *", retention: 8, snapshotName: "etcd-snapshot", enabled: true };
const keys = { bucket: "b", accessKeyId: "AKIA-id", secretAccessKey: "s3-secret" };

test("nothing stands in the way of a new version, nor of an old one that is asked for nothing new", () => {
  expect(findings({ ...keys, sessionToken: "t", proxy: "http://p:1", bucketLookup: "path" })).toEqual([]);
  expect(findings(keys, { version: "v1.26.9+k3s1" })).toEqual([]);
});

test.each<[string, Partial<S3Settings>, string]>([
  ["s3.sessionToken", { sessionToken: "t" }, "v1.29.14"],
  ["s3.proxy", { proxy: "http://p:1" }, "v1.27.16"],
  ["s3.bucketLookup", { bucketLookup: "path" }, "v1.30.13"],
  ["s3.configSecret", { configSecret: "x" }, "v1.27.16"],
])("%s on a version that does not know it names the first that does", (input, more, first) => {
  const [finding, ...others] = findings({ ...keys, ...more }, { version: "v1.26.9+k3s1" });
  expect(finding?.code).toBe("UNSUPPORTED_VERSION");
  expect(finding?.text).toBe(`s1: ${input}: v1.26.9+k3s1 does not know it; ${first} is the first that does`);
  expect(others).toEqual([]);
});

test("the first version named is one of the server's own line, where there is one", () => {
  const [finding] = findings({ ...keys, sessionToken: "t" }, { version: "v1.31.2+k3s1" });
  expect(finding?.text).toContain("v1.31.6 is the first");
});

test("what overrides our file is a reason to touch nothing", () => {
  const [finding] = findings(keys, { args: ["--etcd-snapshot-retention=3"] });
  expect(finding?.code).toBe("MANAGED_ELSEWHERE");
  expect(finding?.text).toContain("s1: retention: 3 (by ExecStart), declared 8");
});

test("a Secret beside other settings of S3 would be ignored, and is refused", () => {
  const file = { path: "/etc/rancher/k3s/config.yaml", text: "etcd-s3-region: eu-west-1\n" };
  const [finding] = findings({ ...keys, configSecret: "x" }, { configFiles: [file] });
  expect(finding?.text).toContain("etcd-s3-region (by /etc/rancher/k3s/config.yaml)");
});

test("what our own file still says of S3 goes with the Secret's coming, and is no hindrance", () => {
  const file = {
    path: "/etc/rancher/k3s/config.yaml.d/60-etcd-backup.yaml",
    text: "etcd-s3: true\netcd-s3-bucket: b\n",
  };
  expect(findings({ ...keys, configSecret: "x" }, { configFiles: [file] })).toEqual([]);
});

describe("advice", () => {
  const advice = (s3: S3Settings | undefined, facts: GivenEmbeddedFacts = {}): string =>
    backupAdvice({ ...settings, s3 }, embeddedFacts(facts)).join("\n");

  test("on an old version, that S3 keeps what the local retention says, with a link", () => {
    expect(advice(keys, { version: "v1.31.2+k3s1" })).toContain("https://github.com/k3s-io/k3s/issues/13769");
    expect(advice(undefined, { version: "v1.31.2+k3s1" })).not.toContain("13769");
  });

  test("with a Secret, that nothing prunes the bucket", () => {
    expect(advice({ ...keys, configSecret: "x" })).toContain("nothing prunes the bucket");
  });

  test("S3 of the server's own configuration is left alone, and said", () => {
    const file = { path: "/etc/rancher/k3s/config.yaml", text: "etcd-s3: true\n" };
    expect(advice(undefined, { configFiles: [file] })).toContain("etcd-s3 by /etc/rancher/k3s/config.yaml");
    expect(advice(keys, { configFiles: [file] })).toBe("");
  });
});

function findings(s3: S3Settings, facts: GivenEmbeddedFacts = {}): ReturnType<typeof backupFindings> {
  return backupFindings(cluster, { ...settings, s3 }, embeddedFacts(facts));
}
