import { HeadObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { Agent } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backupScript } from "../../provider/distributions/etcd/backup-script";
import type { BackupUnitInput } from "../../provider/distributions/etcd/units";
import type { S3Settings } from "../../provider/model";
import { etcdVersions } from "../lab/equipment";
import { type BackupPlace, makeBackupPlace } from "../support/backup-run";
import { type LocalEtcd, startLocalEtcd, untilTrue } from "../support/local-etcd";
import { freePort, OWNER_SECRET, type S3Gateway, startS3Gateway } from "../support/s3-gateway";
import { callScript, shells } from "../support/script-functions";

let etcd: LocalEtcd;
let s3: S3Gateway;
let place: BackupPlace;
let buckets = 0;

beforeAll(async () => {
  [etcd, s3] = await Promise.all([startLocalEtcd(), startS3Gateway()]);
});
afterAll(() => Promise.all([etcd.stop(), s3.stop()]));
beforeEach(() => (place = makeBackupPlace()));
afterEach(() => place.remove());

test("the script is clean to shellcheck", () => {
  const { stdout, error } = spawnSync("shellcheck", ["-"], { input: backupScript, encoding: "utf8" });
  expect(error).toBeUndefined();
  expect(stdout).toBe("");
});

test.each(shells.map((shell) => ({ shell, name: shell[0] })))(
  "in $name: a snapshot is saved, is whole, is uploaded, and the status says so",
  async ({ shell }) => {
    const bucket = newBucket();
    place.configure(input({ s3: { ...s3.settings(bucket), folder: "a folder/ü+~&'\"x" } }));
    const { exitCode, stdout, stderr } = await place.run(shell);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    const [name = ""] = readdirSync(place.snapshots);
    expect(name).toMatch(/^etcd-snapshot-s1-\d{10}\.db$/);
    const path = join(place.snapshots, name);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const object = join(bucketDirectory(bucket), "a folder/ü+~&'\"x", name);
    expect(readFileSync(object).equals(readFileSync(path))).toBe(true);
    const status = place.status();
    expect(status).toMatchObject({
      ...{ cluster: "prod", server: "s1", ok: true, step: "done", error: null, fileName: name },
      sizeBytes: statSync(path).size,
      sha256: spawnSync("sha256sum", [path], { encoding: "utf8" }).stdout.split(" ")[0],
      s3: { bucket, key: `a folder/ü+~&'"x/${name}`, ok: true },
    });
    expect(status?.revisionAtLeast).toBeGreaterThan(0);
    expect(status?.lastSuccessAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(statSync(join(place.state, "status.json")).mode & 0o777).toBe(0o600);
    expect(readdirSync(place.state).sort()).toEqual(["save.lock", "status.json"]);
    expect(stdout).toContain(`uploaded s3://${bucket}/`);
    // What the restore asks before it fetches.
    const key = `a folder/ü+~&'"x/${name}`;
    const head = await client(bucket).send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
    expect(head.Metadata).toEqual({ sha256: status?.sha256 });
  },
);

describe("pruning", () => {
  const others = [
    ...["before-upgrade-s1-1700000000.db", "safety-s1-1700000000.db", "etcd-snapshot-s1-1700000000.db.bak"],
    ...["etcd-snapshot-s1-17000x0000.db", "etcd-snapshot-1700000000.db", "xetcd-snapshot-s1-1700000000.db"],
    ...["etcd-snapshot-s1-17.db", "etcdXsnapshot-s1-1700000000.db"],
  ];

  test("on the server, only this server's scheduled snapshots beyond the retention go, oldest first", async () => {
    const own = [1, 2, 3, 4].map((n) => `etcd-snapshot-s1-170000000${n}.db`);
    const kept = [...others, "etcd-snapshot-s2-1700000000.db", "etcd-snapshot-s1-a-1700000000.db"];
    for (const name of [...own, ...kept]) writeFileSync(join(place.snapshots, name), "x");
    place.configure(input({ retention: 3 }));
    expect(await place.run()).toMatchObject({ exitCode: 0 });
    const [newest = ""] = readdirSync(place.snapshots).filter((name) => !own.includes(name) && !kept.includes(name));
    expect(readdirSync(place.snapshots).sort()).toEqual([...kept, own[2], own[3], newest].sort());
  });

  test("in S3, all servers' scheduled snapshots are counted together, and nothing else in the bucket is touched", async () => {
    const bucket = newBucket();
    const scheduled = [1, 2, 3].flatMap((n) => ["s1", "s2", "gone"].map((s) => `etcd-snapshot-${s}-170000000${n}.db`));
    const elsewhere = ["prod/sub/etcd-snapshot-s1-1700000001.db", "prod2/etcd-snapshot-s1-1700000001.db"];
    const rest = [...others.map((name) => `prod/${name}`), ...elsewhere, "etcd-snapshot-s1-1700000001.db"];
    putObjects(bucket, [...scheduled.map((name) => `prod/${name}`), ...rest]);
    place.configure(input({ s3: { ...s3.settings(bucket), retention: 4 } }));
    expect(await place.run()).toMatchObject({ exitCode: 0 });
    const newest = `prod/${place.status()?.fileName ?? ""}`;
    const kept = ["s1", "s2", "gone"].map((server) => `prod/etcd-snapshot-${server}-1700000003.db`);
    expect(objects(bucket)).toEqual([...rest, ...kept, newest].sort());
  });

  test("a folder of more than a thousand objects is read to its end", async () => {
    const bucket = newBucket();
    const many = Array.from({ length: 1100 }, (_, n) => `etcd-snapshot-s${n % 3}-${1_700_000_000 + n}.db`);
    putObjects(
      bucket,
      many.map((name) => `prod/${name}`),
    );
    place.configure(input({ s3: { ...s3.settings(bucket), retention: 1099 } }));
    expect(await place.run()).toMatchObject({ exitCode: 0 });
    expect(objects(bucket)).toEqual([...many.slice(2), place.status()?.fileName ?? ""].map((n) => `prod/${n}`).sort());
  });

  test("nothing in S3 is pruned when the upload failed", async () => {
    const bucket = newBucket();
    const before = [1, 2, 3].map((n) => `prod/etcd-snapshot-s1-170000000${n}.db`);
    putObjects(bucket, before);
    place.configure(input({ s3: { ...s3.stranger(bucket), retention: 1 } }));
    expect(await place.run()).toMatchObject({ exitCode: 1 });
    expect(objects(bucket)).toEqual(before);
  });
});

describe("an upload that cannot be made keeps the snapshot on the server, fails, and says why", () => {
  test.each<{ what: string; settings: (bucket: string) => Promise<S3Settings> | S3Settings; says: RegExp }>([
    {
      what: "a wrong secret key",
      settings: (bucket) => ({ ...s3.settings(bucket), secretAccessKey: "wrong" }),
      says: /S3 answered 403 SignatureDoesNotMatch/,
    },
    {
      what: "an unknown access key",
      settings: (bucket) => ({ ...s3.settings(bucket), accessKeyId: "nobody" }),
      says: /S3 answered 403 InvalidAccessKeyId/,
    },
    { what: "a denied bucket", settings: (bucket) => s3.stranger(bucket), says: /S3 answered 403 AccessDenied/ },
    { what: "a missing bucket", settings: () => s3.settings("no-such-bucket"), says: /S3 answered 404 NoSuchBucket/ },
    {
      what: "another region",
      settings: (bucket) => ({ ...s3.settings(bucket), region: "eu-central-1" }),
      says: /S3 answered 400 AuthorizationHeaderMalformed|S3 answered 403/,
    },
    {
      what: "an endpoint where nothing listens",
      settings: async (bucket) => ({ ...s3.settings(bucket), endpoint: `127.0.0.1:${await freePort()}` }),
      says: /cannot reach S3 at 127\.0\.0\.1:\d+: curl: \(7\)/,
    },
    {
      what: "an endpoint whose name is unknown",
      settings: (bucket) => ({ ...s3.settings(bucket), endpoint: "s3.invalid" }),
      says: /cannot reach S3 at s3\.invalid: curl: \(6\)/,
    },
    {
      what: "a certificate of an unknown authority",
      settings: (bucket) => ({ ...s3.settings(bucket), endpointCa: undefined as unknown as string }),
      says: /cannot reach S3 at .*certificate/,
    },
  ])("$what", async ({ settings, says }) => {
    const bucket = newBucket();
    const lastSuccessAt = await succeedOnce();
    const { endpointCa, ...rest } = await settings(bucket);
    place.configure(input({ s3: endpointCa === undefined ? rest : { ...rest, endpointCa } }));
    const { exitCode, stderr } = await place.run();
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(says);
    const status = place.status();
    expect(status).toMatchObject({ ok: false, step: "upload", lastSuccessAt, s3: { ok: false } });
    expect(status?.error).toMatch(says);
    expect(readdirSync(place.snapshots)).toContain(status?.fileName);
    expect(objects(bucket)).toEqual([]);
    expect(JSON.stringify(status)).not.toContain(OWNER_SECRET);
  });

  test("a certificate of an unknown authority is no obstacle when its check is switched off", async () => {
    const bucket = newBucket();
    const { endpointCa, ...rest } = s3.settings(bucket);
    expect(endpointCa).toBeDefined();
    place.configure(input({ s3: { ...rest, skipTlsVerify: true } }));
    expect(await place.run()).toMatchObject({ exitCode: 0, stderr: "" });
  });

  test("a server without curl", async () => {
    const bin = toolsWithout("curl");
    place.configure(input({ s3: s3.settings(newBucket()) }));
    expect(await place.run([join(bin, "sh")], { PATH: bin })).toMatchObject({ exitCode: 1 });
    expect(place.status()).toMatchObject({
      step: "upload",
      error: expect.stringMatching(/^curl is not installed/) as string,
    });
    expect(readdirSync(place.snapshots)).toHaveLength(1);
    rmSync(bin, { recursive: true });
  });

  test("a snapshot above 5 GiB", () => {
    expect(() => callScript(["sh"], ["size=5368709121; upload"])).toThrow(
      /at most 5 GiB in one upload; it is kept here/,
    );
  });
});

describe("what goes wrong before there is a snapshot", () => {
  test("etcd that does not answer", async () => {
    place.configure(input({}, { endpoint: `http://127.0.0.1:${await freePort()}` }));
    expect(await place.run()).toMatchObject({ exitCode: 1 });
    expect(place.status()).toMatchObject({ ok: false, step: "inspect", fileName: null });
    expect(place.status()?.error).toMatch(/cannot ask etcd at http:.*: etcdctl ended with 1: .*deadline exceeded/);
  });

  test("a full disk: the status says where, and no part of a file stays", async () => {
    place.configure(input());
    const mounted = `mount -t tmpfs -o size=12k none ${place.snapshots} && sh "$@"; ls -A ${place.snapshots}; exit $?`;
    const { stdout } = await place.run(["unshare", "--mount", "sh", "-c", mounted, "sh"]);
    expect(place.status()).toMatchObject({ ok: false, step: "save", error: `no space left in ${place.snapshots}` });
    expect(stdout).toBe("");
  });

  test("a disk too full for the status itself: the exit code and stderr still say it", async () => {
    place.configure(input());
    const mounted = `mount -t tmpfs -o size=4k none ${place.state} && head -c 4096 /dev/zero >${place.state}/fill; sh "$@"`;
    const { exitCode, stderr } = await place.run(["unshare", "--mount", "sh", "-c", mounted, "sh"]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/cannot write/);
  });

  test.each([
    { what: "a file without trailer", save: `head -c 1024 /dev/zero >"$f"`, says: /not whole: 1024 bytes/ },
    { what: "an empty file", save: `: >"$f"`, says: /not whole: 0 bytes/ },
    { what: "a file whose trailer does not fit", save: `head -c 1056 /dev/zero >"$f"`, says: /corrupt/ },
  ])("$what is refused and removed, and older ones stay", async ({ save, says }) => {
    const old = "etcd-snapshot-s1-1700000001.db";
    writeFileSync(join(place.snapshots, old), "x");
    place.configure(input({ retention: 1 }, { etcdctl: standInForEtcdctl(`for f; do :; done; ${save}`) }));
    expect(await place.run()).toMatchObject({ exitCode: 1 });
    expect(place.status()).toMatchObject({ ok: false, step: "verify", error: expect.stringMatching(says) as string });
    expect(readdirSync(place.snapshots)).toEqual([old]);
  });

  test("an etcdctl that answers nonsense", async () => {
    const etcdctl = join(place.state, "etcdctl");
    writeFileSync(etcdctl, "#!/bin/sh\nhead -c 3000 /dev/urandom\n", { mode: 0o755 });
    place.configure(input({}, { etcdctl }));
    expect(await place.run()).toMatchObject({ exitCode: 1 });
    expect(place.status()).toMatchObject({ step: "inspect", error: expect.stringMatching(/gave no status/) as string });
  });

  test("an etcdctl that never ends is ended", async () => {
    place.configure(input({}, { etcdctl: standInForEtcdctl("exec sleep 1000") }), "save_timeout=1");
    expect(await place.run()).toMatchObject({ exitCode: 1 });
    expect(place.status()).toMatchObject({ step: "save", error: "etcdctl did not end in time" });
  });

  test("a learner saves nothing, says so, and that is no failure", async () => {
    const cluster = await startLocalEtcd();
    try {
      const endpoint = await cluster.addLearner();
      const lastSuccessAt = await succeedOnce();
      const before = readdirSync(place.snapshots);
      place.configure(input({}, { endpoint }));
      expect(await place.run()).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/learner/) as string });
      expect(place.status()).toMatchObject({ ok: true, step: "learner", fileName: null, lastSuccessAt });
      expect(readdirSync(place.snapshots)).toEqual(before);
    } finally {
      await cluster.stop();
    }
  });
});

describe("runs that meet or end early", () => {
  test("a second run says that another is in progress, ends with 75, and leaves the status alone", async () => {
    await succeedOnce();
    const before = readFileSync(join(place.state, "status.json"), "utf8");
    const holding = `flock ${join(place.state, "save.lock")} sh "$@"`;
    const run = await place.run(["sh", "-c", holding, "sh"]);
    expect(run).toEqual({ exitCode: 75, stdout: "", stderr: "another run is in progress\n" });
    expect(readFileSync(join(place.state, "status.json"), "utf8")).toBe(before);
  });

  test("a run killed while it saves leaves only a part, which the next run cleans away", async () => {
    const slow = `for f; do :; done; echo half >"$f.part"; exec sleep 1000`;
    place.configure(input({}, { etcdctl: standInForEtcdctl(slow) }));
    const run = place.start();
    await untilTrue("the save has begun", () => {
      if (readdirSync(place.snapshots).length === 0) throw new Error("nothing yet");
      return Promise.resolve();
    });
    await run.kill();
    expect(readdirSync(place.snapshots)).toEqual([expect.stringMatching(/^\.etcd-snapshot-s1-\d+\.db\.part\.part$/)]);
    expect(place.status()).toBeUndefined();
    place.configure(input());
    expect(await place.run()).toMatchObject({ exitCode: 0, stderr: "" });
    expect(readdirSync(place.snapshots)).toEqual([place.status()?.fileName]);
    expect(readdirSync(place.state).filter((name) => name.startsWith(".work"))).toEqual([]);
  });

  test("a run that is told to stop says at which step it was", async () => {
    const telling = `kill -TERM $(ps -o ppid= -p "$PPID") "$PPID"; exit 1`;
    place.configure(input({}, { etcdctl: standInForEtcdctl(telling) }));
    expect(await place.run()).toMatchObject({ exitCode: 1 });
    expect(place.status()).toMatchObject({ ok: false, step: "save", error: "stopped by a signal" });
  });
});

describe.each(etcdVersions)("etcd %s with a user and a password", (version) => {
  let guarded: LocalEtcd;
  beforeAll(async () => {
    guarded = await startLocalEtcd(version);
    await guarded.ctl("user", "add", "root:pass 'word\"\\ $x");
    await guarded.ctl("user", "grant-role", "root", "root").catch(() => undefined);
    await guarded.ctl("role", "add", "root").catch(() => undefined);
    await guarded.ctl("user", "grant-role", "root", "root");
    await guarded.ctl("auth", "enable");
  });
  afterAll(() => guarded.stop());

  test("the right password saves", async () => {
    place.configure(input({}, { ...access(guarded), username: "root", password: "pass 'word\"\\ $x" }));
    expect(await place.run()).toMatchObject({ exitCode: 0, stderr: "" });
    expect(place.status()).toMatchObject({ ok: true, step: "done" });
  });

  test("a wrong password is named, and not shown", async () => {
    place.configure(input({}, { ...access(guarded), username: "root", password: "let-me-in" }));
    const { exitCode, stdout, stderr } = await place.run();
    expect(exitCode).toBe(1);
    expect(place.status()?.error).toMatch(/authentication failed, invalid user ID or password/);
    expect(stdout + stderr + JSON.stringify(place.status())).not.toContain("let-me-in");
  });
});

test("no secret is an argument or in the environment of any process", async () => {
  const guarded = await startLocalEtcd();
  try {
    await guarded.ctl("user", "add", "root:etcd-pass-4711");
    await guarded.ctl("user", "grant-role", "root", "root");
    await guarded.ctl("auth", "enable");
    const bucket = newBucket();
    const settings = { ...s3.settings(bucket), retention: 1 };
    place.configure(input({ s3: settings }, { ...access(guarded), username: "root", password: "etcd-pass-4711" }));
    const record = join(place.state, "execs");
    const tracing = ["strace", "-f", "-v", "-s", "65535", "-e", "trace=execve", "-o", record, "sh"] as const;
    // Names that the settings use, exported by whoever runs the script, must not carry the values on.
    const env = {
      ...process.env,
      secret_access_key: "x",
      password: "x",
      authorization: "x",
      hmac_key: "x",
      session_token: "x",
    };
    expect(await place.run([...tracing], env)).toMatchObject({ exitCode: 0, stderr: "" });
    const execs = readFileSync(record, "utf8");
    expect(execs).toContain("curl");
    for (const secret of [OWNER_SECRET, "etcd-pass-4711", "AWS4", Buffer.from(OWNER_SECRET).toString("hex")]) {
      expect(execs).not.toContain(secret);
    }
    const [, started = ""] = /execve\("[^"]*curl", (\[[^\]]*\])/.exec(execs) ?? [];
    expect(started).toBe('["curl", "-q", "-K", "-"]');
  } finally {
    await guarded.stop();
  }
});

function input(
  settings: Partial<BackupUnitInput["settings"]> = {},
  member: Partial<BackupUnitInput["etcd"]> = {},
): Omit<BackupUnitInput, "directory" | "serverCount"> {
  return {
    cluster: "prod",
    server: "s1",
    settings: { schedule: "0 * * * *", retention: 5, snapshotName: "etcd-snapshot", ...settings },
    etcd: { ...access(etcd), ...member },
  };
}

function access({ etcdctl, endpoint }: LocalEtcd): { readonly etcdctl: string; readonly endpoint: string } {
  return { etcdctl, endpoint };
}

/** Runs once without S3, and gives the time of that success. */
async function succeedOnce(): Promise<string> {
  place.configure(input());
  expect(await place.run()).toMatchObject({ exitCode: 0 });
  return place.status()?.lastSuccessAt ?? "";
}

/** An etcdctl that is real but for `snapshot save`, where it runs other lines. */
function standInForEtcdctl(save: string): string {
  const path = join(place.state, "etcdctl");
  writeFileSync(
    path,
    `#!/bin/sh\ncase " $* " in *" snapshot save "*) ;; *) exec ${etcd.etcdctl} "$@" ;; esac\n${save}\n`,
    {
      mode: 0o755,
    },
  );
  return path;
}

/** A directory with every program of this machine's, save one. */
function toolsWithout(missing: string): string {
  const directory = mkdtempSync(join(tmpdir(), "tools-"));
  for (const folder of ["/usr/bin", "/bin"]) {
    for (const name of readdirSync(folder)) {
      if (name !== missing && !existsSync(join(directory, name)))
        symlinkSync(join(folder, name), join(directory, name));
    }
  }
  return directory;
}

function client(bucket: string): S3Client {
  const { endpoint = "", endpointCa = "", accessKeyId = "", secretAccessKey = "" } = s3.settings(bucket);
  return new S3Client({
    endpoint: `https://${endpoint}`,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    requestHandler: { httpsAgent: new Agent({ ca: endpointCa }) },
  });
}

function newBucket(): string {
  const bucket = `bucket-${++buckets}`;
  mkdirSync(bucketDirectory(bucket));
  return bucket;
}

function bucketDirectory(bucket: string): string {
  return join(s3.directory, "data", bucket);
}

function putObjects(bucket: string, keys: readonly string[]): void {
  for (const key of keys) {
    const path = join(bucketDirectory(bucket), key);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, "x");
  }
}

function objects(bucket: string): readonly string[] {
  const directory = bucketDirectory(bucket);
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((path) => !path.startsWith(".") && statSync(join(directory, path)).isFile())
    .sort();
}
