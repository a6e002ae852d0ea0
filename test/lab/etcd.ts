import { copyFileSync, chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Certificate } from "./certificates";
import type { EtcdVersion } from "./equipment";
import { etcdFiles } from "./etcd-files";
import { type EtcdOracle, openOracle } from "./etcd-oracle";
import type { LabParts } from "./lab";
import type { Machine } from "./machine";

export interface EtcdOptions {
  /** @default "3.6" */
  readonly version?: EtcdVersion;
  /** Names of machines. @default all of the lab */
  readonly members?: readonly string[];
  /** @default true */
  readonly tls?: boolean;
  /** Where etcd's settings are: in `ExecStart`, in `/etc/etcd/etcd.env`, or in `/etc/etcd/etcd.yaml`. @default "flags" */
  readonly configuration?: EtcdConfiguration;
  /** @default "/var/lib/etcd" */
  readonly dataDir?: string;
  /** For example `/var/lib/etcd-wal/wal`: etcd makes it, in a folder that it owns. @default inside the data directory */
  readonly walDir?: string;
  /** etcd's own authentication is on, with this password (no white space) of its user root. @default off */
  readonly rootPassword?: string;
  /** Tools that the machines do not get. @default both are there, as far as the version has them */
  readonly without?: readonly ("etcdctl" | "etcdutl")[];
  /** @default "etcd.service" */
  readonly unit?: string;
}

export type EtcdConfiguration = "flags" | "env" | "config-file";

export interface EtcdCluster extends EtcdOracle {
  readonly version: EtcdVersion;
  readonly members: readonly Machine[];
  /** The client URLs of all members. */
  readonly endpoints: readonly string[];
  /** The files of a client on this machine, in PEM; undefined without TLS. On the members the same lie in /etc/etcd/pki. */
  readonly client: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
}

/** Installs etcd on machines as one new cluster and starts it. Resolves when all members are healthy. */
export async function startEtcd(lab: LabParts, options: EtcdOptions = {}): Promise<EtcdCluster> {
  const { version = "3.6", tls = true, rootPassword, without = [], unit = "etcd.service" } = options;
  const { dataDir = "/var/lib/etcd", walDir, configuration = "flags" } = options;
  const members = lab.machines.filter(({ name }) => options.members?.includes(name) ?? true);
  const scheme = tls ? "https" : "http";
  const client = await lab.authority.issue("etcd-client");
  const initialCluster = members.map(({ name, address }) => `${name}=${scheme}://${address}:2380`).join(",");

  await Promise.all(
    members.map(async (machine) => {
      for (const binary of ["etcd", "etcdctl", "etcdutl"] as const) {
        const absent = binary !== "etcd" && (without.includes(binary) || (binary === "etcdutl" && version === "3.4"));
        if (absent) continue;
        const target = join(machine.root, "usr/local/bin", binary);
        copyFileSync(join(lab.equipment.etcd[version], binary), target);
        chmodSync(target, 0o755);
      }
      if (tls) await writeCertificates(lab, machine, client);
      const written = etcdFiles({ machine, initialCluster, scheme, dataDir, walDir, configuration, unit, tls });
      for (const [path, content] of Object.entries(written)) {
        mkdirSync(dirname(join(machine.root, path)), { recursive: true });
        writeFileSync(join(machine.root, path), content, { mode: 0o644 });
      }
      const folders = [dataDir, ...(walDir === undefined ? [] : [dirname(walDir)])];
      await machine.exec(`set -eu
id etcd >/dev/null 2>&1 || useradd --system --user-group --home-dir ${dataDir} --shell /usr/sbin/nologin etcd
for folder in ${folders.join(" ")}; do [ -d "$folder" ] || install -d -m 700 -o etcd -g etcd "$folder"; done
[ ! -d /etc/etcd/pki ] || chown -R etcd:etcd /etc/etcd/pki
systemctl daemon-reload
systemctl --quiet enable ${unit}`);
    }),
  );
  // Each waits for the others before it says that it has started.
  await Promise.all(
    members.map((machine) =>
      machine.exec(`systemctl start ${unit} || { journalctl --no-pager --unit ${unit} | tail -n 20; exit 1; }`),
    ),
  );
  const cluster = openCluster({ lab, members, version, scheme, client, password: undefined });
  await cluster.healthy();
  if (rootPassword === undefined) return cluster;
  const [first] = members;
  if (first === undefined) throw new Error("a cluster needs a member");
  await cluster.etcdctl(first, ["user", "add", "root", "--interactive=false"], { stdin: `${rootPassword}\n` });
  await cluster.etcdctl(first, ["user", "grant-role", "root", "root"]);
  await cluster.etcdctl(first, ["auth", "enable"]);
  return openCluster({ lab, members, version, scheme, client, password: rootPassword });
}

interface OpenOptions {
  readonly lab: LabParts;
  readonly members: readonly Machine[];
  readonly version: EtcdVersion;
  readonly scheme: "http" | "https";
  readonly client: Certificate;
  readonly password: string | undefined;
}

function openCluster({ lab, members, version, scheme, client, password }: OpenOptions): EtcdCluster {
  const endpointOf = ({ address }: Machine): string => `${scheme}://${address}:2379`;
  const endpoints = members.map(endpointOf);
  const files = ["--cacert", lab.authority.caPath, "--cert", client.certPath, "--key", client.keyPath];
  const env = { ETCDCTL_API: "3", ...(password === undefined ? {} : { ETCDCTL_USER: `root:${password}` }) };
  const etcdctl: EtcdCluster["etcdctl"] = async (member, words, options = {}) => {
    const target = words.some((word) => word.startsWith("--endpoints")) ? [] : ["--endpoints", endpointOf(member)];
    const all = [...target, ...(scheme === "https" ? files : []), ...words];
    const { stdout, stderr, code } = await member.inNetwork(join(lab.equipment.etcd[version], "etcdctl"), all, {
      env,
      ...options,
    });
    if (code !== 0)
      throw new Error(`${member.name}: etcdctl ${words.join(" ")}: exit code ${code}\n${stderr}${stdout}`.trim());
    return stdout;
  };
  return {
    ...{ version, members, endpoints },
    client: scheme === "https" ? { ca: lab.authority.caPem, cert: client.cert, key: client.key } : undefined,
    ...openOracle({ members: () => members, endpointOf, etcdctl }),
  };
}

/** A member's own files, and a client's: as an administrator lays them out. */
async function writeCertificates({ authority }: LabParts, machine: Machine, client: Certificate): Promise<void> {
  const names = [machine.address, "127.0.0.1", machine.name, "localhost"];
  const [server, peer] = await Promise.all([
    authority.issue(`${machine.name}-server`, names),
    authority.issue(`${machine.name}-peer`, names),
  ]);
  const folder = join(machine.root, "etc/etcd/pki");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "ca.crt"), authority.caPem, { mode: 0o644 });
  for (const [name, { cert, key }] of Object.entries({ server, peer, client })) {
    writeFileSync(join(folder, `${name}.crt`), cert, { mode: 0o644 });
    writeFileSync(join(folder, `${name}.key`), key, { mode: 0o600 });
  }
}
