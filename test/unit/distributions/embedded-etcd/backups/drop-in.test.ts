import { dropIn } from "../../../../../provider/distributions/embedded-etcd/backups/drop-in";
import type { BackupSettings, Cluster, S3Settings } from "../../../../../provider/model";
import { embeddedFacts, rke2Program } from "../../../../support/embedded-facts";

const cluster: Cluster = { distribution: "k3s", name: "prod", servers: ["s1", "s2", "s3"].map((name) => ({ name })) };
const settings: BackupSettings = { schedule: "0 */6 * * *", retention: 8, snapshotName: "nightly", enabled: true };
const s3: S3Settings = { bucket: "b", accessKeyId: "AKIA-id", secretAccessKey: "s3-secret", keepRounds: 28 };

test("everything is said, both retentions too, so that nothing of an earlier file or of a default counts, k3s#12671, k3s#13769", () => {
  const { path, content } = dropIn(cluster, { ...settings, s3 }, embeddedFacts());
  expect(path).toBe("/etc/rancher/k3s/config.yaml.d/60-etcd-backup.yaml");
  expect(content).toMatchInlineSnapshot(`
   "# The backups of etcd cluster prod, by pulumi-etcd-backup: what is changed here, it changes back.
   etcd-disable-snapshots: false
   etcd-snapshot-schedule-cron: "0 */6 * * *"
   etcd-snapshot-retention: 8
   etcd-snapshot-name: "nightly"
   etcd-snapshot-compress: false
   etcd-s3: true
   etcd-s3-endpoint: "s3.amazonaws.com"
   etcd-s3-endpoint-ca: ""
   etcd-s3-skip-ssl-verify: false
   etcd-s3-insecure: false
   etcd-s3-access-key: "AKIA-id"
   etcd-s3-secret-key: "s3-secret"
   etcd-s3-session-token: ""
   etcd-s3-bucket: "b"
   etcd-s3-bucket-lookup-type: "auto"
   etcd-s3-folder: "prod"
   etcd-s3-region: "us-east-1"
   etcd-s3-timeout: "5m"
   etcd-s3-proxy: ""
   etcd-s3-retention: 84
   "
  `);
});

test("without S3 nothing is said of S3", () => {
  expect(dropIn(cluster, settings, embeddedFacts()).content).not.toContain("s3");
});

describe("the place of the file", () => {
  const folder = "/etc/rancher/k3s/config.yaml.d";
  const pathWith = (...configFiles: { readonly path: string; readonly text: string }[]): string =>
    dropIn(cluster, settings, embeddedFacts({ configFiles })).path;

  test("is behind a file that would have the last word, and stays there", () => {
    const theirs = { path: `${folder}/90-own.yaml`, text: "etcd-snapshot-retention: 1\n" };
    expect(pathWith(theirs)).toBe(`${folder}/~~etcd-backup.yaml`);
    expect(pathWith({ path: `${folder}/~~etcd-backup.yaml`, text: "" })).toBe(`${folder}/~~etcd-backup.yaml`);
  });

  test("is where its name says most while no other file contradicts it", () => {
    const agrees = { path: `${folder}/90-own.yaml`, text: "etcd-snapshot-retention: 8\n" };
    const earlier = { path: `${folder}/10-own.yaml`, text: "etcd-snapshot-retention: 1\n" };
    const others = { path: `${folder}/95-own.yaml`, text: "write-kubeconfig-mode: '0644'\n" };
    expect(pathWith(agrees, earlier, others)).toBe(`${folder}/60-etcd-backup.yaml`);
  });
});

test("beside the configuration file of the unit, wherever that is", () => {
  const facts = embeddedFacts({ program: rke2Program });
  expect(dropIn(cluster, settings, facts).path).toBe("/etc/rancher/rke2/config.yaml.d/60-etcd-backup.yaml");
  const moved = embeddedFacts({ configFile: "/srv/k3s.yaml" });
  expect(dropIn(cluster, settings, moved).path).toBe("/srv/k3s.yaml.d/60-etcd-backup.yaml");
});

test("what is asked for is there: directory, compression, interval, timeout (k3s#5833), an own endpoint with its authority", () => {
  const { values } = dropIn(
    cluster,
    {
      ...{ ...settings, enabled: false, compress: true, directory: "/snapshots", reconcileInterval: "30m" },
      s3: { bucket: "b", endpoint: "minio:9000", endpointCa: "PEM", folder: "f", retention: 7, timeout: "10m" },
    },
    embeddedFacts(),
  );
  expect(values).toMatchObject({
    ...{ "etcd-disable-snapshots": true, "etcd-snapshot-compress": true, "etcd-snapshot-dir": "/snapshots" },
    ...{ "etcd-snapshot-reconcile-interval": "30m", "etcd-s3-endpoint": "minio:9000", "etcd-s3-timeout": "10m" },
    ...{ "etcd-s3-endpoint-ca": Buffer.from("PEM").toString("base64"), "etcd-s3-folder": "f", "etcd-s3-retention": 7 },
  });
});

test("without keys none is written: the server has a role", () => {
  const { values } = dropIn(cluster, { ...settings, s3: { bucket: "b" } }, embeddedFacts());
  expect(Object.keys(values).filter((key) => /key|token/.test(key))).toEqual([]);
});

test("with a Secret for the settings of S3, the file names it and says nothing else of S3", () => {
  const { values } = dropIn(cluster, { ...settings, s3: { ...s3, configSecret: "backup-s3" } }, embeddedFacts());
  const ofS3 = Object.entries(values).filter(([key]) => key.startsWith("etcd-s3"));
  expect(ofS3).toEqual([
    ["etcd-s3", true],
    ["etcd-s3-config-secret", "backup-s3"],
  ]);
});

test("an old version is told nothing that it does not know", () => {
  const { values } = dropIn(cluster, { ...settings, s3 }, embeddedFacts({ version: "v1.26.9+k3s1" }));
  for (const key of ["etcd-s3-retention", "etcd-s3-proxy", "etcd-s3-session-token", "etcd-s3-bucket-lookup-type"]) {
    expect(Object.keys(values)).not.toContain(key);
  }
  expect(values).toMatchObject({ "etcd-snapshot-retention": 8, "etcd-s3-bucket": "b" });
});
