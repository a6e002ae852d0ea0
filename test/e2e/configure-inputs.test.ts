import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Cluster, S3Settings } from "../../provider/model";
import { silent } from "../../provider/operations/call";
import { configureBackups } from "../../provider/operations/configure-backups";
import { closeConnections } from "../../provider/transport/connect";
import { createSshKey } from "../lab/ssh-keys";
import { createEtcdProgram, type EtcdLab, type EtcdProgram, startEtcdLab } from "../support/etcd-program";

let etcdLab: EtcdLab;
let program: EtcdProgram;

beforeAll(async () => {
  etcdLab = await startEtcdLab({ machines: ["s1", "s2"], s3: { identities: true } });
  program = await createEtcdProgram(etcdLab, `new BackupConfig("demo", ${BASE});`);
});
afterAll(async () => {
  await closeConnections();
  await etcdLab.lab.down();
});

// Half a day from now, so that no timer fires while its test runs.
const hour = String((new Date().getUTCHours() + 12) % 24);
const BASE = `{ cluster, schedule: "30 ${hour} * * *", retention: 8, s3 }`;

/** One input changed, by its path. */
const changes = {
  schedule: `schedule: "15 ${hour} * * *"`,
  retention: `retention: 9`,
  directory: `directory: "/srv/snapshots"`,
  snapshotName: `snapshotName: "nightly"`,
  enabled: `enabled: false`,
  onDestroy: `onDestroy: "retain"`,
  "s3.bucket": `s3: { ...s3, bucket: "other" }`,
  "s3.folder": `s3: { ...s3, folder: "elsewhere" }`,
  "s3.region": `s3: { ...s3, region: "eu-central-1" }`,
  "s3.endpoint": `s3: { ...s3, endpoint: "s3.example:9000" }`,
  "s3.accessKeyId": `s3: { ...s3, accessKeyId: "AKIAOTHER" }`,
  "s3.secretAccessKey": `s3: { ...s3, secretAccessKey: "changed-secret-4711" }`,
  "s3.sessionToken": `s3: { ...s3, sessionToken: "changed-secret-4712" }`,
  "s3.endpointCa": `s3: { ...s3, endpointCa: lab.endpointCa + lab.endpointCa }`,
  "s3.skipTlsVerify": `s3: { ...s3, skipTlsVerify: false }`,
  "s3.insecure": `s3: { ...s3, insecure: false }`,
  "s3.bucketLookup": `s3: { ...s3, bucketLookup: "path" }`,
  "s3.timeout": `s3: { ...s3, timeout: "10m" }`,
  "s3.proxy": `s3: { ...s3, proxy: "http://proxy.example:3128" }`,
  "s3.retention": `s3: { ...s3, retention: 40 }`,
  "s3.keepRounds": `s3: { ...s3, keepRounds: 20 }`,
  "cluster.unit": `cluster: { ...cluster, unit: "etcd.service" }`,
  "cluster.dataDir": `cluster: { ...cluster, dataDir: "/var/lib/etcd" }`,
  "cluster.endpoints": `cluster: { ...cluster, endpoints: ["https://127.0.0.1:2379"] }`,
  "cluster.cacert": `cluster: { ...cluster, cacert: "/etc/etcd/pki/ca.crt" }`,
  "cluster.username": `cluster: { ...cluster, username: "root" }`,
  "cluster.etcdutl": `cluster: { ...cluster, etcdutl: "/usr/local/bin/etcdutl" }`,
  "cluster.apiServers": `cluster: { ...cluster, apiServers: [{ name: "a1", connection: { host: "10.0.0.1" } }] }`,
  "cluster.servers": `cluster: { ...cluster, servers: [...lab.servers, { name: "s9", connection: { host: "10.0.0.9" } }] }`,
  "cluster.connection.port": `cluster: { ...cluster, connection: { ...cluster.connection, port: 2222 } }`,
  "cluster.connection.privateKey": `cluster: { ...cluster, connection: { ...cluster.connection, privateKey: lab.sshKey + "\\n" } }`,
} as const;
const secretPaths = ["s3.secretAccessKey", "cluster.connection.privateKey"];

test("each input changed alone is an update in place, and the preview names that input and no other", async () => {
  await program.up();
  const base = join(program.directory, "base.json");
  await program.pulumi("stack", "export", "--file", base);
  const copies = join(program.directory, "copies.json");
  writeFileSync(copies, copied(readFileSync(base, "utf8"), Object.keys(changes)));
  await program.pulumi("stack", "import", "--file", copies);
  const resources = Object.entries(changes).map(
    ([path, change]) => `new BackupConfig("demo ${path}", { ...${BASE}, ${change} });`,
  );
  program.write([`new BackupConfig("demo", ${BASE});`, ...resources].join("\n"));
  const preview = await program.pulumi("preview", "--diff");
  await program.pulumi("stack", "import", "--file", base);
  const paths = Object.keys(changes);
  expect(Object.fromEntries(paths.map((path) => [path, diffOf(preview, `demo ${path}`)]))).toEqual(
    Object.fromEntries(
      // What differs between two secrets, and where, the engine does not show.
      paths.map((path) => [path, { operation: "update", names: secretPaths.includes(path) ? [] : [path] }]),
    ),
  );
  expect(preview).not.toContain("changed-secret");
  expect(preview).not.toContain("PRIVATE KEY");
});

test("several at once are in force after the update", async () => {
  program.write(
    `new BackupConfig("demo", { cluster, schedule: "45 ${hour} * * *", retention: 3, directory: "/srv/snap shots", snapshotName: "nightly", s3: { ...s3, folder: "else/where" } });`,
  );
  expect(await program.up()).toMatch(/BackupConfig demo updated/);
  for (const machine of etcdLab.lab.machines) {
    await machine.exec("systemctl start etcd-backup-demo.service");
    expect(await machine.exec("systemctl show etcd-backup-demo.timer -p TimersCalendar")).toContain(
      `${hour.padStart(2, "0")}:45:00`,
    );
    expect(await machine.exec("ls '/srv/snap shots'")).toMatch(new RegExp(`^nightly-${machine.name}-\\d+\\.db\\n$`));
  }
  expect(readdirSync(join(etcdLab.s3.dir, "etcd-backups/else/where"))).toHaveLength(2);
});

test("bad input is refused at once and as a whole, each by its path, and no secret is printed", async () => {
  program.write(`new BackupConfig("demo", {
    cluster: etcd({
      name: "no such name",
      connection: { privateKey: pulumi.secret("secret-key-4711"), port: 70000, hostkey: "typo" },
      servers: [
        { name: "s1", connection: { host: "ssh://10.0.0.1", sudoPassword: pulumi.secret("secret-sudo-4711") } },
        { name: "s1", connection: { host: "10.0.0.2", proxy: { host: "b", proxy: {} } } },
      ],
      cert: "relative.crt", password: pulumi.secret("secret-etcd-4711"), dataDir: "",
    }),
    schedule: "61 * * * *", retention: 0, directory: "snapshots", snapshotName: "a/b", onDestroy: "keep", compress: true, retentoin: 3,
    s3: { bucket: "s3://b", folder: "/f/", endpoint: "https://s3.example", endpointCa: "no certificate", skipTlsVerify: true,
          secretAccessKey: pulumi.secret("secret-s3-4711"), timeout: "soon", retention: 1, keepRounds: 2 },
  });`);
  const printed = await program.pulumiFails("preview");
  const paths = [
    ...["cluster.name", "cluster.connection.privateKey", "cluster.connection.port", "cluster.connection.hostkey"],
    ...["cluster.servers[0].connection.host", "cluster.servers[1].name", "cluster.servers[1].connection.proxy.proxy"],
    ...["cluster.cert", "cluster.key", "cluster.username", "cluster.dataDir", "schedule", "retention", "directory"],
    ...["snapshotName", "onDestroy", "compress", "retentoin", "s3.bucket", "s3.folder", "s3.endpoint", "s3.endpointCa"],
    ...["s3.accessKeyId", "s3.timeout", "s3.retention"],
  ];
  expect(paths.filter((path) => !printed.includes(path))).toEqual([]);
  expect(printed).not.toMatch(/secret-(key|sudo|etcd|s3)-4711/);
});

describe("what cannot work is refused by name before anything is changed", () => {
  const settings = { schedule: `30 ${hour} * * *`, retention: 8, snapshotName: "etcd-snapshot", enabled: true };
  let records: readonly { stop(): Promise<string> }[];
  let before: readonly string[];
  let stored: readonly string[];

  // What begins with a dot is the gateway's own.
  const objects = (): readonly string[] =>
    readdirSync(join(etcdLab.s3.dir, "etcd-backups"), { recursive: true, encoding: "utf8" }).filter(
      (name) => !name.startsWith("."),
    );
  const everywhere = (script: string): Promise<readonly string[]> =>
    Promise.all(etcdLab.lab.machines.map((machine) => machine.exec(script)));
  const FILES =
    "find /etc /var/lib /root /home /usr/local -path /var/lib/etcd -prune -o -path /var/lib/systemd -prune -o -printf '%C@ %m %p\\n' | sort -k 3";

  beforeAll(async () => {
    const { lab } = etcdLab;
    await lab.machine("s2").addOperator({ password: "right-password", sudo: "with password" });
    before = await everywhere(FILES);
    stored = objects();
    records = await Promise.all(lab.machines.map((machine) => machine.record()));
  });

  const configure = (change: (cluster: Cluster) => Cluster, s3: Partial<S3Settings> = {}): Promise<unknown> => {
    const cluster = change({ ...etcdLab.cluster, name: "refused" });
    return configureBackups(cluster, { ...settings, s3: { ...etcdLab.s3Settings, ...s3 } }, { progress: silent });
  };
  const withSecond =
    (connection: Cluster["connection"]) =>
    (cluster: Cluster): Cluster => ({
      ...cluster,
      servers: cluster.servers.map((server) =>
        server.name === "s2" ? { name: "s2", connection: { ...server.connection, ...connection } } : server,
      ),
    });
  const asItIs = (cluster: Cluster): Cluster => cluster;

  test("a server that is not there", async () => {
    const host = `${etcdLab.lab.network.prefix}.250`;
    await expect(configure(withSecond({ host, dialErrorLimit: 0, perDialTimeout: 4 }))).rejects.toMatchObject({
      code: "HOST_UNREACHABLE",
      message: expect.stringMatching(/^s2: [^]*[Nn]othing was changed/) as string,
    });
  });

  test("a wrong key", async () => {
    const { privateKey } = await createSshKey(join(etcdLab.lab.directory, "other-key"), "ed25519", "other");
    await expect(configure(withSecond({ privateKey }))).rejects.toMatchObject({
      code: "AUTH_REJECTED",
      message: expect.stringMatching(/^s2: [^]*[Nn]othing was changed/) as string,
    });
  });

  test("a wrong password for sudo", async () => {
    const refused = configure(withSecond({ user: "operator", sudoPassword: "wrong-password" }));
    await expect(refused).rejects.toMatchObject({
      code: "SUDO_REFUSED",
      message: expect.stringMatching(/^s2: [^]*[Nn]othing was changed/) as string,
    });
    await expect(refused).rejects.not.toThrow("wrong-password");
  });

  test("a certificate that is missing", async () => {
    await expect(configure((cluster) => ({ ...cluster, cacert: "/etc/etcd/pki/none.crt" }))).rejects.toMatchObject({
      code: "SETTING_NOT_FOUND",
      message: expect.stringMatching(/^s\d: .*\/etc\/etcd\/pki\/none\.crt[^]*[Nn]othing was changed/) as string,
    });
  });

  test("a bucket that is not there", async () => {
    await expect(configure(asItIs, { bucket: "none" })).rejects.toMatchObject({
      code: "BUCKET_NOT_FOUND",
      message: expect.stringMatching(/none/) as string,
    });
  });

  test("a bucket that is not ours to use", async () => {
    const policy = {
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Action: "s3:GetObject", Resource: "arn:aws:s3:::etcd-backups/*" }],
    };
    const keys = await etcdLab.s3.createUser("denied", policy);
    await expect(configure(asItIs, keys)).rejects.toMatchObject({
      code: "STORE_DENIED",
      message: expect.stringMatching(/ListBucket.*\n?/) as string,
    });
  });

  test("a server without curl", async () => {
    const s2 = etcdLab.lab.machine("s2");
    await s2.exec("mv /usr/bin/curl /usr/bin/curl.away");
    try {
      await expect(configure(asItIs)).rejects.toMatchObject({
        code: "TOOL_MISSING",
        message: expect.stringMatching(/^s2: .*curl[^]*[Nn]othing was changed/) as string,
      });
    } finally {
      await s2.exec("mv /usr/bin/curl.away /usr/bin/curl");
    }
  });

  test("and no server was changed, nor the bucket", async () => {
    expect(await everywhere(FILES)).toEqual(before);
    const execs = (await Promise.all(records.map((record) => record.stop()))).join("\n");
    expect(execs).toMatch(/execve\("[^"]*\/systemctl", \["systemctl", "show"/);
    const changing = /execve\("[^"]*\/(mkdir|mktemp|mv|rm|chmod|install|tee)"|"systemctl", "(?!show|list|cat|is-)/;
    expect(execs.split("\n").filter((line) => changing.test(line))).toEqual([]);
    expect(objects()).toEqual(stored);
  });
});

/** A stack's deployment with copies of its BackupConfig, one for each path. */
function copied(deployment: string, paths: readonly string[]): string {
  const parsed = JSON.parse(deployment) as { deployment: { resources: { urn: string }[] } };
  const { resources } = parsed.deployment;
  const original = JSON.stringify(resources.find(({ urn }) => urn.endsWith("BackupConfig::demo")));
  for (const path of paths) {
    resources.push(
      JSON.parse(original.replaceAll("BackupConfig::demo", `BackupConfig::demo ${path}`)) as { urn: string },
    );
  }
  return JSON.stringify(parsed);
}

/** What a preview with `--diff` says about one resource: the operation, and the innermost properties that it marks. */
function diffOf(preview: string, name: string): { readonly operation: string; readonly names: readonly string[] } {
  const lines = preview.split("\n");
  const at = lines.findIndex((line) => line.includes(`BackupConfig::${name}]`));
  const [, operation = "none"] = /\((\w+)\)\s*$/.exec(lines[at - 2] ?? "") ?? [];
  const names: string[] = [];
  const path: { readonly indent: number; readonly name: string }[] = [];
  for (const line of lines.slice(at + 1)) {
    if (/^\s*[~+-]* ?pulumi|^Resources:/.test(line)) break;
    const [, space = "", mark, property] = /^(\s*)([~+-])?\s*([\w]+)\s*:/.exec(line) ?? [];
    if (property === undefined) continue;
    const indent = space.length + (mark === undefined ? 0 : 2);
    while ((path.at(-1)?.indent ?? -1) >= indent) path.pop();
    path.push({ indent, name: property });
    if (mark !== undefined) names.push(path.map((part) => part.name).join("."));
  }
  // `cluster` is marked because something in it is; of a list, every item of what was added to it.
  const lists = ["cluster.servers", "cluster.apiServers"];
  const inputs = names.map((one) => lists.find((list) => one.startsWith(list)) ?? one);
  return {
    operation,
    names: [...new Set(inputs)].filter((one) => !inputs.some((other) => other.startsWith(`${one}.`))),
  };
}
