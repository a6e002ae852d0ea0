// Secrets of K3s and RKE2 on their ways: the server token, S3's keys, a session's token, presigned URLs.
import { readFileSync } from "node:fs";
import type { Machine } from "../lab/machine";
import { type K3sOptions } from "../lab/k3s";
import { k3sNames } from "../lab/k3s-files";
import { createK3sProgram, type K3sLab, labelOf, startK3sLab } from "../support/k3s-program";
import { usersFiles } from "../support/k3s-restore-oracles";
import type { LabProgram } from "../support/lab-program";
import {
  markTime,
  secretFiles,
  type Secrets,
  secretsIn,
  secretsInState,
  spellings,
  tracedUp,
  watchFiles,
  withoutDumps,
  withoutLog,
} from "../support/secret-hunt";

const token = "token-secret-4713";
const sessionToken = "session-secret-4714";

interface Setup {
  readonly distribution: "k3s" | "rke2";
  readonly machines: readonly string[];
  readonly how: string;
  readonly options: K3sOptions;
  /** What the backups' `s3` has beside the rest. */
  readonly s3: string;
  /** Who sends the first snapshot to S3. */
  readonly sends: "the distribution" | "we";
}

const setups: readonly Setup[] = [
  {
    ...{ distribution: "k3s", machines: ["s1", "s2"], how: "token in ExecStart, S3's keys in our drop-in" },
    ...{ options: { configuration: "exec-start" }, s3: "", sends: "the distribution" },
  },
  {
    ...{ distribution: "rke2", machines: ["s1"], how: "token in the environment file, S3's keys in a Secret" },
    ...{ options: { configuration: "env-file" }, s3: `configSecret: "s3-keys",`, sends: "we" },
  },
];

describe.each(setups.map((setup) => ({ ...setup, label: labelOf(setup.distribution) })))(
  "$label, $how",
  ({ distribution, machines, options, s3: ownS3, sends }) => {
    const names = k3sNames[distribution];
    const dropIns = `${names.configDir}/config.yaml.d`;
    let lab: K3sLab;
    let program: LabProgram;
    let secrets: Secrets;
    /** Everything that was started, with arguments and environment. */
    let onServers: string;
    let onRunner = "";
    let printed = "";
    let seen: readonly string[];
    let before: readonly string[];

    beforeAll(async () => {
      lab = await startK3sLab({ machines, k3s: { distribution, token, ...options } });
      secrets = {
        ...spellings("the token", token),
        ...spellings("the session's token", sessionToken),
        ...spellings("the S3 key", lab.s3.secretAccessKey),
        "the SSH key": lab.lab.sshKey.privateKey.split("\n")[2] ?? "",
        "a presigned URL": "X-Amz-Signature",
      };
      await each(markTime);
      before = await each((machine) => usersFiles(lab.k3s, machine));
      program = await createK3sProgram(lab, resources(""));
      const records = await each((machine) => machine.record());
      const watches = lab.lab.machines.map((machine) => watchFiles(machine, [dropIns, "/var/lib/etcd-backup/demo"]));
      await up();
      program.write(resources(`snapshot: "${await program.output("ours")}"`));
      await up();
      seen = (await Promise.all(watches.map((watch) => watch.stop()))).flat();
      onServers = (await Promise.all(records.map((record) => record.stop()))).join("\n");
    }, 400_000);
    afterAll(() => lab.lab.down());

    test("what was to be recorded happened", () => {
      expect(printed).toContain("BackupConfig demo created");
      expect(printed).toContain("SnapshotRestore restore created");
      expect(onServers).toMatch(/"--cluster-reset"/);
      expect(onServers).toMatch(/"etcd-snapshot", "save", "--name=theirs"/);
      const unsent = /"--name=theirs"[^\n]*"--etcd-s3=false"/;
      if (sends === "we") expect(onServers).toMatch(unsent);
      else expect(onServers).not.toMatch(unsent);
      expect(onServers).toMatch(/"--name=ours"[^\n]*"--etcd-s3=false"/);
      expect(onServers).toMatch(/"[^"]*\/curl", \[/);
      // A token that systemd itself hands over, by the user's own unit.
      expect(secretsIn(onServers, secrets)).toEqual(["the token"]);
    });

    test("no secret is an argument or in the environment of a program on the servers", () => {
      const lines = onServers.split("\n").map(withoutTheUsersOwn);
      expect(lines.filter((line) => secretsIn(line, secrets).length > 0)).toEqual([]);
    });

    test("nor of one on the machine that Pulumi runs on", () => {
      expect(onRunner).toMatch(/pulumi-resource-pulumi-nodejs/);
      expect(secretsIn(onRunner, secrets)).toEqual([]);
    });

    test("no secret is in Pulumi's output, nor in its debug log but where the engine writes down what it sends and receives", () => {
      const { dumped, others } = withoutDumps(printed);
      expect(printed).toMatch(/"level":"INFO".*"v":9/);
      expect(secretsIn(others, secrets)).toEqual([]);
      expect(secretsIn(dumped, secrets)).not.toContain("a presigned URL");
    });

    test("no secret is in plain text in the state, its history or the stack's file", () => {
      expect(readFileSync(program.stateFile, "utf8")).toContain("BackupConfig");
      expect(secretsInState(program, secrets)).toEqual([]);
    });

    test("no secret is in a file on the servers that others may read, nor in their journal", async () => {
      for (const machine of lab.lab.machines) {
        const { open, all, journal } = await secretFiles(machine, secrets);
        expect([machine.name, open, journal]).toEqual([machine.name, [], []]);
        // The distribution's own data; and journald notes the arguments of what logs: those of the user's unit.
        const own = [
          `${lab.k3s.dataDir}/server/`,
          ...(options.configuration === "exec-start" ? ["/var/log/journal/"] : []),
        ];
        const outside = all.filter((path) => !own.some((folder) => path.startsWith(folder)));
        const ours = ownS3 === "" ? [`${dropIns}/60-etcd-backup.yaml`] : [];
        expect([machine.name, outside]).toEqual([machine.name, ours]);
      }
    });

    test("what tells a reset and a joining server more was for root alone, and is gone", async () => {
      const temporary = seen.filter((line) =>
        /~~~etcd-backup|reset\.(env|log)|\/(snapshot|token|[^/]*\.key)(\.\w+)? /.test(line),
      );
      expect(temporary.map((line) => line.replace(/ .*/, ""))).toEqual(
        expect.arrayContaining([expect.stringContaining(dropIns), expect.stringContaining("reset.env")]),
      );
      expect(temporary.filter((line) => !/ [46]00$/.test(line))).toEqual([]);
      for (const machine of lab.lab.machines) {
        expect(
          (await machine.exec(`ls ${dropIns}; ls -d /var/lib/etcd-backup/demo/restore-* 2>/dev/null || :`)).trim(),
        ).toBe("60-etcd-backup.yaml");
      }
    });

    test("the user's own files are the same, byte for byte", async () => {
      expect(await each((machine) => usersFiles(lab.k3s, machine))).toEqual(before);
    });

    test("no secret is in what an error tells, even of a log that has one", async () => {
      // A reset knows the keys of its settings; those of a Secret it is never told.
      const said =
        ownS3 === "" ? `cannot use ${token} with ${lab.s3.secretAccessKey}` : `cannot use ${token} with none`;
      await each((machine) =>
        machine.exec(`mkdir -p /run/stand-in-faults; cat >/run/stand-in-faults/reset-fails`, { stdin: said }),
      );
      program.write(resources(`snapshot: "${await program.output("ours")}", triggers: ["again"]`));
      const failed = await program.pulumiFails("up", "--yes", "--skip-preview");
      expect(failed).toMatch(/RESTORE_ABANDONED[\s\S]*cannot use \[secret\] with (\[secret\]|none)/);
      expect(secretsIn(failed, secrets)).toEqual([]);
      await each((machine) => machine.exec("rm -r /run/stand-in-faults"));
      const wrong = "another-secret-4715";
      program.write(
        resources(`snapshot: "${await program.output("ours")}", triggers: ["again"]`, { restoreToken: wrong }),
      );
      const refused = await program.pulumiFails("up", "--yes", "--skip-preview");
      expect(refused).toContain("the snapshot was taken with another server token");
      expect(secretsIn(refused, { ...secrets, "the wrong token": wrong })).toEqual([]);
      expect(secretsInState(program, { ...secrets, "the wrong token": wrong })).toEqual([]);
      // Without a store that issues such tokens, this is what can be seen of one.
      program.write(resources("", { more: `sessionToken: pulumi.secret("${sessionToken}")` }));
      const denied = await program.pulumiFails("up", "--yes", "--skip-preview");
      expect(denied).toContain("STORE_DENIED");
      expect(secretsIn(denied, secrets)).toEqual([]);
      expect(secretsInState(program, secrets)).toEqual([]);
      await lab.k3s.healthy();
    });

    async function up(): Promise<void> {
      const done = await tracedUp(program);
      if (done.code !== 0) throw new Error(withoutLog(done.printed).slice(-3000));
      onRunner += done.executed;
      printed += done.printed;
    }

    /** Backups, snapshots that the distribution and we send to S3 and, in a second update, a restore: whatever handles a secret. */
    function resources(restore: string, { restoreToken = token, more = "" } = {}): string {
      return `const secured = ${distribution}({ ...cluster, token: pulumi.secret("${token}") });
        const keys = { ...s3, ${more} };
        const backups = new BackupConfig("demo", { cluster: secured, schedule: "30 3 * * *", s3: { ...keys, ${ownS3} } });
        const of = (name, folder) => new Snapshot(name, { cluster: secured, name, s3: { ...keys, folder } }, { dependsOn: backups });
        exports.theirs = of("theirs", undefined).location;
        exports.ours = of("ours", "elsewhere").location;
        ${restore === "" ? "" : `new SnapshotRestore("restore", { cluster: secured, s3: { ...keys, folder: "elsewhere" }, ${restore}, token: pulumi.secret("${restoreToken}") });`}`;
    }

    function each<T>(work: (machine: Machine) => Promise<T>): Promise<T[]> {
      return Promise.all(lab.lab.machines.map(work));
    }

    /** An exec without the token that the user's own unit has as an argument of its server, or in its environment. */
    function withoutTheUsersOwn(line: string): string {
      const ofUnit = line.includes('"INVOCATION_ID=');
      const isServer =
        line.includes(`execve("${names.binary}", ["${names.binary}", "server"`) && !line.includes("--cluster-reset");
      return line
        .replaceAll(ofUnit && isServer ? `"--token", "${token}"` : "\0", "")
        .replaceAll(ofUnit ? `"${names.variables}_TOKEN=${token}"` : "\0", "");
    }
  },
);
