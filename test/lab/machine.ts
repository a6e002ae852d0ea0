import { readFileSync, readdirSync, writeFileSync, existsSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { join } from "node:path";
import type { ControlGroup } from "./control-group";
import { type ExecRecord, recordExecs } from "./exec-record";
import { finish, type Finished, isAlive, type ProcessMark } from "./process";
import { waitFor } from "./wait";

/** A machine of the lab: Debian 12 with its own systemd, sshd, network and file system. */
export interface Machine {
  readonly name: string;
  readonly address: string;
  /** Its root file system, as seen from here. */
  readonly root: string;
  readonly isRunning: boolean;
  /** Starts it. Resolves when systemd has started everything and sshd answers. */
  boot(): Promise<void>;
  /** Shuts it down in order. */
  powerOff(): Promise<void>;
  /** Kills it, without any shutdown. See the head of `lab.ts` for what this does not show. */
  powerLoss(): Promise<void>;
  /** Runs a script as root, not through SSH: neither sshd nor a record sees it. Returns its output; rejects unless it exits 0. */
  exec(script: string, options?: ExecOptions): Promise<string>;
  /** The same, whatever the exit code. */
  tryExec(script: string, options?: ExecOptions): Promise<Finished>;
  /** Runs a program of *this* machine in the network of that one. */
  inNetwork(command: string, words: readonly string[], options?: NetworkOptions): Promise<Finished>;
  /** Records every exec from now on, by sshd and by systemd, with arguments and environment. */
  record(): Promise<ExecRecord>;
  /** Makes the user `operator`, who logs in with the lab's key or with a password, and becomes root by sudo as asked. */
  addOperator(options: OperatorOptions): Promise<void>;
}

export interface ExecOptions {
  readonly stdin?: string;
  /** @default 60 000 */
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

export interface NetworkOptions extends ExecOptions {
  readonly cwd?: string;
}

export interface OperatorOptions {
  readonly password: string;
  readonly sudo: "with password" | "without password" | "refused";
  /** sudo refuses to work without a terminal. @default false */
  readonly requiretty?: boolean;
}

interface Placement {
  readonly labId: string;
  readonly name: string;
  readonly address: string;
  readonly directory: string;
  readonly bridge: string;
  readonly group: ControlGroup;
  readonly publicKey: string;
}

/** The machine whose disk lies in `directory`, running or not. */
export function openMachine(placement: Placement): Machine {
  const { labId, name, address, directory, bridge, group } = placement;
  const root = join(directory, "root");
  const markFile = join(directory, "process.json");

  const supervisor = (): ProcessMark | undefined => {
    const mark = existsSync(markFile) ? (JSON.parse(readFileSync(markFile, "utf8")) as ProcessMark) : undefined;
    return mark !== undefined && isAlive(mark) ? mark : undefined;
  };
  const init = (): number => {
    const found = initOf(supervisor()?.pid);
    if (found === undefined) throw new Error(`${name} is not running`);
    return found;
  };
  const gone = (deadlineMs: number): Promise<true> =>
    waitFor(`${name} is off`, () => (supervisor() === undefined ? true : undefined), { deadlineMs });

  const machine: Machine = {
    name,
    address,
    root,
    get isRunning() {
      return supervisor() !== undefined;
    },
    boot: async () => {
      if (machine.isRunning) throw new Error(`${name} is running already`);
      const words = [
        ...["--quiet", "--boot", "--settings=no", "--register=no", "--keep-unit", "--link-journal=no"],
        ...["--resolv-conf=off", "--timezone=off", "--console=read-only", `--directory=${root}`],
        // The name is that of a network link too, so two labs need two. What the machine calls itself is the short one.
        ...[`--machine=${name}-${labId}`, `--hostname=${name}`, `--network-bridge=${bridge}`],
      ];
      const mark = group.start(name, "systemd-nspawn", words, { log: join(directory, "console.log") });
      writeFileSync(markFile, JSON.stringify(mark));
      await waitFor(
        `${name} has booted`,
        async () => {
          if (!machine.isRunning) throw new Error(readFileSync(join(directory, "console.log"), "utf8").slice(-1000));
          const { stdout } = await machine.tryExec("systemctl is-system-running");
          if (["running", "degraded"].includes(stdout.trim())) return true;
          throw new Error(stdout.trim());
        },
        { deadlineMs: 60_000 },
      );
      await waitFor(`${name} answers SSH`, () => answersSsh(address), { deadlineMs: 30_000 });
    },
    powerOff: async () => {
      process.kill(init(), SIGRTMIN + 4);
      await gone(60_000);
    },
    powerLoss: async () => {
      process.kill(init(), "SIGKILL");
      await gone(20_000);
    },
    exec: async (script, options) => {
      const { stdout, stderr, code } = await machine.tryExec(script, options);
      if (code !== 0) throw new Error(`${name}: ${script.slice(0, 300)}: exit code ${code}\n${stderr}${stdout}`.trim());
      return stdout;
    },
    tryExec: async (script, { env = {}, ...options } = {}) => {
      const namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"];
      return finish("nsenter", ["--target", String(init()), ...namespaces, "--", "/bin/sh", "-c", script], {
        ...options,
        env: {
          PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
          HOME: "/root",
          LC_ALL: "C",
          ...env,
        },
      });
    },
    inNetwork: async (command, words, { env = {}, ...options } = {}) =>
      finish("nsenter", ["--target", String(init()), "--net", "--", command, ...words], {
        ...options,
        env: { PATH: process.env["PATH"], HOME: "/nonexistent", LC_ALL: "C", ...env },
      }),
    record: async () => {
      const sshd = (await machine.exec("pgrep -x sshd || true")).split("\n").filter((line) => line !== "");
      const seen = new Set(sshd.map(Number));
      // Sessions that are open already, too: their commands are no children of the sshd that listens.
      const pids = [init(), ...descendants(init()).filter((pid) => seen.has(pidInside(pid)))];
      const number = readdirSync(directory).filter((entry) => entry.endsWith(".strace")).length;
      return recordExecs(group, { pids, file: join(directory, `${number}.strace`) });
    },
    addOperator: async ({ password, sudo, requiretty = false }) => {
      const rule = { "with password": "ALL", "without password": "NOPASSWD: ALL", refused: undefined }[sudo];
      const sudoers = [
        ...(rule === undefined ? [] : [`operator ALL=(ALL:ALL) ${rule}`]),
        ...(requiretty ? ["Defaults requiretty"] : []),
      ];
      const script = `set -eu
id operator >/dev/null 2>&1 || useradd --create-home --shell /bin/sh --gid operator operator
chpasswd
install -d -m 700 -o operator -g operator /home/operator/.ssh
printf '%s\\n' "$KEY" >/home/operator/.ssh/authorized_keys
chown operator:operator /home/operator/.ssh/authorized_keys
printf '%s\\n' "$RULES" >/etc/sudoers.d/operator
chmod 440 /etc/sudoers.d/operator
visudo --check --quiet`;
      const env = { KEY: placement.publicKey, RULES: sudoers.join("\n") };
      await machine.exec(script, { stdin: `operator:${password}\n`, env });
    },
  };
  return machine;
}

const SIGRTMIN = 34;

/** The machine's own process 1: a child of systemd-nspawn, in a pid namespace of its own. */
function initOf(supervisor: number | undefined): number | undefined {
  return supervisor === undefined ? undefined : childrenOf(supervisor).find((pid) => pidInside(pid) === 1);
}

function descendants(pid: number): readonly number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendants(child)]);
}

function childrenOf(pid: number): readonly number[] {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    return threads.flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

function pidInside(pid: number): number {
  try {
    const [, numbers = ""] = /^NSpid:\s*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    const all = numbers.split(/\s+/);
    return all.length < 2 ? NaN : Number(all.at(-1));
  } catch {
    return NaN;
  }
}

function answersSsh(address: string): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host: address, port: 22, timeout: 1000 });
    const end = (answer: true | undefined): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.on("data", (data) => end(data.toString().startsWith("SSH-2.0-") ? true : undefined));
    socket.on("error", () => end(undefined));
    socket.on("timeout", () => end(undefined));
    socket.on("close", () => end(undefined));
  });
}
