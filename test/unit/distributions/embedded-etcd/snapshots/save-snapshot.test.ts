import { saveSnapshot } from "../../../../../provider/distributions/embedded-etcd/snapshots/save-snapshot";
import type { SavedFile } from "../../../../../provider/distributions/distribution";
import type { Members } from "../../../../../provider/distributions/members";
import { BackupError } from "../../../../../provider/errors";
import type { Cluster, S3Settings } from "../../../../../provider/model";
import { embeddedFacts, type GivenEmbeddedFacts, rke2Program } from "../../../../support/embedded-facts";
import { type Answer, commandFails, type FakeHost, fakeHost } from "../../../../support/fake-host";

const cluster: Cluster = { distribution: "k3s", name: "prod", servers: [{ name: "s1" }] };
const s3: S3Settings = { bucket: "backups", endpoint: "minio:9000", folder: "prod" };
const folder = "/var/lib/rancher/k3s/server/db/snapshots";
const name = "before-s1-1767225600";
const sha256 = "a".repeat(64);
const dropIn = {
  path: "/etc/rancher/k3s/config.yaml.d/60-etcd-backup.yaml",
  text: "etcd-s3: true\netcd-s3-bucket: backups\netcd-s3-endpoint: minio:9000\netcd-s3-folder: prod\netcd-s3-access-key: k\netcd-s3-secret-key: s3cret\n",
};

const line = (level: string, message: string): string =>
  `time="2026-01-01T00:00:00Z" level=${level} msg=${JSON.stringify(message)}\n`;
const saved = (...names: readonly string[]): string =>
  names.map((one) => line("info", `Snapshot ${one} saved.`)).join("");
const fails = (message: string): Error => commandFails("s1", line("fatal", message));
const listing = (...names: readonly string[]): string =>
  ["1767225600", ...names.map((one) => `2080 ${folder}/${one}`)].join("\n");
const whole: Answer = { to: "tail -c 32", reply: `sound 2080 1767225600 ${sha256}` };
const uid: Answer = { to: "get namespace", reply: "9b1d" };
const savedOnce: Answer = { to: "etcd-snapshot save", reply: saved(name) };

function server(...answers: readonly Answer[]): FakeHost {
  return fakeHost("s1", [...answers, savedOnce, { to: "date +%s", reply: listing(name) }, whole, uid]);
}

async function save(host: FakeHost, facts: GivenEmbeddedFacts = {}, to?: S3Settings): Promise<SavedFile> {
  const request = { cluster, base: "before", members: {} as Members, ...(to === undefined ? {} : { s3: to }) };
  return saveSnapshot(host, embeddedFacts(facts), request);
}

function commandOf(host: FakeHost): string | undefined {
  return host.scripts.find((script) => script.includes("etcd-snapshot"));
}

test("a snapshot is saved with the distribution's own command, looked for, and verified", async () => {
  const host = server();
  expect(await save(host)).toEqual({
    ...{ name, path: `${folder}/${name}`, sizeBytes: 2080, sha256, takenAt: "2026-01-01T00:00:00.000Z" },
  });
  expect(commandOf(host)).toBe(
    "/usr/local/bin/k3s etcd-snapshot save --name=before --etcd-server=https://127.0.0.1:6443 --etcd-s3=false",
  );
  expect(host.transcript).toEqual(["run etcd-snapshot save", "query date +%s", "query tail -c 32"]);
});

describe("the command", () => {
  test.each<[string, GivenEmbeddedFacts, RegExp]>([
    [
      "of RKE2 asks the server's own supervisor, k3s#10513",
      { program: rke2Program },
      /^\/usr\/local\/bin\/rke2 .*--etcd-server=https:\/\/127\.0\.0\.1:9345 /,
    ],
    ["asks another port where there is one", { supervisorPort: 7443 }, /--etcd-server=https:\/\/127\.0\.0\.1:7443 /],
    [
      "calls the flag --server where it is called so",
      { version: "v1.29.5+k3s1" },
      / --server=https:\/\/127\.0\.0\.1:6443 /,
    ],
    [
      "has no such flag before, and is told its node",
      { version: "v1.26.9+k3s1" },
      /save --name=before --node-name=s1 --etcd-s3=false$/,
    ],
    ["had no `save` once", { version: "v1.20.15+k3s1" }, /k3s etcd-snapshot --name=before/],
    ["is told of a data directory, k3s#4284", { dataDir: "/data/k3s" }, / --data-dir=\/data\/k3s --etcd-server/],
    ["is told of a snapshot directory", { snapshotDirectory: "/backups" }, / --etcd-snapshot-dir=\/backups /],
    ["is told of another configuration file", { configFile: "/etc/k3s.yaml" }, / --config=\/etc\/k3s\.yaml /],
  ])("%s", async (_, facts, words) => {
    const host = fakeHost("s1", [{ to: "etcd-snapshot", reply: fails("enough") }]);
    await expect(save(host, facts)).rejects.toMatchObject({ code: "SNAPSHOT_FAILED" });
    expect(commandOf(host)).toMatch(words);
  });
});

describe("what goes to S3", () => {
  const twice: Answer = { to: "etcd-snapshot save", reply: saved(name, name) };

  test("the server sends it where its files say the same place, and its words hold no key", async () => {
    const host = server(twice);
    expect(await save(host, { configFiles: [dropIn] }, s3)).toMatchObject({ uploaded: true });
    expect(commandOf(host)).not.toContain("s3");
  });

  test.each<[string, Partial<S3Settings>]>([
    ["another bucket", { bucket: "other" }],
    ["another folder", { folder: "staging" }],
    ["another endpoint", { endpoint: "minio2:9000" }],
    ["AWS", { endpoint: undefined } as unknown as Partial<S3Settings>],
    ["plain HTTP", { insecure: true }],
  ])(
    "%s is no place that the server sends to: the upload is ours, with the distribution's metadata",
    async (_, other) => {
      const host = server();
      const file = await save(host, { configFiles: [dropIn] }, { ...s3, ...other });
      expect(commandOf(host)).toMatch(/ --etcd-s3=false$/);
      expect(file).not.toHaveProperty("uploaded");
      expect(file.metadata).toEqual({
        ...{
          "k3s-cluster-id": "9b1d",
          "k3s-node-name": "s1",
          "k3s-token-hash": "544ad39d2d5a",
          "etcd-version": "3.6.7",
        },
      });
    },
  );

  test.each(["", "s3.amazonaws.com", "s3.eu-central-1.amazonaws.com"])(
    "%j and no endpoint are both AWS",
    async (endpoint) => {
      const text = `etcd-s3: true\netcd-s3-bucket: backups\netcd-s3-folder: prod\netcd-s3-endpoint: ${JSON.stringify(endpoint)}\n`;
      const aws = { bucket: "backups" };
      expect(await save(server(twice), { configFiles: [{ ...dropIn, text }] }, aws)).toMatchObject({ uploaded: true });
    },
  );

  test("settings among the unit's arguments are not the command's", async () => {
    const host = server();
    await save(host, { configFiles: [dropIn], args: ["--etcd-s3-folder=prod"] }, s3);
    expect(commandOf(host)).toMatch(/ --etcd-s3=false$/);
  });

  test("one `saved` where two were to be: the upload failed, and the object says why", async () => {
    const items = [
      { spec: { snapshotName: name, nodeName: "s1" }, status: {} },
      { spec: { snapshotName: name, nodeName: "s3" }, status: { error: { message: "Access Denied." } } },
    ];
    const host = server({ to: "get etcdsnapshotfile", reply: JSON.stringify({ items }) });
    const file = await save(host, { configFiles: [dropIn] }, s3);
    expect(file).toMatchObject({ uploadFailure: "Access Denied.", metadata: { "k3s-node-name": "s1" } });
    expect(file).not.toHaveProperty("uploaded");
  });

  test("the same when there is no such object, or no API server", async () => {
    const host = server({ to: "get etcdsnapshotfile", reply: commandFails("s1", "connection refused") });
    expect(await save(host, { configFiles: [dropIn] }, s3)).toMatchObject({
      uploadFailure: "it reported one copy, where two were to be",
    });
  });

  test("an S3 that cannot be asked keeps no snapshot from being saved", async () => {
    const denied =
      "see server log for details: failed to initialize S3 client: failed to test for existence of bucket backups: Access Denied.";
    const host = server({ to: "etcd-snapshot save", reply: fails(denied), times: 1 });
    expect(await save(host, { configFiles: [dropIn] }, s3)).toMatchObject({
      ...{ name, uploadFailure: "failed to test for existence of bucket backups: Access Denied." },
    });
    const commands = host.scripts.filter((script) => script.includes("etcd-snapshot save"));
    expect(commands.map((command) => command.endsWith("--etcd-s3=false"))).toEqual([false, true]);
  });

  test("an old command line fails with its upload: what it saved before is a snapshot all the same", async () => {
    const old = { version: "v1.26.9+k3s1", configFiles: [dropIn] };
    const denied: Answer = { to: "etcd-snapshot save", reply: fails("Access Denied.") };
    expect(await save(server(denied), old, s3)).toMatchObject({ name, uploadFailure: "Access Denied." });
    await expect(save(server(denied, { to: "date +%s", reply: listing() }), old, s3)).rejects.toThrow("Access Denied.");
    // Without an upload there is no such excuse.
    await expect(save(server(denied), old)).rejects.toThrow("K3s could not save a snapshot: Access Denied.");
  });

  test("without an API server the cluster's id is left out", async () => {
    const host = server({ to: "get namespace", reply: commandFails("s1", "connection refused") });
    expect((await save(host, {}, s3)).metadata).toEqual({
      "k3s-node-name": "s1",
      "k3s-token-hash": "544ad39d2d5a",
      "etcd-version": "3.6.7",
    });
  });
});

describe("what is there counts, not what was reported", () => {
  const there = (...names: readonly string[]): Answer => ({ to: "date +%s", reply: listing(...names) });

  test("an old version reports nothing, and its file is found", async () => {
    const host = server({ to: "etcd-snapshot save", reply: line("info", "Saving etcd snapshot to somewhere") });
    expect(await save(host, { version: "v1.26.9+k3s1" })).toMatchObject({ name });
  });

  test("older ones, other nodes' and those of longer names are passed over", async () => {
    const host = server(
      { to: "etcd-snapshot save", reply: "" },
      there("before-s1-1767225599", "before-s1-more-1767225601", name, "before-s1-s1-1767225609"),
    );
    expect(await save(host)).toMatchObject({ name });
  });

  test("a name that lies in the future is taken for now", async () => {
    const ahead = "before-s1-1767225601";
    const host = server({ to: "etcd-snapshot save", reply: saved(ahead) }, there(ahead));
    expect(await save(host)).toMatchObject({ name: ahead, takenAt: "2026-01-01T00:00:00.000Z" });
  });

  test("a success without a file is none: the server's log says why", async () => {
    const log = line("warning", "Unable to take snapshot: not supported for learner");
    const host = server({ to: "etcd-snapshot save", reply: "" }, there(), { to: "journalctl", reply: log });
    await expect(save(host)).rejects.toMatchObject({
      ...{ code: "SNAPSHOT_FAILED", hint: expect.stringContaining("does not vote yet") as string },
      message: expect.stringContaining("not supported for learner") as string,
    });
  });

  test("a snapshot from before is not the one that was to be taken", async () => {
    const host = server({ to: "etcd-snapshot save", reply: "" }, there("before-s1-1767225599"), {
      to: "journalctl",
      reply: "",
    });
    await expect(save(host)).rejects.toThrow("it reported no snapshot, and no failure");
  });

  test("a success whose file is not where it should be is none", async () => {
    const host = server(there("before-s1-1767225601"), { to: "journalctl", reply: "" });
    await expect(save(host)).rejects.toThrow(`it says that ${name} is saved; ${folder} has none of this name`);
  });

  test("a file that is not whole is no snapshot", async () => {
    const host = server({ to: "tail -c 32", reply: "corrupt its SHA-256 trailer does not match its content" });
    await expect(save(host)).rejects.toMatchObject({ code: "SNAPSHOT_CORRUPT", host: "s1" });
  });
});

describe("a command that fails", () => {
  test.each([
    [
      'failed to get CA certs: Get "https://127.0.0.1:6443/cacerts": dial tcp 127.0.0.1:6443: connect: connection refused',
      "systemctl status k3s.service",
    ],
    ["see server log for details: not authorized", "another token than /var/lib/rancher/k3s/server/token"],
    ["see server log for details: something new", "journalctl -u k3s.service"],
  ])("%s", async (said, hint) => {
    const noise = line("warning", "Unknown flag --cluster-init found in config.yaml, skipping");
    const host = server({ to: "etcd-snapshot save", reply: commandFails("s1", noise + line("fatal", said)) });
    await expect(save(host)).rejects.toMatchObject({
      code: "SNAPSHOT_FAILED",
      message: expect.stringContaining(
        `s1: K3s could not save a snapshot: ${said.replace("see server log for details: ", "")}`,
      ) as string,
      hint: expect.stringContaining(hint) as string,
    });
  });

  test("with a number: the server's log has the reason", async () => {
    const host = server(
      {
        to: "etcd-snapshot save",
        reply: fails("see server log for details: Internal error occurred: etcd-snapshot error ID 07160"),
      },
      {
        to: "journalctl",
        reply: line(
          "error",
          "etcd-snapshot error ID 07160: failed to get etcd-snapshot-dir: stat /nonexistent: no such file or directory",
        ),
      },
    );
    await expect(save(host)).rejects.toThrow(
      "K3s could not save a snapshot: failed to get etcd-snapshot-dir: stat /nonexistent",
    );
  });

  test("because another snapshot is in progress, k3s#10371: it is tried again", async () => {
    const host = server(
      {
        to: "etcd-snapshot save",
        reply: fails("see server log for details: Internal error occurred: etcd-snapshot error ID 01376"),
        times: 1,
      },
      { to: "journalctl", reply: line("error", "etcd-snapshot error ID 01376: snapshot save already in progress") },
    );
    expect(await save(host)).toMatchObject({ name });
  });

  test("a lost lock is told as such", async () => {
    const lost = new BackupError("LOCK_LOST", "gone");
    await expect(save(server({ to: "etcd-snapshot save", reply: lost }))).rejects.toBe(lost);
  });
});

describe("a command that gives up waiting, k3s#9985", () => {
  const gaveUp =
    'Post "https://127.0.0.1:6443/db/snapshot": context deadline exceeded (Client.Timeout exceeded while awaiting headers)';

  test("the snapshot may come all the same: it counts when nothing writes to it any more", async () => {
    const host = server(
      { to: "etcd-snapshot save", reply: fails(gaveUp) },
      { to: "date +%s", reply: listing(), times: 1 },
      { to: "date +%s", reply: listing(`${name}.part`), times: 1 },
      { to: "date +%s", reply: listing(name), times: 1 },
    );
    expect(await save(host)).toMatchObject({ name });
    expect(host.transcript.filter((one) => one === "query date +%s")).toHaveLength(4);
    expect(host.transcript.filter((one) => one === "run etcd-snapshot save")).toHaveLength(1);
  }, 20_000);
});
