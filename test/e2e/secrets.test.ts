import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createEtcdProgram, type EtcdLab, type EtcdProgram, startEtcdLab } from "../support/etcd-program";

const sudoPassword = "sudo-secret-4711";
const etcdPassword = "etcd-secret-4712";

let etcdLab: EtcdLab;
let program: EtcdProgram;
/** Everything that was started on the machines and, by `pulumi`, on this one: programs with arguments and environment. */
let onServers: string;
let onRunner = "";
/** Pulumi's output together with its debug log. */
let printed = "";

beforeAll(async () => {
  etcdLab = await startEtcdLab({ machines: ["s1", "s2"], etcd: { rootPassword: etcdPassword } });
  const { lab } = etcdLab;
  for (const machine of lab.machines) {
    await machine.addOperator({ password: sudoPassword, sudo: "with password" });
    await machine.exec("touch /root/before");
  }
  program = await createEtcdProgram(etcdLab, resources(""));
  const records = await Promise.all(lab.machines.map((machine) => machine.record()));
  await tracedUp();
  program.write(
    resources(
      `new SnapshotRestore("restore", { cluster: secured, s3, snapshot: "${await program.output("location")}" });`,
    ),
  );
  await tracedUp();
  await Promise.all(lab.machines.map((machine) => machine.exec("systemctl start etcd-backup-demo.service")));
  onServers = (await Promise.all(records.map((record) => record.stop()))).join("\n");
});
afterAll(() => etcdLab.lab.down());

test("no secret is an argument or in the environment of a program on the servers", () => {
  expect(onServers).toMatch(/"[^"]*\/etcdctl", \[/);
  expect(onServers).toMatch(/"[^"]*\/curl", \[/);
  expect(onServers).toMatch(/"[^"]*\/sudo", \[/);
  expect(secretsIn(onServers)).toEqual([]);
});

test("nor of one on the machine that Pulumi runs on", () => {
  expect(onRunner).toMatch(/pulumi-resource-pulumi-nodejs/);
  expect(secretsIn(onRunner)).toEqual([]);
});

test("no secret is in Pulumi's output, nor in its debug log but where the engine writes down what it sends and receives", () => {
  expect(printed).toContain("BackupConfig demo created");
  expect(printed).toContain("SnapshotRestore restore created");
  expect(printed).toMatch(/"level":"INFO".*"v":9/);
  // There it shows every secret input of every resource, of whatever provider.
  const engines =
    /"msg":"(eventSink::Debug\(<{%reset%}>)?((Unm|M)arshaling property for RPC|Planner decided (not )?to|RegisterResource RPC finished)/;
  const [dumped, others] = [true, false].map((wanted) =>
    printed
      .split("\n")
      .filter((line) => engines.test(line) === wanted)
      .join("\n"),
  );
  expect(secretsIn(others ?? "")).toEqual([]);
  expect(secretsIn(dumped ?? "")).not.toContain("a presigned URL");
});

test("no secret is in plain text in the state, its history or the stack's file", () => {
  expect(readFileSync(program.stateFile, "utf8")).toContain("BackupConfig");
  const files = readdirSync(join(program.directory, ".."), { recursive: true, withFileTypes: true }).filter(
    // What the program itself was given, and the trace, are read above or hold them by right.
    (entry) =>
      entry.isFile() &&
      !["lab.json", "index.js", "runner.strace"].includes(entry.name) &&
      !entry.parentPath.includes("node_modules"),
  );
  const found = files.flatMap((entry) => {
    const path = join(entry.parentPath, entry.name);
    return secretsIn(readFileSync(path, "utf8")).map((name) => `${path}: ${name}`);
  });
  expect(files.length).toBeGreaterThan(2);
  expect(found).toEqual([]);
});

test("no secret is in a file on the servers that others may read, nor in their journal", async () => {
  for (const machine of etcdLab.lab.machines) {
    const stdin = `${Object.values(secrets()).join("\n")}\n`;
    const listed = await machine.exec(
      `cat >/run/secrets && chmod 600 /run/secrets
find / -xdev -type f -newer /root/before -perm /o=r -exec grep -alF -f /run/secrets {} + || true
find / -xdev -type f -newer /root/before -exec grep -alF -f /run/secrets {} + || true
journalctl --no-pager | grep -aF -f /run/secrets || true
rm /run/secrets`,
      { stdin },
    );
    // Readable for root alone: where they belong.
    expect(listed.split("\n").sort()).toEqual([
      "",
      "/etc/etcd-backup/demo/etcd-password",
      "/etc/etcd-backup/demo/s3-keys",
    ]);
  }
});

/** Backups, a snapshot to S3 and, in a second update, a restore from it: whatever handles a secret. */
function resources(restore: string): string {
  return `const secured = etcd({ ...cluster, username: "root", password: pulumi.secret("${etcdPassword}"),
     connection: { ...cluster.connection, user: "operator", sudoPassword: pulumi.secret("${sudoPassword}") } });
   const backups = new BackupConfig("demo", { cluster: secured, schedule: "30 3 * * *", s3 });
   exports.location = new Snapshot("by-hand", { cluster: secured, s3: backups.s3 }).location;
   ${restore}`;
}

async function tracedUp(): Promise<void> {
  const trace = join(program.directory, "..", "runner.strace");
  const log = ["--logtostderr", "--logflow", "-v=9"];
  const { code, stdout, stderr } = await program.run(["up", "--yes", "--skip-preview", ...log], {
    env: { PATH: `${tracer(trace)}:${program.env["PATH"] ?? ""}` },
  });
  if (code !== 0) throw new Error(stderr.slice(-3000));
  onRunner += readFileSync(trace, "utf8");
  printed += stdout + stderr;
}

/** What must not be seen, in every spelling that it travels in. */
function secrets(): Readonly<Record<string, string>> {
  const { lab, s3 } = etcdLab;
  const keyLines = lab.sshKey.privateKey.split("\n");
  return {
    "the SSH key": keyLines[2] ?? "",
    "the S3 key": s3.secretAccessKey,
    "the S3 key, in hexadecimal": Buffer.from(s3.secretAccessKey).toString("hex"),
    "the S3 key, in base64": Buffer.from(s3.secretAccessKey).toString("base64").slice(0, 50),
    "sudo's password": sudoPassword,
    "etcd's password": etcdPassword,
    "etcd's password, in base64": Buffer.from(etcdPassword).toString("base64").slice(0, 20),
    "a presigned URL": "X-Amz-Signature",
  };
}

function secretsIn(text: string): readonly string[] {
  return Object.entries(secrets()).flatMap(([name, secret]) => (text.includes(secret) ? [name] : []));
}

/** A folder for PATH whose `pulumi` is the real one, with every program that it starts recorded in `file`. */
function tracer(file: string): string {
  const folder = join(program.directory, "..", "traced");
  mkdirSync(folder, { recursive: true });
  const words = `strace -f -qq --seccomp-bpf -v -s 65535 -e trace=execve -e signal=none -o '${file}'`;
  writeFileSync(join(folder, "pulumi"), `#!/bin/sh\nPATH=\${PATH#*:}\nexec ${words} pulumi "$@"\n`);
  chmodSync(join(folder, "pulumi"), 0o755);
  return folder;
}
