import { writeFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Cluster, Connection } from "../../provider/model";
import { silent } from "../../provider/operations/call";
import { configureBackups, verifyConnections } from "../../provider/operations/configure-backups";
import { takeSnapshot } from "../../provider/operations/take-snapshot";
import { closeConnections } from "../../provider/transport/connect";
import type { Machine } from "../lab/machine";
import { type Finished, finish } from "../lab/process";
import { createSshKey } from "../lab/ssh-keys";
import { createEtcdProgram, type EtcdLab, type EtcdProgram, startEtcdLab } from "../support/etcd-program";

let etcdLab: EtcdLab;
let program: EtcdProgram;
let s1: Machine;
let alias: string;

const password = "sudo password-4711";
const schedule = `30 ${(new Date().getUTCHours() + 12) % 24} * * *`;
const call = { progress: silent };

beforeAll(async () => {
  // One member; the other machine is its bastion.
  etcdLab = await startEtcdLab({ machines: ["s1", "b1"], etcd: { members: ["s1"] } });
  const { lab } = etcdLab;
  s1 = lab.machine("s1");
  alias = `${lab.network.prefix}.111`;
  await s1.addOperator({ password, sudo: "with password" });
  await s1.exec(`printf 'Port 22\\nPort 2222\\n' >/etc/ssh/sshd_config.d/ports.conf && systemctl reload ssh
ip address add ${alias}/24 dev host0`);
  program = await createEtcdProgram(etcdLab, backups("{}"));
});
afterAll(async () => {
  await closeConnections();
  await etcdLab.lab.down();
});

describe("a connection that changes is verified and stored, and the cluster is not touched", () => {
  let before: string;

  const updates = async (connection: string): Promise<void> => {
    program.write(backups(connection));
    expect(await program.up()).toMatch(/BackupConfig demo updated/);
    expect(await s1.exec(TOUCHED)).toBe(before);
  };

  beforeAll(async () => {
    await program.up();
    before = await s1.exec(TOUCHED);
  });

  test("another port, another user who becomes root by sudo, and another key", async () => {
    const key = await createSshKey(join(etcdLab.lab.directory, "second-key"), "ecdsa", "second");
    await s1.exec(`cat >>/home/operator/.ssh/authorized_keys`, { stdin: `${key.publicKey}\n` });
    writeFileSync(join(program.directory, "second-key"), key.privateKey, { mode: 0o600 });
    await updates(`{ port: 2222, user: "operator", sudoPassword: pulumi.secret("${password}"),
      privateKey: pulumi.secret(readFileSync(join(__dirname, "second-key"), "utf8")), knownHosts: lab.knownHosts.replaceAll("${s1.address} ", "[${s1.address}]:2222 ") }`);
  });

  test("another address of the same server", async () => {
    await updates(`{ host: "${alias}", knownHosts: lab.knownHosts.replaceAll("${s1.address}", "${alias}") }`);
  });

  test("a bastion", async () => {
    const bastion = etcdLab.lab.machine("b1").address;
    await updates(
      `{ proxy: { host: "${bastion}", privateKey: pulumi.secret(lab.sshKey), knownHosts: lab.knownHosts } }`,
    );
  });

  test("one that does not work is refused and not stored", async () => {
    program.write(backups(`{ port: 2299, dialErrorLimit: 0 }`));
    expect(await program.pulumiFails("up", "--yes", "--skip-preview")).toMatch(/s1: .*2299/);
    expect(readFileSync(program.stateFile, "utf8")).not.toContain("2299");
    await program.pulumi("refresh", "--preview-only", "--expect-no-changes");
    expect(await s1.exec(TOUCHED)).toBe(before);
  });

  test("a server with an unknown host key: the engine's error has its fingerprint and the line to add", async () => {
    program.write(backups(`{ knownHosts: "# nobody" }`));
    const failed = await program.pulumiFails("up", "--yes", "--skip-preview");
    expect(failed).toContain(await fingerprint());
    expect(failed).toContain(await hostKeyLine());
  });
});

describe("host keys", () => {
  test("an unknown one is refused with its fingerprint and the line to add; with that line it is known", async () => {
    const refused = verifyConnections(reachedBy({ knownHosts: "" }), call);
    const line = await hostKeyLine();
    await expect(refused).rejects.toMatchObject({ code: "HOST_KEY_UNKNOWN" });
    await expect(refused).rejects.toThrow(await fingerprint());
    await expect(refused).rejects.toThrow(line);
    await verifyConnections(reachedBy({ knownHosts: `${line}\n` }), call);
  });

  test("a changed one is refused with its fingerprint, even where new ones are accepted", async () => {
    const other = await createSshKey(join(etcdLab.lab.directory, "other-host"), "ed25519", "host");
    const knownHosts = `${s1.address} ${other.publicKey}\n`;
    const refused = verifyConnections(reachedBy({ knownHosts, acceptNewHostKey: true }), call);
    await expect(refused).rejects.toMatchObject({ code: "HOST_KEY_MISMATCH" });
    await expect(refused).rejects.toThrow(await fingerprint());
  });

  test("a new one is accepted when that is asked for", async () => {
    await verifyConnections(reachedBy({ knownHosts: "", acceptNewHostKey: true }), call);
  });

  test("the right one can be given by itself", async () => {
    const hostKey = (await hostKeyLine()).replace(/^\S+ /, "");
    await verifyConnections(reachedBy({ knownHosts: "", hostKey }), call);
  });
});

describe("backups are configured and a snapshot is taken", () => {
  const works = async (name: string, connection: Connection): Promise<void> => {
    const cluster = { ...reachedBy(connection), name };
    const settings = {
      schedule,
      retention: 8,
      snapshotName: "etcd-snapshot",
      enabled: true,
      s3: { ...etcdLab.s3Settings, folder: name },
    };
    const { servers, warnings } = await configureBackups(cluster, settings, call);
    expect({ servers, warnings }).toMatchObject({
      servers: [{ server: "s1", timer: "active", drift: [] }],
      warnings: [],
    });
    const taken = await takeSnapshot(cluster, { name: "by-hand", s3: settings.s3 }, call);
    expect(taken.locations).toHaveLength(2);
    expect(taken.totalKeys).toBeGreaterThanOrEqual(0);
  };
  const operator = { user: "operator", sudoPassword: password };

  test("through a bastion", async () => {
    const { address } = etcdLab.lab.machine("b1");
    const { privateKey, knownHosts } = {
      privateKey: etcdLab.lab.sshKey.privateKey,
      knownHosts: etcdLab.lab.knownHosts,
    };
    await works("bastion", { proxy: { host: address, privateKey, knownHosts } });
  });

  test("by sudo with a password", () => works("sudo", operator));

  test("by sudo that wants a terminal", async () => {
    await s1.addOperator({ password, sudo: "with password", requiretty: true });
    await works("requiretty", operator);
    expect(await s1.exec("ls -A /home/operator; ls -A /run/user/*/ 2>/dev/null || true")).not.toContain("etcd-backup");
    await s1.addOperator({ password, sudo: "with password" });
  });

  test("where nothing in /tmp may be executed", async () => {
    await s1.exec("mount -t tmpfs -o noexec,nosuid,nodev none /tmp");
    try {
      await works("noexec", {});
    } finally {
      await s1.exec("umount /tmp");
    }
  });

  test("where everything speaks German", async () => {
    // The machine has translations, and no locale but C's: under another name it makes programs use them.
    await s1.exec(`cp -r /usr/lib/locale/C.utf8 /usr/lib/locale/de_DE.utf8
printf 'LANG=de_DE.UTF-8\\nLC_ALL=de_DE.UTF-8\\nLANGUAGE=de\\n' | tee /etc/default/locale >>/etc/environment
printf 'AcceptEnv LANG LC_* LANGUAGE\\nPermitUserEnvironment yes\\n' >/etc/ssh/sshd_config.d/language.conf
printf 'LC_ALL=de_DE.UTF-8\\nLANGUAGE=de\\n' >/home/operator/.ssh/environment
printf 'export LC_ALL=de_DE.UTF-8 LANGUAGE=de\\n' >>/etc/profile
systemctl set-environment LC_ALL=de_DE.UTF-8 LANGUAGE=de; systemctl reload ssh`);
    const { stderr } = await ssh("ls /nonexistent || true");
    expect(stderr).toContain("Datei oder Verzeichnis nicht gefunden");
    await works("deutsch", operator);
    await s1.exec("systemctl start etcd-backup-deutsch.service");
    await expect(verifyConnections(reachedBy({ ...operator, sudoPassword: "wrong" }), call)).rejects.toMatchObject({
      code: "SUDO_REFUSED",
    });
  });
});

const TOUCHED = `systemctl show etcd.service etcd-backup-demo.timer -p Id -p ExecMainStartTimestampMonotonic -p ActiveEnterTimestampMonotonic
find /etc/etcd-backup /etc/systemd /var/lib/etcd-backup -printf '%C@ %p\\n' | sort -k 2`;

/** The program with a connection that differs from the lab's own by `connection`, the text of an object. */
function backups(connection: string): string {
  return `const servers = [{ ...lab.servers[0], connection: { ...lab.servers[0].connection, ...${connection} } }];
new BackupConfig("demo", { cluster: { ...cluster, servers }, schedule: "${schedule}", s3 });`;
}

function reachedBy(connection: Connection): Cluster {
  const { cluster } = etcdLab;
  return { ...cluster, servers: [{ name: "s1", connection: { host: s1.address, ...connection } }] };
}

async function hostKeyLine(): Promise<string> {
  return `${s1.address} ${(await s1.exec("cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub")).trim()}`;
}

async function fingerprint(): Promise<string> {
  const listed = await s1.exec("ssh-keygen -l -E sha256 -f /etc/ssh/ssh_host_ed25519_key.pub");
  return listed.split(" ")[1] ?? "";
}

/** By OpenSSH's own client, as the operator. */
function ssh(command: string): Promise<Finished> {
  const { sshKey, knownHostsPath } = etcdLab.lab;
  const options = ["-F", "none", "-i", sshKey.privateKeyPath, "-o", `UserKnownHostsFile=${knownHostsPath}`];
  return finish("ssh", [...options, `operator@${s1.address}`, command]);
}
