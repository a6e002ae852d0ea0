import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Cluster, DistributionName, Server } from "../../provider/model";
import { type FolderMachine, folderMachine } from "./folder-machine";
import { Gauge } from "./gauge";
import type { ScriptEnd } from "./script-channel";
import { generateKey, startSshServer } from "./ssh-server";

/** What a server of a fleet says to the look at it. What else it is asked, it really does. */
export interface FleetKind {
  readonly distribution: DistributionName;
  /** Makes what is on a server before we come. */
  prepare(machine: FolderMachine): void;
  /** The scripted answers; undefined for every other script. */
  answer(text: string, machine: FolderMachine): string | undefined;
}

export interface FleetServer {
  readonly name: string;
  readonly machine: FolderMachine;
  /** Texts of the scripts that reached it. */
  readonly scripts: string[];
  /** From now on: it loses its power in the middle of writing its first file. */
  losesPower: boolean;
  /** Answers again, where it did before. */
  reboot(): Promise<void>;
  stop(): Promise<void>;
}

/** Many servers behind SSH in this process, each a folder. */
export interface Fleet {
  readonly cluster: Cluster;
  readonly servers: readonly FleetServer[];
  readonly logins: Gauge;
  readonly running: Gauge;
  stop(): Promise<void>;
}

const user = generateKey();

export async function startFleet(kind: FleetKind, size: number): Promise<Fleet> {
  const [logins, running] = [new Gauge(), new Gauge()];
  const start = async (name: string): Promise<{ server: FleetServer; described: Server }> => {
    const machine = folderMachine();
    kind.prepare(machine);
    const scripts: string[] = [];
    const answer = async (text: string): Promise<ScriptEnd> => {
      scripts.push(text);
      const scripted = kind.answer(text, machine);
      // As long as a real one takes: else nothing would ever run at the same time.
      if (scripted !== undefined) return new Promise((end) => setTimeout(() => end({ stdout: scripted }), 20));
      if (!server.losesPower || !writes(text)) return machine.run(text);
      ssh.close();
      return machine.losePowerWhileWriting(text);
    };
    const options = { publicKeys: [user.public], answer, logins, running };
    let ssh = await startSshServer(options);
    const server: FleetServer = {
      ...{ name, machine, scripts, losesPower: false },
      reboot: async () => {
        server.losesPower = false;
        ssh = await startSshServer({ ...options, port: ssh.port });
      },
      stop: async () => {
        await ssh.stop();
        machine.remove();
      },
    };
    const { port, knownHosts } = ssh;
    return { server, described: { name, connection: { port, knownHosts } } };
  };
  const names = Array.from({ length: size }, (_, index) => `s${String(index + 1).padStart(2, "0")}`);
  const started = await Promise.all(names.map(start));
  return {
    cluster: {
      ...{ distribution: kind.distribution, name: "demo" },
      connection: { privateKey: user.private, host: "127.0.0.1", dialErrorLimit: 0 },
      servers: started.map(({ described }) => described),
    },
    ...{ servers: started.map(({ server }) => server), logins, running },
    stop: async () => {
      await Promise.all(started.map(({ server }) => server.stop()));
    },
  };
}

/** Whether a script writes files of ours, beside those of the lock. */
export function writes(text: string): boolean {
  return text.includes("mktemp");
}

const fixture = (path: string): string => readFileSync(join(__dirname, "../fixtures", path), "utf8");

/** A recorded answer with its mark, and with parts that are as they are now. */
function answerWith(recorded: string, mark: string, now: Readonly<Record<string, string>>): string {
  return recorded.replaceAll(/^=MARK (.*)\n((?:(?!=MARK ).*\n)*)/gm, (_, name: string, text: string) => {
    return `${mark} ${name}\n${now[name] ?? text}\n`;
  });
}

/** K3s as it was recorded, with the files that are in its folder now. */
export const k3sFleet: FleetKind = {
  distribution: "k3s",
  prepare: (machine) => {
    mkdirSync(join(machine.root, "etc/rancher/k3s"), { recursive: true });
  },
  answer: (text, machine) => {
    if (text.includes("=kubernetes")) return "\n=kubernetes end\n";
    const [, mark] = /^mark=(\S+) unit=k3s\.service /.exec(text) ?? [];
    if (mark === undefined) return undefined;
    const path = "/etc/rancher/k3s/config.yaml.d/60-etcd-backup.yaml";
    const ours = existsSync(join(machine.root, path))
      ? `${mark} file ${modeOf(machine, path)} root ${changedAt(machine, path)} ${path}\n${contentOf(machine, path)}\n`
      : "";
    return answerWith(fixture("embedded-etcd/config-file-running.txt"), mark, {}).replace(
      `\n${mark} looked\n`,
      `\n${ours}${mark} looked\n`,
    );
  },
};

const certificates = ["ca.crt", "server.crt", "server.key"].map((name) => `/etc/etcd/pki/${name}`);

/** Plain etcd as it was recorded, with the files and the timer that are there now. */
export const etcdFleet: FleetKind = {
  distribution: "etcd",
  prepare: (machine) => {
    for (const path of certificates) {
      mkdirSync(dirname(join(machine.root, path)), { recursive: true });
      writeFileSync(join(machine.root, path), "a certificate\n");
    }
    const told = `case "$*" in
daemon-reload | "enable ${TIMER}" | "restart ${TIMER}") echo "$*" >>/var/lib/told ;;
*) echo "nobody scripted systemctl $*" >&2; exit 1 ;;
esac`;
    machine.stub("systemctl", told);
  },
  answer: (text, machine) => {
    const [, mark] = /^mark=(\S+) unit='' etcdutl=/.exec(text) ?? [];
    if (mark === undefined) return undefined;
    const files = machine.files("etc").filter((path) => /etcd-backup/.test(path) && !/\.\w{6}$/.test(path));
    const folder = "/etc/etcd-backup/demo";
    const settings = `${folder}/settings`;
    const lines = files.map((path) => {
      const sha256 = createHash("sha256").update(contentOf(machine, path)).digest("hex");
      return `${modeOf(machine, path)} root ${changedAt(machine, path)} ${sha256} ${path}`;
    });
    const started = existsSync(join(machine.root, "lib/told")) && contentOf(machine, "/lib/told").includes("restart");
    const isThere = existsSync(join(machine.root, folder));
    return answerWith(fixture("etcd/flags-running.txt"), mark, {
      files: [
        ...(isThere ? [`${modeOf(machine, folder)} root ${changedAt(machine, folder)} - ${folder}`] : []),
        ...lines,
      ]
        .map((line) => `${line}\n`)
        .join(""),
      settings: files.includes(settings) ? contentOf(machine, settings) : "",
      ...(started
        ? {
            timer: `TimersCalendar={ OnCalendar=*-*-* 00,06,12,18:00:00 ; next_elapse=Sun 2026-11-22 00:00:00 UTC }
ActiveState=active
DropInPaths=
UnitFileState=enabled
NeedDaemonReload=no
`,
          }
        : {}),
    });
  },
};

const TIMER = "etcd-backup-demo.timer";

function contentOf({ root }: FolderMachine, path: string): string {
  return readFileSync(join(root, path), "utf8");
}

function modeOf({ root }: FolderMachine, path: string): string {
  return (statSync(join(root, path)).mode & 0o7777).toString(8);
}

function changedAt({ root }: FolderMachine, path: string): number {
  return Math.floor(statSync(join(root, path)).mtimeMs / 1000);
}
