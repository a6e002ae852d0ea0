import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { S3Settings } from "../../provider/model";
import { type BackupPlace, type BackupRun, makeBackupPlace } from "../support/backup-run";

// No session credentials are to be had from versitygw without a web identity provider (it refuses tokens it did not
// give: 400 InvalidToken). So the S3 here is a stand-in as well; it checks token and signature of every request.

const keys = { accessKeyId: "ASIAROLE", secretAccessKey: "role/secret+4711", sessionToken: "IQoJb3Jp/Z2lu+X2Vj==" };

let place: BackupPlace;
beforeEach(() => (place = makeBackupPlace()));
afterEach(() => place.remove());

test("stand-in metadata service: without keys a server uses its role, and every request carries its session token", async () => {
  expect(await run({ retention: 1 })).toMatchObject({ exitCode: 0, stderr: "" });
  expect(place.status()).toMatchObject({ ok: true, step: "done", s3: { ok: true } });
  const name = place.status()?.fileName ?? "";
  expect(requests()).toEqual([
    `PUT 127.0.0.1:9000/bucket/prod/${name}`,
    `HEAD 127.0.0.1:9000/bucket/prod/${name}`,
    "GET 127.0.0.1:9000/bucket/",
  ]);
});

test("stand-in S3: a session token given with the keys is used in place of a role", async () => {
  expect(await run(keys, { metadata: "none" })).toMatchObject({ exitCode: 0, stderr: "" });
});

test.each([
  { metadata: "none", says: /no S3 keys are set, and this machine has no role: .* 000/ },
  { metadata: "silent", says: /no S3 keys are set, and this machine has no role: .* 404/ },
  { metadata: "no role", says: /no S3 keys are set, and this machine has no role: .* 404/ },
  { metadata: "expired", says: /gives expired keys for role backup-role/ },
])("stand-in metadata service ($metadata): the status says what is missing, and the snapshot is kept", async (mode) => {
  expect(await run({}, { metadata: mode.metadata })).toMatchObject({ exitCode: 1 });
  expect(place.status()).toMatchObject({ ok: false, step: "credentials" });
  expect(place.status()?.error).toMatch(mode.says);
  expect(readdirSync(place.snapshots)).toEqual([place.status()?.fileName]);
  expect(requests()).toEqual([]);
});

test.each([
  { s3: "forgetful", step: "confirm", says: /S3 took the snapshot but does not have it/ },
  { s3: "short", step: "confirm", says: /S3 has 1055 bytes of the snapshot's 1056/ },
  { s3: "altered", step: "confirm", says: /its SHA-256 is another/ },
  { s3: "garbage", step: "confirm", says: /S3 has an unknown number of bytes of the snapshot's 1056/ },
])(
  "stand-in S3 ($s3): an upload that is not what was sent fails, and the snapshot is kept",
  async ({ s3, step, says }) => {
    expect(await run({}, { s3 })).toMatchObject({ exitCode: 1 });
    expect(place.status()).toMatchObject({ ok: false, step, lastSuccessAt: null, s3: { ok: false } });
    expect(place.status()?.error).toMatch(says);
    expect(readdirSync(place.snapshots)).toEqual([place.status()?.fileName]);
    expect(requests().filter((line) => line.startsWith("DELETE"))).toEqual([]);
  },
);

test("stand-in S3 (busy at first): the request is sent again", async () => {
  expect(await run({}, { s3: "busy at first" })).toMatchObject({ exitCode: 0 });
  expect(requests().filter((line) => line.startsWith("PUT"))).toHaveLength(2);
});

test("stand-in S3 (no list): the snapshot counts as taken, and that pruning failed is said", async () => {
  expect(await run({}, { s3: "listless" })).toMatchObject({ exitCode: 1 });
  expect(place.status()).toMatchObject({ ok: false, step: "prune-s3", s3: { ok: true } });
  expect(place.status()?.error).toMatch(/the snapshot is uploaded, but S3's list is not a list/);
  expect(place.status()?.lastSuccessAt).not.toBeNull();
});

test("stand-in S3: with bucketLookup dns the bucket is in the host's name", async () => {
  expect(await run({ bucketLookup: "dns", endpoint: "localhost:9000" })).toMatchObject({ exitCode: 0, stderr: "" });
  expect(requests()[0]).toBe(`PUT bucket.localhost:9000/prod/${place.status()?.fileName ?? ""}`);
});

test("stand-in S3: requests go through the proxy, with its password", async () => {
  const proxy = "http://us%20er:pass@127.0.0.1:9000";
  expect(await run({ proxy, endpoint: "s3.example.org" })).toMatchObject({ exitCode: 0, stderr: "" });
  const told = `via Basic ${Buffer.from("us er:pass").toString("base64")}`;
  expect(requests()[0]).toBe(`PUT s3.example.org/bucket/prod/${place.status()?.fileName ?? ""} ${told}`);
});

/** Runs the script in a network of its own where the stand-ins are. */
async function run(s3: Partial<S3Settings>, standIn: Readonly<Record<string, string>> = {}): Promise<BackupRun> {
  place.configure({
    cluster: "prod",
    server: "s1",
    settings: {
      ...{ schedule: "0 * * * *", retention: 5, snapshotName: "etcd-snapshot" },
      s3: { bucket: "bucket", endpoint: "127.0.0.1:9000", insecure: true, ...s3 },
    },
    etcd: { etcdctl: standInForEtcdctl(), endpoint: "http://127.0.0.1:2379" },
  });
  const network = `ip link set lo up && ip address add 169.254.169.254/32 dev lo && exec "$@"`;
  const options = JSON.stringify({ record: requestRecord(), keys, ...standIn });
  const stand = join(__dirname, "..", "support", "role-stand-in.mjs");
  return place.run(["unshare", "--net", "sh", "-c", network, "sh", process.execPath, stand, options, "sh"]);
}

function requestRecord(): string {
  return join(place.state, "requests");
}

function requests(): readonly string[] {
  return existsSync(requestRecord()) ? readFileSync(requestRecord(), "utf8").trimEnd().split("\n") : [];
}

/** etcd is not what is tried here: a member with one revision, and a snapshot with a fitting trailer. */
function standInForEtcdctl(): string {
  const [path, snapshot] = [join(place.state, "etcdctl"), join(place.state, "snapshot")];
  const pages = Buffer.alloc(1024, 7);
  writeFileSync(snapshot, Buffer.concat([pages, createHash("sha256").update(pages).digest()]));
  const answer = `[{"Status":{"header":{"revision":1}}}]`;
  writeFileSync(
    path,
    `#!/bin/sh\nfor f; do :; done\ncase " $* " in *" save "*) cp ${snapshot} "$f" ;; *) echo '${answer}' ;; esac\n`,
    {
      mode: 0o755,
    },
  );
  return path;
}
