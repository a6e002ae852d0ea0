import { readFileSync } from "node:fs";
import { join } from "node:path";
import { askKubernetes } from "../../../../../provider/distributions/embedded-etcd/backups/ask-kubernetes";
import {
  applySecret,
  s3Secret,
  secretDrift,
} from "../../../../../provider/distributions/embedded-etcd/backups/s3-secret";
import type { BackupSettings, Cluster } from "../../../../../provider/model";
import { fakeHost } from "../../../../support/fake-host";
import { embeddedFacts } from "../../../../support/embedded-facts";
import { scriptHost } from "../../../../support/script-host";

const cluster: Cluster = { distribution: "k3s", name: "prod", servers: [{ name: "s1" }] };
const s3 = { bucket: "b", accessKeyId: "AKIA-id", secretAccessKey: "s3-secret", endpointCa: "PEM" };
const settings: BackupSettings = {
  ...{ schedule: "0 0 * * *", retention: 8, snapshotName: "etcd-snapshot", enabled: true },
  s3: { ...s3, configSecret: "backup-s3" },
};
const version = "v1.35.4+k3s1";

function secretOf(): NonNullable<ReturnType<typeof s3Secret>> {
  const secret = s3Secret(cluster, settings, version);
  if (secret === undefined) throw new Error("there is a Secret");
  return secret;
}

test("there is one only where it is asked for", () => {
  expect(s3Secret(cluster, { ...settings, s3 }, version)).toBeUndefined();
  expect(secretOf().data).toMatchObject({
    // PEM as it is, where a file has base64.
    ...{ "etcd-s3-endpoint-ca": "PEM", "etcd-s3-secret-key": "s3-secret", "etcd-s3-skip-ssl-verify": "false" },
    ...{ "etcd-s3-folder": "prod", "etcd-s3-bucket-lookup-type": "auto" },
  });
});

test("it holds what the version knows", () => {
  const keys = Object.keys(s3Secret(cluster, settings, "v1.30.5+k3s1")?.data ?? {});
  expect(keys).not.toContain("etcd-s3-session-token");
  expect(keys).toContain("etcd-s3-proxy");
});

test("what it differs in is named, and never what it says", () => {
  const encoded = (data: Readonly<Record<string, string>>): string =>
    JSON.stringify({
      data: Object.fromEntries(
        Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")]),
      ),
    });
  expect(secretDrift(secretOf(), encoded(secretOf().data))).toBeUndefined();
  expect(secretDrift(secretOf(), "{}")).toBe("s3.configSecret: there is no Secret kube-system/backup-s3");
  const changed = { ...secretOf().data, "etcd-s3-secret-key": "stolen", "etcd-s3-other": "x" };
  expect(secretDrift(secretOf(), encoded(changed))).toBe(
    "s3.configSecret: kube-system/backup-s3 differs in etcd-s3-other, etcd-s3-secret-key",
  );
});

test("it is written by standard input: no word of a command holds any of it", async () => {
  const host = scriptHost();
  host.stub("k3s", `printf '%s\\n' "$*" >"$ROOT/told"; cat >"$ROOT/manifest"`);
  await host.run(applySecret(embeddedFacts({ binary: "k3s" }), secretOf()));
  expect(readFileSync(join(host.root, "told"), "utf8")).toBe("kubectl apply -f -\n");
  expect(JSON.parse(readFileSync(join(host.root, "manifest"), "utf8"))).toMatchObject({
    ...{ kind: "Secret", type: "etcd.k3s.cattle.io/s3-config-secret" },
    metadata: { name: "backup-s3", namespace: "kube-system" },
    data: { "etcd-s3-secret-key": Buffer.from("s3-secret").toString("base64") },
  });
  host.remove();
});

describe("asking Kubernetes", () => {
  const nothing = { secret: undefined, directory: undefined };

  test("is left out where there is nothing to ask", async () => {
    const old = embeddedFacts({ version: "v1.26.9+k3s1" });
    expect(await askKubernetes(fakeHost("s1"), old, nothing)).toEqual({ hasDirectory: true });
    const stopped = embeddedFacts({ unitActive: false });
    expect(await askKubernetes(fakeHost("s1"), stopped, nothing)).toEqual({ hasDirectory: true });
  });

  test.each([
    ["an API server that is down fails nothing", "exit 1", undefined, undefined],
    [
      "a Secret that is not there is an answer",
      `case "$*" in *secret*) ;; *) echo '{"items":[]}' ;; esac`,
      "{}",
      '{"items":[]}',
    ],
  ])("%s", async (_, text, secret, snapshots) => {
    const host = scriptHost();
    host.stub("k3s", text);
    const directory = join(host.root, "away");
    const answer = await askKubernetes(host, embeddedFacts({ binary: "k3s" }), { secret: "backup-s3", directory });
    expect(answer).toEqual({ secret, snapshots, hasDirectory: false });
    const there = { secret: undefined, directory: host.root };
    expect(await askKubernetes(host, embeddedFacts({ binary: "k3s" }), there)).toMatchObject({ hasDirectory: true });
    host.remove();
  });
});
