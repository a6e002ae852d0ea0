import { closeConnections } from "../../provider/transport/connect";
import type { Machine } from "../lab/machine";
import { waitFor } from "../lab/wait";
import { createEtcdProgram, type EtcdLab, type EtcdProgram, startEtcdLab } from "../support/etcd-program";

let etcdLab: EtcdLab;
let program: EtcdProgram;
let location: string;

const servers = ["s1", "s2", "s3"] as const;
const resources = `
  const backups = new BackupConfig("demo", { cluster, s3 });
  new SnapshotRestore("restore", { cluster, s3, snapshot: config.get("restore"), triggers: [config.get("again") ?? ""], deadline: "25s" });
`;

beforeAll(async () => {
  etcdLab = await startEtcdLab();
  program = await createEtcdProgram(etcdLab, `exports.location = new Snapshot("good", { cluster, s3 }).location;`);
  await etcdLab.etcd.putKeys(machine("s1"), { "canary/1": "before the snapshot" });
  await program.up();
  location = await program.output("location");
  await etcdLab.etcd.putKeys(machine("s1"), { "after/1": "after the snapshot" });
  program.write(`${resources} new Snapshot("good", { cluster, s3 });`);
  await program.up();
});

afterAll(async () => {
  await closeConnections();
  await etcdLab.lab.down();
});

test.each(servers)(
  "the restore command fails on %s: every server is as it was, healthy, with the newest data",
  async (server) => {
    const before = await fingerprint();
    await breakRestoreTool(server);
    const printed = await restoreFails(`broken on ${server}`);
    await mendRestoreTool(server);
    expect(printed).toMatch(new RegExp(`the restore of demo failed at ${server}:prepare`));
    expect(printed).toContain("the disk is on fire");
    expect(printed).toContain("put back as it was");
    await expectUntouched(before);
    expect(printed).not.toMatch(/restore created|restore updated/);
  },
);

test("killed at a step boundary before the point of no return: the next up puts back, then restores", async () => {
  for (const boundary of ["s2\tprepare", "s3\tstop", "s1\tswap"]) {
    const [server = "", action = ""] = boundary.split("\t");
    await etcdLab.etcd.putKeys(machine("s1"), { [`after/${action}`]: "newer" });
    const ended = beginRestore(`killed at ${action}`);
    await journalSays(machine(server), `begin\t\\d+\t${server}:${action}`);
    program.kill();
    await ended;
    // The engine's own lock is the operator's to lift.
    await program.pulumi("cancel", "--yes");
    const printed = await program.up();
    expect(printed).toContain("An earlier restore");
    await expectRestored();
  }
});

test("a server that does not come back after the point of no return: reported with the next command, and the next up finishes", async () => {
  await etcdLab.etcd.putKeys(machine("s1"), { "after/interrupted": "newer" });
  await breakUnit("s3", "/bin/false");
  const printed = await restoreFails("s3 stays away");
  expect(printed).toMatch(/the restore of demo stopped at cluster:verify/);
  expect(printed).toContain("s3");
  expect(printed).toContain("run `pulumi up` again");
  expect(await etcdLab.etcd.keys(machine("s1"), "after/")).toEqual([]);
  await mendUnit("s3");
  expect(await program.up()).toContain("goes on");
  await expectRestored();
  // It is one restore: the attempt that began it is the one that is on record.
  expect(await program.up()).toMatch(/unchanged/);
});

test("no restored member comes up: nothing can have been written, so every server is put back", async () => {
  await etcdLab.etcd.putKeys(machine("s1"), { "after/kept": "newest" });
  for (const name of servers) {
    // It keeps restored data from starting; what was there before starts as ever.
    const count = (await machine(name).exec("ls -d /var/lib/etcd/member.before-* | wc -l")).trim();
    await breakUnit(name, `/bin/sh -c 'test $$(ls -d /var/lib/etcd/member.before-* | wc -l) -le ${count}'`);
  }
  const before = await fingerprint();
  const printed = await restoreFails("nobody comes up");
  expect(printed).toMatch(/the restore of demo failed at cluster:serve/);
  expect(printed).toContain("put back as it was");
  await etcdLab.etcd.healthy();
  expect((await fingerprint()).keys).toEqual(before.keys);
  for (const name of servers) await mendUnit(name);
});

async function breakUnit(server: string, startPre: string): Promise<void> {
  await machine(server).exec(
    `cd /etc/systemd/system && mkdir -p etcd.service.d && cat >etcd.service.d/broken.conf && systemctl daemon-reload`,
    { stdin: `[Service]\nExecStartPre=${startPre}\n` },
  );
}

async function mendUnit(server: string): Promise<void> {
  await machine(server).exec("rm -r /etc/systemd/system/etcd.service.d && systemctl daemon-reload");
}

function machine(name: string): Machine {
  return etcdLab.lab.machine(name);
}

async function beginRestore(again: string): Promise<unknown> {
  await program.configure({ restore: location, again });
  return program.run(["up", "--yes", "--skip-preview"]);
}

async function restoreFails(again: string): Promise<string> {
  await program.configure({ restore: location, again });
  return program.pulumiFails("up", "--yes", "--skip-preview");
}

async function breakRestoreTool(server: string): Promise<void> {
  await machine(server).exec(`cd /usr/local/bin && mv etcdutl etcdutl.real && cat >etcdutl <<'END' && chmod 755 etcdutl
#!/bin/sh
case "$*" in *--help*) ;; *"snapshot restore"*) echo 'the disk is on fire' >&2; exit 1 ;; esac
exec /usr/local/bin/etcdutl.real "$@"
END`);
}

async function mendRestoreTool(server: string): Promise<void> {
  await machine(server).exec("mv /usr/local/bin/etcdutl.real /usr/local/bin/etcdutl");
}

interface Fingerprint {
  readonly keys: readonly string[];
  readonly members: readonly string[];
}

/** What must be the same when nothing happened: the keys, and which data directories and starts the members have. */
async function fingerprint(): Promise<Fingerprint> {
  const members = servers.map((name) =>
    machine(name).exec(
      "ls -A /var/lib/etcd; stat -c %i /var/lib/etcd/member; systemctl show etcd -p ExecMainStartTimestamp; systemctl is-active etcd-backup-demo.timer; ls /etc/systemd/system",
    ),
  );
  return { keys: await etcdLab.etcd.keys(machine("s1"), ""), members: await Promise.all(members) };
}

async function expectUntouched(before: Fingerprint): Promise<void> {
  await etcdLab.etcd.healthy();
  expect(await fingerprint()).toEqual(before);
}

async function expectRestored(): Promise<void> {
  await etcdLab.etcd.healthy();
  for (const name of servers) {
    expect(await etcdLab.etcd.keys(machine(name), "canary/")).toEqual(["canary/1"]);
    expect(await etcdLab.etcd.keys(machine(name), "after/")).toEqual([]);
    expect(await machine(name).exec("ls -d /var/lib/etcd/member.before-* | wc -l")).not.toBe("0\n");
    expect(
      await machine(name).exec(
        "systemctl is-active etcd-backup-demo.timer; ls /etc/systemd/system | grep -c 'etcd.service.d' || :",
      ),
    ).toBe("active\n0\n");
  }
  expect(new Set(Object.values(await etcdLab.etcd.hashKv())).size).toBe(1);
}

async function journalSays(where: Machine, pattern: string): Promise<void> {
  await waitFor(
    `${where.name}'s journal says ${pattern}`,
    async () => {
      const journal = await where.exec("tail -n 3 /var/lib/etcd-backup/demo/journal 2>/dev/null || :");
      return new RegExp(pattern).test(journal) ? true : undefined;
    },
    { deadlineMs: 60_000, everyMs: 20 },
  );
}
