import { type RestoreReport, type RestoreRequest, restoreSnapshot } from "../../provider/operations/restore";
import { closeConnections } from "../../provider/transport/connect";
import type { K3sOptions } from "../lab/k3s";
import type { Machine } from "../lab/machine";
import type { S3 } from "../lab/s3";
import { createK3sProgram, type K3sLab, labelOf, startK3sLab } from "../support/k3s-program";
import {
  type Canary,
  leftovers,
  localSnapshots,
  proveK3sRestored,
  saveByItself,
  uploading,
  usersFiles,
  writeAfter,
  writeCanary,
} from "../support/k3s-restore-oracles";
import { changingCommands, listeningCall } from "../support/restore-oracles";

interface Marker {
  readonly report: RestoreReport;
}

interface Setup {
  readonly distribution: "k3s" | "rke2";
  readonly machines: readonly string[];
  readonly how: string;
  readonly k3s: (s3: S3) => K3sOptions;
}

const setups: readonly Setup[] = [
  {
    ...{ distribution: "k3s", machines: ["s1"], how: "token in K3S_TOKEN, compressed snapshots" },
    k3s: (s3) => ({
      configuration: "env-file",
      extraConfig: { "etcd-snapshot-compress": true, ...uploading(s3) },
    }),
  },
  {
    ...{ distribution: "k3s", machines: ["s1", "s2", "s3"], how: "S3 configured on the servers" },
    k3s: (s3) => ({ extraConfig: uploading(s3) }),
  },
  {
    ...{ distribution: "k3s", machines: ["s1", "s2"], how: "version 1.26" },
    k3s: (s3) => ({ version: "old", extraConfig: uploading(s3) }),
  },
  {
    ...{ distribution: "rke2", machines: ["s1"], how: "arguments in ExecStart, data elsewhere" },
    k3s: (s3) => ({ configuration: "exec-start", dataDir: "/srv/rke2", extraConfig: uploading(s3) }),
  },
  {
    ...{
      distribution: "rke2",
      machines: ["s1", "s2", "s3"],
      how: "S3 configured on the servers, compressed snapshots",
    },
    k3s: (s3) => ({ extraConfig: { "etcd-snapshot-compress": true, ...uploading(s3) } }),
  },
];

describe.each(setups.map((setup) => ({ ...setup, label: labelOf(setup.distribution), count: setup.machines.length })))(
  "$label, $count of them, $how",
  ({ distribution, machines, k3s: options }) => {
    let lab: K3sLab;
    const call = listeningCall();

    beforeAll(async () => {
      lab = await startK3sLab({ machines, k3s: (s3) => ({ distribution, ...options(s3) }) });
    }, 180_000);
    afterAll(async () => {
      await closeConnections();
      await lab.lab.down();
    });

    test("a file on a server is restored in place, whatever S3 is configured there", async () => {
      const holder = lab.lab.machine(machines.at(-1) ?? "");
      const canary = await writeCanary(lab.k3s, "local");
      const path = await saveByItself(lab.k3s, holder, "mine");
      const snapshot = `file://${holder.name}${path}`;
      const report = await proven(canary, async () => {
        await restoreSnapshot(lab.cluster, request(snapshot), call);
      });
      expect(report.restored.location).toBe(snapshot);
    });

    test("Pulumi: the preview shows the plan, the update restores from S3, the next one does nothing", async () => {
      const resources = (name: string): string => `
        const taken = new Snapshot("${name}", { cluster, s3 });
        const restored = new SnapshotRestore("restore", { cluster, s3, snapshot: config.get("restore") });
        exports.location = taken.location;
        exports.restoredAt = restored.restoredAt;`;
      const program = await createK3sProgram(lab, resources("before"));
      const canary = await writeCanary(lab.k3s, "s3");
      await program.up();
      const location = await program.output("location");
      expect(location).toMatch(/^s3:\/\/etcd-backups\/demo\/before-s\d-\d+(\.zip)?$/);
      await program.configure({ restore: location });
      const report = await proven(canary, async () => {
        const preview = await program.pulumi("preview", "--diff");
        expect(preview).toMatch(/\+-.*SnapshotRestore|replace/);
        expect(preview).toContain(`Restore demo to ${location}`);
        expect(preview).toContain("s1 ");
        expect(preview).toMatch(/is reset to the snapshot/);
        expect(preview).toMatch(/\d+\. .*cluster-reset/);
        await program.up();
      });
      expect(await program.up()).toMatch(/3 unchanged/);
      expect(report.restored.location).toBe(location);
      for (const server of lab.k3s.servers) {
        const kept = await server.exec(`ls -d ${lab.k3s.dataDir}/server/db/etcd.before-* | wc -l`);
        expect(kept.trim()).toBe("2");
      }
    });

    test("the same restore again, by an operator without Pulumi's state, executes nothing that changes anything", async () => {
      const marker = JSON.parse(
        await lab.lab.machine("s1").exec("cat /var/lib/etcd-backup/demo/restored.json"),
      ) as Marker;
      await closeConnections();
      const records = await Promise.all(lab.lab.machines.map((machine) => machine.record()));
      const again = await restoreSnapshot(lab.cluster, request(marker.report.restored.location), call);
      const executed = await Promise.all(records.map((record) => record.stop()));
      expect(again).toEqual(marker.report);
      expect(executed.flatMap(changingCommands)).toEqual([]);
      // The tripwire was armed: it saw us look.
      expect(executed.every((record) => record.includes("systemctl"))).toBe(true);
    });

    /** Lets `work` restore, and proves all that a restore has to keep. */
    async function proven(canary: Canary, work: () => Promise<void>): Promise<RestoreReport> {
      await writeAfter(lab.k3s, canary.name);
      const before = await look();
      await work();
      await proveK3sRestored(lab.k3s, canary);
      const after = await look();
      expect(after.files).toEqual(before.files);
      for (const [index, server] of lab.k3s.servers.entries()) {
        expect([server.name, after.snapshots[index]]).toEqual([
          server.name,
          expect.arrayContaining([...(before.snapshots[index] ?? [])]),
        ]);
        expect([server.name, await leftovers(lab.k3s, server)]).toEqual([server.name, []]);
        expect(await server.exec("tail -n 1 /var/lib/etcd-backup/demo/journal")).toMatch(/^closed\t\d+\tdone/);
      }
      const { report } = JSON.parse(
        await lab.lab.machine("s1").exec("cat /var/lib/etcd-backup/demo/restored.json"),
      ) as Marker;
      const data = report.setAside.filter((place) => place.includes("/etcd.before-"));
      expect(data).toHaveLength(machines.length);
      // Whose data it was, on the server that the reset made another.
      const others = report.setAside.filter((place) => !data.includes(place));
      expect(others).toEqual([expect.stringMatching(/^s1:.*\/server\/before-[0-9TZ]+/)]);
      for (const place of data) {
        const [, server = "", folder = ""] = /^([^:]+):(.*)$/.exec(place) ?? [];
        const kept = await lab.lab
          .machine(server)
          .exec(`grep -rlF 'after/${canary.name}' '${folder}' && stat -c %a '${folder}'`);
        expect(kept).toMatch(/700\n$/);
      }
      expect(report.safetySnapshots).toHaveLength(1);
      return report;
    }

    function request(snapshot: string): RestoreRequest {
      const s3 = snapshot.startsWith("s3:") ? { s3: lab.s3Settings } : {};
      return { snapshot, ...s3, triggers: [], safetySnapshot: true, bumpRevision: false };
    }

    interface Before {
      readonly files: readonly string[];
      readonly snapshots: readonly (readonly string[])[];
    }

    async function look(): Promise<Before> {
      const ask = <T>(what: (server: Machine) => Promise<T>): Promise<T[]> => Promise.all(lab.k3s.servers.map(what));
      return {
        files: await ask((server) => usersFiles(lab.k3s, server)),
        snapshots: await ask((server) => localSnapshots(lab.k3s, server)),
      };
    }
  },
);
