import { effectiveSettings } from "../../provider/distributions/embedded-etcd/settings/config-files";
import type { ConfigFileFacts, DataFacts, EmbeddedFacts } from "../../provider/distributions/embedded-etcd/facts";
import type { Program } from "../../provider/distributions/embedded-etcd/program";

export interface GivenEmbeddedFacts extends Partial<Omit<EmbeddedFacts, "settings" | "configFiles" | "data">> {
  readonly configFiles?: readonly (Partial<ConfigFileFacts> & { readonly path: string })[];
  readonly data?: Partial<DataFacts>;
}

export const k3sProgram: Program = {
  ...{ name: "k3s", title: "K3s", prefix: "K3S" },
  ...{ configDir: "/etc/rancher/k3s", dataDir: "/var/lib/rancher/k3s" },
  ...{ unit: "k3s.service", agentUnit: "k3s-agent.service" },
  ...{ supervisorPort: 6443, supervisorPortSettings: ["supervisor-port", "https-listen-port"], needsKillScript: false },
  kubectl: (binary) => [binary, "kubectl"],
};

export const rke2Program: Program = {
  ...{ name: "rke2", title: "RKE2", prefix: "RKE2" },
  ...{ configDir: "/etc/rancher/rke2", dataDir: "/var/lib/rancher/rke2" },
  ...{ unit: "rke2-server.service", agentUnit: "rke2-agent.service" },
  ...{ supervisorPort: 9345, supervisorPortSettings: [], needsKillScript: true },
  kubectl: (_, dataDir) => [`${dataDir}/bin/kubectl`, "--kubeconfig", "/etc/rancher/rke2/rke2.yaml"],
};

/** A K3s server that has run for a day with embedded etcd and no settings of ours, except for what is given. */
export function embeddedFacts({ configFiles = [], data, ...own }: GivenEmbeddedFacts = {}): EmbeddedFacts {
  const server = own.server ?? "s1";
  const program = own.program ?? k3sProgram;
  const clock = own.clock ?? 1_767_225_600;
  const dataDir = own.dataDir ?? program.dataDir;
  const files = configFiles.map((file) => ({
    ...{ mode: "600", owner: "root", changedAt: clock - 2 * 86_400, text: "" },
    ...file,
  }));
  const { args = [], environment = [] } = own;
  return {
    ...{ server, program, unit: program.unit, unitActive: true, running: true, startedAt: clock - 86_400, clock },
    ...{ version: `v1.35.4+${program.name === "k3s" ? "k3s1" : "rke2r1"}`, etcdVersion: "3.6.7" },
    ...{ binary: `/usr/local/bin/${program.name}`, environmentFiles: [], supervisorPort: program.supervisorPort },
    ...{ configFile: `${program.configDir}/config.yaml`, configFiles: files },
    ...{ nodeName: server, address: "10.0.0.11", dataDir, snapshotDirectory: `${dataDir}/server/db/snapshots` },
    ...{ supervisorPort: program.supervisorPort },
    ...{ hasNodePassword: true, snapshots: [], killScript: undefined, tokenHash: "544ad39d2d5a" },
    tools: new Set(["curl", "flock", "gzip", "sha256sum", "systemd-run"]),
    member: {
      ...{ name: `${server}-0a1b2c3d`, peerUrls: ["https://10.0.0.11:2380"], endpoint: "https://127.0.0.1:2379" },
      cacert: `${dataDir}/server/tls/etcd/server-ca.crt`,
      cert: `${dataDir}/server/tls/etcd/client.crt`,
      key: `${dataDir}/server/tls/etcd/client.key`,
    },
    ...{ boot: "boot-1", journal: "", marker: "", lease: "" },
    ...own,
    ...{ args, environment },
    settings: effectiveSettings({
      ...{ prefix: program.prefix, files, args },
      environment: environment.map((one) => ({ ...one, source: program.unit })),
    }),
    data: {
      ...{ hasEtcd: true, hasSqlite: false, databaseBytes: 400_000 },
      ...data,
    },
  };
}
