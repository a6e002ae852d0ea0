import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createWriteStream, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { closeConnections, connect, type ConnectedHost } from "../../provider/transport/connect";
import { type EtcdAccess, type EtcdMember, openEtcd } from "../../provider/transport/etcd";
import { type Certificate, type CertificateAuthority, createAuthority } from "../lab/certificates";
import { type EtcdVersion, readEquipment } from "../lab/equipment";
import { untilTrue } from "../support/local-etcd";
import { freePort } from "../support/s3-gateway";
import { generateKey, startSshServer, type TestSshServer } from "../support/ssh-server";

const folder = mkdtempSync(join(tmpdir(), "etcd-test-"));
const user = generateKey();
let authority: CertificateAuthority;
let certificate: Certificate;
let sshd: TestSshServer;
let host: ConnectedHost;
const members: EtcdMember[] = [];
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  authority = await createAuthority(join(folder, "pki"), "test-ca");
  certificate = await authority.issue("root", ["127.0.0.1", "localhost"]);
  sshd = await startSshServer({ publicKeys: [user.public] });
  host = await connect("s1", sshTo(sshd));
});

afterEach(async () => {
  await Promise.all(members.splice(0).map((member) => member.close()));
});

afterAll(async () => {
  await closeConnections();
  await sshd.stop();
  await Promise.all(stops.map((stop) => stop()));
});

describe.each<EtcdVersion>(["3.4", "3.5", "3.6"])("etcd %s with TLS and client certificates", (version) => {
  let etcd: TestEtcd;

  beforeAll(async () => {
    etcd = await startEtcd(version);
    for (let i = 0; i < 20; i++) etcd.ctl("put", `key-${i}`, "value");
  });

  test("says who it is and how it is, as etcdctl does", async () => {
    const member = await open(etcd.access);
    const [{ Status: told }] = etcd.json<
      [{ Status: { version: string; dbSize: number; header: { revision: number } } }]
    >("endpoint", "status");
    const status = await member.status();
    expect(status).toMatchObject({
      version: told.version,
      dbSize: told.dbSize,
      revision: 21,
      isLearner: false,
      errors: [],
    });
    expect(status.leaderId).toBe(status.memberId);
    expect(await member.members()).toEqual([
      {
        id: status.memberId,
        name: "m1",
        peerUrls: [etcd.peerUrl],
        clientUrls: [etcd.access.endpoint],
        isLearner: false,
      },
    ]);
    expect(await member.currentRevision()).toBe(21);
    expect(await member.alarms()).toEqual([]);
    await member.linearizableRead();
  });

  test("64-bit ids keep every digit", async () => {
    const member = await open(etcd.access);
    const id = etcd.ctl("member", "list").split(",")[0]?.trim() ?? "";
    expect((await member.status()).memberId).toBe(BigInt(`0x${id}`).toString());
  });

  test("hashes its keys as etcdctl does", async () => {
    const member = await open(etcd.access);
    const [{ HashKV: told }] = etcd.json<[{ HashKV: { hash: number; compact_revision: number } }]>(
      "endpoint",
      "hashkv",
      "--rev=21",
    );
    expect(await member.hashKv(21)).toEqual({ hash: told.hash, compactRevision: told.compact_revision, revision: 21 });
    expect((await member.hashKv(20)).hash).not.toBe(told.hash);
  });

  test("streams a whole snapshot, SHA-256 trailer included", async () => {
    const path = join(folder, `snapshot-${version}`);
    const size = await (await open(etcd.access)).saveSnapshot(createWriteStream(path));
    const bytes = readFileSync(path);
    expect(bytes).toHaveLength(size);
    expect(size % 512).toBe(32);
    expect(createHash("sha256").update(bytes.subarray(0, -32)).digest().equals(bytes.subarray(-32))).toBe(true);
  });

  test("an alarm is named", async () => {
    const quota = await startEtcd(version, ["--quota-backend-bytes=2000000"]);
    expect(() => {
      for (let i = 0; i < 100; i++) quota.ctl("put", `k${i}`, "x".repeat(100_000));
    }).toThrow(/exceeded/);
    const member = await open(quota.access);
    expect(await member.alarms()).toEqual([{ memberId: (await member.status()).memberId, alarm: "NOSPACE" }]);
  });

  test("its own users are needed once authentication is on, also through TLS", async () => {
    const secured = await startEtcd(version, [], false);
    secured.ctl("user", "add", "root:pa ss");
    secured.ctl("user", "grant-role", "root", "root");
    secured.ctl("auth", "enable");
    const member = await open({ ...secured.access, username: "root", password: "pa ss" });
    await member.linearizableRead();
    expect((await member.hashKv(0)).hash).toEqual(expect.any(Number));
    await expect(
      (await open({ ...secured.access, username: "root", password: "wrong" })).linearizableRead(),
    ).rejects.toMatchObject({
      code: "CLUSTER_UNHEALTHY",
      message: expect.stringContaining("authentication failed") as string,
    });
    const stranger = await open(secured.access);
    await expect(stranger.currentRevision()).rejects.toMatchObject({ code: "CLUSTER_UNHEALTHY" });
    // To be refused takes a quorum too.
    await stranger.linearizableRead();
  });
});

describe("what stands between us and etcd", () => {
  let etcd: TestEtcd;

  beforeAll(async () => {
    etcd = await startEtcd("3.6");
  });

  test("a certificate for a name is checked against the name", async () => {
    const member = await open({ ...etcd.access, endpoint: etcd.access.endpoint.replace("127.0.0.1", "localhost") });
    expect((await member.status()).version).toMatch(/^3\.6/);
  });

  test("a certificate that is not for the address is refused", async () => {
    const elsewhere = await startEtcd("3.6", [], true, await authority.issue("m1", ["10.9.9.9"]));
    await expect(openEtcd(host, elsewhere.access)).rejects.toMatchObject({
      code: "CLUSTER_UNHEALTHY",
      message: expect.stringContaining("127.0.0.1 is not in the cert's list") as string,
    });
  });

  test("a certificate of another authority is refused", async () => {
    const other = await createAuthority(join(folder, "other-pki"), "other-ca");
    await expect(openEtcd(host, { ...etcd.access, ca: other.caPem })).rejects.toMatchObject({
      code: "CLUSTER_UNHEALTHY",
      message: expect.stringContaining("TLS with 127.0.0.1") as string,
    });
  });

  test("a client certificate that etcd wants and does not get is named", async () => {
    const { endpoint, ca } = etcd.access;
    await expect((await open({ endpoint, ...(ca === undefined ? {} : { ca }) })).status()).rejects.toMatchObject({
      code: "CLUSTER_UNHEALTHY",
      message: expect.stringContaining("certificate required") as string,
    });
  });

  test("nobody listens: said at once, with the endpoint", async () => {
    await expect(openEtcd(host, { endpoint: `http://127.0.0.1:${await freePort()}` })).rejects.toMatchObject({
      code: "CLUSTER_UNHEALTHY",
      host: "s1",
      message: expect.stringContaining("nothing answers on 127.0.0.1") as string,
    });
  });

  test("sshd forbids forwarding: the hint says which setting", async () => {
    const strict = await startSshServer({ publicKeys: [user.public], allowTcpForwarding: false });
    const refused = await connect("s2", sshTo(strict));
    await expect(openEtcd(refused, etcd.access)).rejects.toMatchObject({ code: "TUNNEL_REFUSED", host: "s2" });
    await strict.stop();
  });

  test("on this machine it goes without SSH", async () => {
    const local = await connect("here", { local: true });
    const member = await openEtcd(local, etcd.access);
    expect((await member.status()).version).toMatch(/^3\.6/);
    await member.close();
  });

  test("a member that dies in the middle of a call fails it", async () => {
    const dying = await startEtcd("3.6");
    const member = await open(dying.access);
    await member.status();
    await dying.stop();
    await expect(member.status()).rejects.toMatchObject({ code: "CLUSTER_UNHEALTHY" });
  });

  test("a snapshot whose sink fails is a failure", async () => {
    const sink = new Writable({ write: (_chunk, _encoding, done) => done(new Error("disk full")) });
    await expect((await open(etcd.access)).saveSnapshot(sink)).rejects.toMatchObject({ code: "CLUSTER_UNHEALTHY" });
  });
});

interface TestEtcd {
  readonly access: EtcdAccess;
  readonly peerUrl: string;
  ctl(...words: readonly string[]): string;
  json<T>(...words: readonly string[]): T;
  stop(): Promise<void>;
}

async function startEtcd(
  version: EtcdVersion,
  more: readonly string[] = [],
  clientCerts = true,
  own = certificate,
): Promise<TestEtcd> {
  const tools = readEquipment().etcd[version];
  const [endpoint, peerUrl] = [`https://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
  const child = spawn(
    join(tools, "etcd"),
    [
      ...["--name", "m1", "--data-dir", mkdtempSync(join(folder, "data-"))],
      ...["--listen-client-urls", endpoint, "--advertise-client-urls", endpoint],
      ...[
        "--listen-peer-urls",
        peerUrl,
        "--initial-advertise-peer-urls",
        peerUrl,
        "--initial-cluster",
        `m1=${peerUrl}`,
      ],
      ...["--cert-file", own.certPath, "--key-file", own.keyPath],
      ...(clientCerts ? ["--client-cert-auth", "--trusted-ca-file", authority.caPath] : []),
      ...more,
    ],
    { env: {}, stdio: "ignore" },
  );
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stop = (): Promise<void> => {
    child.kill();
    return ended;
  };
  stops.push(stop);
  // etcdctl is the oracle: it must not stumble over a certificate that a test made wrong.
  const flags = [
    "--endpoints",
    endpoint,
    "--insecure-skip-tls-verify",
    "--cert",
    certificate.certPath,
    "--key",
    certificate.keyPath,
  ];
  const ctl = (...words: readonly string[]): string =>
    execFileSync(
      join(tools, "etcdctl"),
      [...(clientCerts ? flags : ["--endpoints", endpoint, "--cacert", authority.caPath]), ...words],
      {
        env: { ETCDCTL_API: "3" },
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
  await untilTrue(`etcd ${version} is healthy`, () => Promise.resolve().then(() => ctl("endpoint", "health")));
  const files = clientCerts ? { cert: certificate.cert, key: certificate.key } : {};
  return {
    access: { endpoint, ca: authority.caPem, ...files },
    peerUrl,
    ctl,
    json: <T>(...words: readonly string[]) => JSON.parse(ctl(...words, "-w", "json")) as T,
    stop,
  };
}

async function open(access: EtcdAccess): Promise<EtcdMember> {
  const member = await openEtcd(host, access);
  members.push(member);
  return member;
}

function sshTo(server: TestSshServer) {
  return {
    host: "127.0.0.1",
    port: server.port,
    privateKey: user.private,
    knownHosts: server.knownHosts,
    dialErrorLimit: 0,
  };
}
