import { readdirSync } from "node:fs";
import { join } from "node:path";
import { silent } from "../../provider/operations/call";
import { configureBackups } from "../../provider/operations/configure-backups";
import { closeConnections } from "../../provider/transport/connect";
import type { Machine } from "../lab/machine";
import { waitFor } from "../lab/wait";
import { createK3sProgram, type K3sLab, labelOf, startK3sLab } from "../support/k3s-program";
import { BUCKET, type LabProgram } from "../support/lab-program";

// Half a day from now, so that no snapshot is due while its test runs.
const schedule = `30 ${(new Date().getUTCHours() + 12) % 24} * * *`;

describe(`one server of ${labelOf("rke2")}, configured on its command line`, () => {
  let k3sLab: K3sLab;
  let program: LabProgram;
  let s1: Machine;
  const file = "/etc/rancher/rke2/config.yaml.d/60-etcd-backup.yaml";
  const started = "systemctl show rke2-server.service -p ExecMainStartTimestampMonotonic -p MainPID";
  const local = (more: string): string =>
    `const backups = new BackupConfig("demo", { cluster, schedule: "${schedule}", ${more} });
     exports.servers = backups.servers;
     exports.warnings = backups.warnings;`;

  beforeAll(async () => {
    k3sLab = await startK3sLab({
      machines: ["s1"],
      k3s: { distribution: "rke2", configuration: "exec-start", dataDir: "/srv/rke2" },
    });
    s1 = k3sLab.lab.machine("s1");
    program = await createK3sProgram(
      k3sLab,
      local(`directory: "/srv/snapshots", snapshotName: "nightly", compress: true`),
    );
  });
  afterAll(async () => {
    await closeConnections();
    await k3sLab.lab.down();
  });

  test("local snapshots in a directory of their own, which is made", async () => {
    await program.up();
    expect(await s1.exec(`stat -c %a ${file} /srv/snapshots`)).toBe("600\n700\n");
    expect(JSON.parse(await program.output("servers"))).toEqual([
      expect.objectContaining({ server: "s1", directory: "/srv/snapshots", timer: "active", retention: 5 }),
    ]);
    await s1.exec("kill -USR1 $(systemctl show rke2-server -p MainPID --value)");
    await waitFor("a snapshot", () => s1.exec("ls /srv/snapshots | grep -E '^nightly-s1-[0-9]+\\.zip$'"), {
      deadlineMs: 20_000,
    });
    await program.pulumi("refresh", "--preview-only", "--expect-no-changes");
  });

  test("a directory that is gone is named, and made again without a restart", async () => {
    const before = await s1.exec(started);
    await s1.exec("mv /srv/snapshots /srv/away");
    const shown = await program.pulumiFails("refresh", "--preview-only", "--diff", "--expect-no-changes");
    expect(shown).toContain("s1: directory: there is no /srv/snapshots");
    await program.up("--refresh");
    expect(await s1.exec("stat -c %a /srv/snapshots")).toBe("700\n");
    expect(await s1.exec(started)).toBe(before);
  });

  test("restart: none writes the file and says what is still to be done", async () => {
    const before = await s1.exec(started);
    program.write(local(`retention: 3, restart: "none"`));
    await program.up();
    expect(await s1.exec(started)).toBe(before);
    expect(await s1.exec(`cat ${file}`)).toContain("etcd-snapshot-retention: 3");
    expect(await program.output("warnings")).toContain("rke2-server.service has not been started again since");
    await program.pulumi("preview", "--expect-no-changes");
  });

  test("with a Secret for S3, no key is in a file, and what is sent arrives", async () => {
    program.write(local(`s3: { ...s3, configSecret: "backup-s3" }`));
    await program.up();
    expect(await s1.exec(`cat ${file}`)).not.toContain(k3sLab.s3.secretAccessKey);
    const { data } = JSON.parse(
      await k3sLab.k3s.kubectl(s1, ["--namespace", "kube-system", "get", "secret", "backup-s3", "-o", "json"]),
    ) as { data: Record<string, string> };
    expect(Buffer.from(data["etcd-s3-bucket"] ?? "", "base64").toString()).toBe(BUCKET);
    await s1.exec("kill -USR1 $(systemctl show rke2-server -p MainPID --value)");
    await waitFor(
      "an object in S3",
      () => readdirSync(join(k3sLab.s3.dir, BUCKET, "demo")).find((key) => key.startsWith("etcd-snapshot-s1-")),
      { deadlineMs: 20_000 },
    );
    await program.pulumi("refresh", "--preview-only", "--expect-no-changes");
    await k3sLab.k3s.kubectl(s1, ["--namespace", "kube-system", "delete", "secret", "backup-s3"]);
    const shown = await program.pulumiFails("refresh", "--preview-only", "--diff", "--expect-no-changes");
    expect(shown).toContain("s1: s3.configSecret: there is no Secret kube-system/backup-s3");
    const before = await s1.exec(started);
    await program.up("--refresh");
    expect(await s1.exec(started)).toBe(before);
    await program.pulumi("refresh", "--preview-only", "--expect-no-changes");
  });

  test("an argument of the unit that overrides ours is refused before anything is touched", async () => {
    program.write(local("retention: 4"));
    await s1.exec(
      `sed -i 's|rke2 server|rke2 server --etcd-snapshot-retention=2|' /etc/systemd/system/rke2-server.service && systemctl daemon-reload`,
    );
    const failed = await program.pulumiFails("up", "--yes", "--skip-preview");
    expect(failed).toContain("s1: retention: 2 (by ExecStart), declared 4");
    expect(await s1.exec(`cat ${file}`)).not.toContain("retention: 4");
    await s1.exec(
      `sed -i 's| --etcd-snapshot-retention=2||' /etc/systemd/system/rke2-server.service && systemctl daemon-reload`,
    );
  });

  test("destroyed, it takes the Secret along too", async () => {
    await program.up();
    await program.pulumi("destroy", "--yes", "--skip-preview");
    expect(await s1.exec("ls /etc/rancher/rke2/config.yaml.d 2>/dev/null || :")).toBe("");
    expect(await k3sLab.k3s.kubectl(s1, ["--namespace", "kube-system", "get", "secret", "-o", "name"])).not.toContain(
      "backup-s3",
    );
  });
});

describe(`one server of an old ${labelOf("k3s")}`, () => {
  let k3sLab: K3sLab;
  let s1: Machine;
  const dropIn = "/etc/rancher/k3s/config.yaml.d/60-etcd-backup.yaml";
  const ourFile = `stat -c '%Z %a %U %s' ${dropIn}`;

  beforeAll(async () => {
    k3sLab = await startK3sLab({ machines: ["s1"], k3s: { version: "old" } });
    s1 = k3sLab.lab.machine("s1");
  });
  afterAll(async () => {
    await closeConnections();
    await k3sLab.lab.down();
  });

  const settings = { schedule, retention: 2, snapshotName: "etcd-snapshot", enabled: true };

  test("gets only keys that it knows, and says what S3 keeps there", async () => {
    const { cluster, s3Settings } = k3sLab;
    const report = await configureBackups(cluster, { ...settings, s3: s3Settings }, { progress: silent });
    expect(report.servers).toEqual([expect.objectContaining({ version: "v1.26.9+k3s1", drift: [] })]);
    expect(report.warnings.join("\n")).toContain("S3 keeps as many snapshots as etcd-snapshot-retention says");
    expect(await s1.exec(`cat ${dropIn}`)).not.toMatch(/etcd-s3-(retention|proxy|session-token|bucket-lookup-type)/);
    expect(await s1.exec("journalctl -u k3s -o cat --no-pager | grep -c 'Unknown flag' || :")).toBe("0\n");
  });

  test("refuses what it does not know, with the first version that does, and touches nothing", async () => {
    const { cluster, s3Settings } = k3sLab;
    const before = await s1.exec(ourFile);
    const asked = { ...settings, s3: { ...s3Settings, sessionToken: "t", proxy: "http://proxy:3128" } };
    await expect(configureBackups(cluster, asked, { progress: silent })).rejects.toMatchObject({
      code: "UNSUPPORTED_VERSION",
      message: expect.stringMatching(/s3\.sessionToken: .*v1\.29\.14 is the first.*\n.*s3\.proxy/) as string,
    });
    expect(await s1.exec(ourFile)).toBe(before);
  });
});
