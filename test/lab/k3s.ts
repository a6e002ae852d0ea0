import { randomBytes } from "node:crypto";
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { repository } from "./equipment";
import { type EtcdOracle, openOracle } from "./etcd-oracle";
import { k3sFiles, k3sNames, type K3sConfiguration, type K3sDistribution } from "./k3s-files";
import type { LabParts } from "./lab";
import type { Machine } from "./machine";
import type { Finished } from "./process";
import { waitFor } from "./wait";

export interface K3sOptions {
  /** @default "k3s" */
  readonly distribution?: K3sDistribution;
  /** `old` is 1.26.9: before the changes that matter to snapshots and restores. @default "new" */
  readonly version?: "new" | "old";
  /** Names of machines. @default all of the lab, but the agents */
  readonly servers?: readonly string[];
  /** Names of machines that run the agent. @default none */
  readonly agents?: readonly string[];
  /** Where `cluster-init`, `server`, `token` and `data-dir` are given. @default "config-file" */
  readonly configuration?: K3sConfiguration;
  /** @default "/var/lib/rancher/k3s", "/var/lib/rancher/rke2" */
  readonly dataDir?: string;
  /** @default a random one */
  readonly token?: string;
  /** More keys of every server's config.yaml. */
  readonly extraConfig?: Readonly<Record<string, unknown>>;
}

export interface K3sMember {
  readonly name: string;
  readonly isLearner: boolean;
  readonly peerURLs: readonly string[];
}

/** A cluster of K3s or RKE2: of the stand-in, or of the binary that K3S_BIN names. */
export interface K3sCluster extends EtcdOracle {
  readonly distribution: K3sDistribution;
  /** What runs: a stand-in's results are called so. */
  readonly isStandIn: boolean;
  readonly servers: readonly Machine[];
  readonly token: string;
  readonly dataDir: string;
  kubectl(machine: Machine, words: readonly string[]): Promise<string>;
  /** The distribution's own command, whatever its exit code. */
  run(machine: Machine, words: readonly string[]): Promise<Finished>;
  members(machine?: Machine): Promise<readonly K3sMember[]>;
  /** Installs another server, and starts it unless told otherwise. From then on it is one of `servers`. */
  addServer(machine: Machine, options?: AddServerOptions): Promise<void>;
  /** A server that is gone: the oracles no longer ask it. */
  forget(machine: Machine): void;
}

export interface AddServerOptions {
  /** @default true */
  readonly start?: boolean;
  /** The server to join; `none` for the first of a cluster. @default the first that runs */
  readonly join?: Machine | "none";
  /** The installed token. @default the cluster's */
  readonly token?: string;
}

/** Installs K3s or RKE2 on machines as one new cluster and starts it, server by server. */
export async function startK3s(lab: LabParts, options: K3sOptions = {}): Promise<K3sCluster> {
  const { distribution = "k3s", agents = [], token = randomBytes(12).toString("hex") } = options;
  const names = k3sNames[distribution];
  const isAgent = ({ name }: Machine): boolean => agents.includes(name);
  let servers = lab.machines.filter((machine) => options.servers?.includes(machine.name) ?? !isAgent(machine));
  const { dataDir = names.dataDir } = options;
  const urlOf = ({ address }: Machine): string => `https://${address}:${names.supervisorPort}`;

  const addServer = async (machine: Machine, added: AddServerOptions): Promise<void> => {
    const join = added.join ?? servers.find((server) => server !== machine && server.isRunning);
    const first = join === undefined || join === "none";
    install(lab, machine, options, "server", {
      ...(first ? (distribution === "k3s" ? { "cluster-init": true } : {}) : { server: urlOf(join) }),
      token: added.token ?? token,
      ...(options.dataDir === undefined ? {} : { "data-dir": options.dataDir }),
    });
    await machine.exec(`systemctl daemon-reload && systemctl --quiet enable ${names.unit}`);
    if (added.start ?? true) await start(machine, names.unit);
  };

  const first = servers[0];
  if (first === undefined) throw new Error("a cluster needs a server");
  await addServer(first, { join: "none" });
  for (const machine of servers.slice(1)) await addServer(machine, { join: first });
  for (const machine of lab.machines.filter(isAgent)) {
    install(lab, machine, options, "agent", { server: urlOf(first), token });
    await machine.exec(`systemctl daemon-reload && systemctl --quiet enable ${names.agentUnit}`);
    await start(machine, names.agentUnit);
  }

  const pki = (machine: Machine, file: string): string => join(machine.root, dataDir, "server/tls/etcd", file);
  const endpointOf = ({ address }: Machine): string => `https://${address}:2379`;
  const etcdctl: EtcdOracle["etcdctl"] = async (machine, words, more = {}) => {
    const target = words.some((word) => word.startsWith("--endpoints")) ? [] : ["--endpoints", endpointOf(machine)];
    const files = [
      ...["--cacert", pki(machine, "server-ca.crt")],
      ...["--cert", pki(machine, "client.crt"), "--key", pki(machine, "client.key")],
    ];
    const binary = join(lab.equipment.etcd["3.6"], "etcdctl");
    const { stdout, stderr, code } = await machine.inNetwork(binary, [...target, ...files, ...words], more);
    if (code === 0) return stdout;
    throw new Error(`${machine.name}: etcdctl ${words.join(" ")}: exit code ${code}\n${stderr}${stdout}`.trim());
  };
  const oracle = openOracle({ members: () => servers, endpointOf, etcdctl });
  const kubectl =
    distribution === "k3s" ? "k3s kubectl" : `${dataDir}/bin/kubectl --kubeconfig ${names.configDir}/rke2.yaml`;
  const cluster: K3sCluster = {
    ...{ distribution, token, dataDir, isStandIn: realBinary(distribution) === undefined },
    get servers() {
      return servers;
    },
    ...oracle,
    healthy: async ({ deadlineMs = 60_000 } = {}) => {
      await oracle.healthy({ deadlineMs });
      const ask = async (): Promise<true> => {
        const voters = (await cluster.members()).filter(({ isLearner }) => !isLearner);
        if (voters.length !== servers.length) throw new Error(`voters: ${voters.map(({ name }) => name).join(", ")}`);
        for (const machine of servers) await machine.exec("curl -kfsS --max-time 5 https://127.0.0.1:6443/readyz");
        return true;
      };
      await waitFor("all servers are voters and answer", ask, { deadlineMs, everyMs: 300 });
    },
    kubectl: (machine, words) => machine.exec(`${kubectl} ${words.map(quoted).join(" ")}`),
    run: (machine, words) => machine.tryExec(`${distribution} ${words.map(quoted).join(" ")}`),
    members: async (machine = servers.find(({ isRunning }) => isRunning)) => {
      if (machine === undefined) throw new Error("no server is running");
      const listed = JSON.parse(await etcdctl(machine, ["member", "list", "--write-out=json"])) as {
        readonly members: readonly Partial<K3sMember>[];
      };
      return listed.members.map(({ name = "", isLearner = false, peerURLs = [] }) => ({ name, isLearner, peerURLs }));
    },
    addServer: async (machine, added = {}) => {
      await addServer(machine, added);
      if (!servers.includes(machine)) servers = [...servers, machine];
    },
    forget: (machine) => {
      servers = servers.filter((server) => server !== machine);
    },
  };
  await cluster.healthy();
  return cluster;
}

/** The real binary, where there is one: of K3s only. */
function realBinary(distribution: K3sDistribution): string | undefined {
  return distribution === "k3s" ? process.env["K3S_BIN"] : undefined;
}

function install(
  lab: LabParts,
  machine: Machine,
  { distribution = "k3s", version = "new", configuration = "config-file", extraConfig = {} }: K3sOptions,
  role: "server" | "agent",
  settings: Readonly<Record<string, string | boolean>>,
): void {
  const names = k3sNames[distribution];
  const real = realBinary(distribution);
  const put = (path: string, content: string, mode: number): void => {
    const target = join(machine.root, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content, { mode });
    chmodSync(target, mode);
  };
  const binary = join(machine.root, names.binary);
  mkdirSync(dirname(binary), { recursive: true });
  rmSync(binary, { force: true });
  copyFileSync(real ?? join(lab.equipment.k3sStandIn, "k3s-stand-in"), binary);
  chmodSync(binary, 0o755);
  const killall = join(machine.root, names.killall);
  copyFileSync(join(repository, "test/lab/stand-ins/k3s/scripts", basename(names.killall)), killall);
  chmodSync(killall, 0o755);
  if (version === "old")
    put("/etc/stand-in-version", distribution === "k3s" ? "v1.26.9+k3s1\n" : "v1.26.9+rke2r1\n", 0o644);
  // The real one needs a kubelet for more than this machine has.
  const extraArguments = real === undefined || role === "agent" ? [] : ["--disable-agent", "--flannel-backend=none"];
  const files = k3sFiles({
    ...{ distribution, role, configuration, settings, extraArguments },
    extraConfig: role === "server" ? extraConfig : {},
  });
  for (const [path, [content, mode]] of Object.entries(files)) put(path, content, mode);
}

async function start(machine: Machine, unit: string): Promise<void> {
  await machine.exec(
    `timeout 90 systemctl start ${unit} || { journalctl --no-pager -o cat -u ${unit} | grep -v '^{' | tail -n 30; exit 1; }`,
    {
      timeoutMs: 100_000,
    },
  );
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
