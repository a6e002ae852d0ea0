// Servers that have no embedded etcd, or that Rancher manages: refused through Pulumi's engine, and nothing is touched.
import { k3sNames } from "../lab/k3s-files";
import type { Machine } from "../lab/machine";
import { createK3sProgram, type K3sLab, labelOf, startK3sLab } from "../support/k3s-program";
import type { LabProgram } from "../support/lab-program";
import { changingCommands } from "../support/restore-oracles";

const datastorePassword = "datastore-secret-4716";

interface Refusal {
  readonly title: string;
  /** What makes the server such a one, and what makes it as it was. */
  readonly make: string;
  readonly unmake: string;
  readonly code: string;
  readonly says: readonly string[];
}

function rancherFile(distribution: "k3s" | "rke2"): Refusal {
  const file = `${k3sNames[distribution].configDir}/config.yaml.d/50-rancher.yaml`;
  return {
    title: "Rancher's own drop-in",
    make: `mkdir -p $(dirname ${file}) && echo 'etcd-snapshot-retention: 7' >${file}`,
    unmake: `rm ${file}`,
    code: "MANAGED_ELSEWHERE",
    says: [`s1: this cluster is managed by Rancher (${file})`, "Nothing was touched."],
  };
}

const [config, unit] = ["/etc/rancher/k3s/config.yaml", "/etc/systemd/system/k3s.service"];

const refusals = {
  k3s: [
    rancherFile("k3s"),
    {
      title: "Rancher's agent",
      make: "systemd-run --quiet --unit=rancher-system-agent sleep infinity",
      unmake: "systemctl stop rancher-system-agent",
      code: "MANAGED_ELSEWHERE",
      says: ["s1: this cluster is managed by Rancher (rancher-system-agent.service)", "Nothing was touched."],
    },
    {
      title: "SQLite",
      make: `systemctl stop k3s; cd /var/lib/rancher/k3s/server/db; mv etcd /root/etcd.kept; echo data >state.db`,
      unmake: `cd /var/lib/rancher/k3s/server/db; rm state.db; mv /root/etcd.kept etcd; systemctl start k3s`,
      code: "NOT_EMBEDDED_ETCD",
      says: [
        "s1: K3s keeps its data in SQLite here, not in embedded etcd",
        "Its backups are copies of server/db/state.db. `cluster-init: true` moves it to embedded etcd.",
      ],
    },
    {
      title: "an external datastore, whose password is not shown",
      make: `cp -p ${config} /root/config.kept; echo 'datastore-endpoint: "postgres://k3s:${datastorePassword}@10.0.0.9/k3s"' >>${config}`,
      unmake: `mv /root/config.kept ${config}`,
      code: "NOT_EMBEDDED_ETCD",
      says: [
        "s1: K3s keeps its data in an external datastore here, not in embedded etcd",
        "Back that up with its own tools, or list the servers that run etcd.",
      ],
    },
    {
      title: "an agent",
      make: `cp -p ${unit} /root/unit.kept; sed -i 's/^    server /    agent /' ${unit}; systemctl daemon-reload`,
      unmake: `mv /root/unit.kept ${unit}; systemctl daemon-reload`,
      code: "NOT_EMBEDDED_ETCD",
      says: ["s1: k3s.service does not run `k3s server`", "Agents have no etcd: list them in `agents`."],
    },
  ],
  rke2: [rancherFile("rke2")],
} as const satisfies Record<string, readonly Refusal[]>;

describe.each(["k3s", "rke2"] as const)("%s", (distribution) => {
  let lab: K3sLab;
  let program: LabProgram;
  let s1: Machine;

  beforeAll(async () => {
    lab = await startK3sLab({ machines: ["s1"], k3s: { distribution } });
    s1 = lab.lab.machine("s1");
    program = await createK3sProgram(lab, "");
  }, 180_000);
  afterAll(() => lab.lab.down());

  test.each<Refusal>(refusals[distribution])(
    `${labelOf(distribution)}: $title is refused to backups, snapshots and restores; nothing is touched`,
    async ({ make, unmake, code, says }) => {
      await s1.exec(make);
      try {
        const before = await look();
        const record = await s1.record();
        program.write(`new BackupConfig("demo", { cluster, schedule: "30 3 * * *", s3 });
          new Snapshot("now", { cluster });`);
        const applied = await program.pulumiFails("up", "--yes", "--skip-preview", "--continue-on-error");
        expect(applied.match(/^ {2}\S+:(BackupConfig|Snapshot) \(\w+\):$/gm)).toHaveLength(2);
        // A restore is refused while it is planned: what is beside it in the program would not be reached.
        program.write(`new SnapshotRestore("back", { cluster, snapshot: "latest" });`);
        const previewed = await program.pulumiFails("preview");
        expect(changingCommands(await record.stop())).toEqual([]);
        expect(await look()).toEqual(before);
        for (const words of [code, ...says]) {
          expect(applied.split(words).length - 1).toBeGreaterThanOrEqual(2);
          expect(previewed).toContain(words);
        }
        expect(applied + previewed).not.toContain(datastorePassword);
      } finally {
        await s1.exec(unmake);
      }
    },
  );

  /** Files by content, mode and time, and the process that serves; not what a running etcd writes by itself. */
  function look(): Promise<string> {
    const paths = "/etc /root /tmp /srv /usr/local /var/lib/etcd-backup /var/lib/rancher";
    return s1.exec(`find ${paths} -path '*/server/db/etcd' -prune -o ! -type d -printf '%p %i %m %U:%G %s %T@\\n' 2>/dev/null | sort
find ${paths} -path '*/server/db/etcd' -prune -o -type d -printf '%p %m %U:%G\\n' 2>/dev/null | sort
systemctl show ${k3sNames[distribution].unit} -p MainPID -p ExecMainStartTimestampMonotonic -p NRestarts -p ActiveState -p DropInPaths`);
  }
});
