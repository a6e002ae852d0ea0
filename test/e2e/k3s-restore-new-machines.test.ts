import { readdirSync } from "node:fs";
import { join } from "node:path";
import { previewRestore } from "../../provider/operations/preview-restore";
import { type RestoreReport, type RestoreRequest, restoreSnapshot } from "../../provider/operations/restore";
import type { Cluster } from "../../provider/model";
import { closeConnections } from "../../provider/transport/connect";
import { k3sNames } from "../lab/k3s-files";
import type { Machine } from "../lab/machine";
import { waitFor } from "../lab/wait";
import { type K3sLab, labelOf, startK3sLab } from "../support/k3s-program";
import {
  type Canary,
  leftovers,
  proveK3sRestored,
  saveByItself,
  uploading,
  usersFiles,
  writeAfter,
  writeCanary,
} from "../support/k3s-restore-oracles";
import { clusterOn } from "../support/lab-program";
import { listeningCall } from "../support/restore-oracles";

// Everything is lost but a snapshot in S3 and the token; the machines are others.
describe.each([
  { distribution: "k3s", old: ["s1", "s2", "s3"], others: ["n1", "n2", "n3"] },
  { distribution: "rke2", old: ["s1"], others: ["n1", "n2"] },
] as const)("$distribution", ({ distribution, old, others }) => {
  let lab: K3sLab;
  let canary: Canary;
  let snapshot: string;
  const { configDir, unit } = k3sNames[distribution];
  const label = labelOf(distribution);
  const call = listeningCall();

  beforeAll(async () => {
    lab = await startK3sLab({
      machines: [...old, ...others, "m1"],
      k3s: (s3) => ({ distribution, servers: old, extraConfig: uploading(s3) }),
    });
    const s1 = lab.lab.machine("s1");
    canary = await writeCanary(lab.k3s, "moved");
    await saveByItself(lab.k3s, s1, "last");
    const [name = ""] = readdirSync(join(lab.s3.dir, "etcd-backups/demo")).filter((file) => file.startsWith("last-"));
    snapshot = `s3://etcd-backups/demo/${name}`;
    await writeAfter(lab.k3s, canary.name);
    for (const server of machines(...old)) {
      await server.powerLoss();
      lab.k3s.forget(server);
    }
  }, 180_000);
  afterAll(async () => {
    await closeConnections();
    await lab.lab.down();
  });

  test(`${label}: servers become others, of other names and addresses (${old.length} to ${others.length}), and stay so through a reboot`, async () => {
    const [n1, ...peers] = await installed(others[0], ...others.slice(1));
    for (const peer of peers) await lab.k3s.addServer(peer, { start: false, join: n1 });
    const cluster = clusterOf(...others);
    const before = await everywhere((server) => usersFiles(lab.k3s, server));

    const preview = await previewRestore(cluster, request(), call);
    expect(preview.refusals).toEqual([]);
    expect(preview.lines.join("\n")).toContain(`No data of an old cluster on ${others.join(", ")}.`);
    const report = await restoreSnapshot(cluster, request(), call);
    await expectRestored(report, others);
    expect(await everywhere((server) => usersFiles(lab.k3s, server))).toEqual(before);
    await reboot();
    await expectRestored(report, others);
  });

  test(`${label}: old servers become one new machine with the name of an old one; the token is only in the program`, async () => {
    for (const server of [...lab.k3s.servers]) {
      await server.powerOff();
      lab.k3s.forget(server);
    }
    const [m1] = await installed("m1");
    // Not in any file of the server, as after a fresh installation; and the node's password is another than the cluster remembers.
    await m1.exec(`sed -i '/^token:/d' ${configDir}/config.yaml
mkdir -p ${configDir}/config.yaml.d && echo 'node-name: s1' >${configDir}/config.yaml.d/10-name.yaml`);
    const cluster = clusterOf("m1");
    const refused = restoreSnapshot(cluster, request(), call);
    await expect(refused).rejects.toMatchObject({ code: "TOKEN_MISMATCH" });
    expect((await m1.exec(`ls -A ${lab.k3s.dataDir} /var/lib/etcd-backup 2>/dev/null || :`)).trim()).toBe("");

    const report = await restoreSnapshot(cluster, { ...request(), token: lab.k3s.token }, call);
    await expectRestored(report, ["s1"]);
    await reboot();
    await expectRestored(report, ["s1"]);
  });

  async function installed(first: string, ...names: readonly string[]): Promise<[Machine, ...Machine[]]> {
    const machine = lab.lab.machine(first);
    await lab.k3s.addServer(machine, { start: false, join: "none" });
    return [machine, ...machines(...names)];
  }

  /** The Nodes are those of these machines, and each of them is let in: its password is not an old one's. */
  async function expectRestored(report: RestoreReport, nodes: readonly string[]): Promise<void> {
    await proveK3sRestored(lab.k3s, canary, nodes);
    expect(report.members.map(({ name }) => name.replace(/-[0-9a-f]{8}$/, "")).sort()).toEqual([...nodes].sort());
    expect(report.safetySnapshots).toEqual([]);
    const first = lab.k3s.servers[0];
    await waitFor(
      "every Node, and no other, is Ready",
      async () => {
        const listed = (await first?.exec(`${kubectl()} get nodes --no-headers`)) ?? "";
        const rows = listed
          .trim()
          .split("\n")
          .map((row) => row.split(/\s+/).slice(0, 2).join(" "));
        if (
          rows.sort().join() ===
          nodes
            .map((node) => `${node} Ready`)
            .sort()
            .join()
        )
          return true;
        throw new Error(listed);
      },
      { deadlineMs: 30_000, everyMs: 500 },
    );
    for (const server of lab.k3s.servers) {
      expect([server.name, await leftovers(lab.k3s, server)]).toEqual([server.name, []]);
      expect(await server.exec(`systemctl is-active ${unit}`)).toBe("active\n");
      const said = await server.exec(
        `journalctl -b -u ${unit} -o cat --since=-20s --no-pager | grep -c 'node password' || :`,
      );
      expect([server.name, said]).toEqual([server.name, "0\n"]);
    }
  }

  async function reboot(): Promise<void> {
    await closeConnections();
    await everywhere((server) => server.powerOff());
    await everywhere((server) => server.boot());
  }

  function kubectl(): string {
    return distribution === "k3s"
      ? "k3s kubectl"
      : `${lab.k3s.dataDir}/bin/kubectl --kubeconfig ${configDir}/rke2.yaml`;
  }

  function machines(...names: readonly string[]): Machine[] {
    return names.map((name) => lab.lab.machine(name));
  }

  function clusterOf(...servers: readonly string[]): Cluster {
    return clusterOn(lab.lab, { distribution, servers });
  }

  function everywhere<T>(what: (server: Machine) => Promise<T>): Promise<T[]> {
    return Promise.all(lab.k3s.servers.map(what));
  }

  function request(): RestoreRequest {
    return { snapshot, s3: lab.s3Settings, triggers: [], safetySnapshot: true, bumpRevision: false };
  }
});
