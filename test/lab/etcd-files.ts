import type { EtcdConfiguration } from "./etcd";
import type { Machine } from "./machine";

interface FileOptions {
  readonly machine: Machine;
  readonly initialCluster: string;
  readonly scheme: "http" | "https";
  readonly dataDir: string;
  readonly walDir: string | undefined;
  readonly configuration: EtcdConfiguration;
  readonly unit: string;
  readonly tls: boolean;
}

/** The unit of one member and its configuration, by path: what an administrator would have written. */
export function etcdFiles(options: FileOptions): Readonly<Record<string, string>> {
  const unitPath = `/etc/systemd/system/${options.unit}`;
  const settings = etcdSettings(options);
  switch (options.configuration) {
    case "flags":
      return { [unitPath]: unitFile(`/usr/local/bin/etcd ${flags(settings).join(" \\\n  ")}`) };
    case "env":
      return {
        [unitPath]: unitFile("/usr/local/bin/etcd", "EnvironmentFile=/etc/etcd/etcd.env"),
        "/etc/etcd/etcd.env": environment(settings),
      };
    case "config-file":
      return {
        [unitPath]: unitFile("/usr/local/bin/etcd --config-file /etc/etcd/etcd.yaml"),
        "/etc/etcd/etcd.yaml": yaml(settings, options.tls),
      };
  }
}

const pki = "/etc/etcd/pki";

/** By name of the flag, without those for TLS: in the YAML file these have a form of their own. */
function etcdSettings(options: FileOptions): Readonly<Record<string, string>> {
  const { machine, initialCluster, scheme, dataDir, walDir, configuration, tls } = options;
  return {
    name: machine.name,
    "data-dir": dataDir,
    ...(walDir === undefined ? {} : { "wal-dir": walDir }),
    "listen-client-urls": `${scheme}://${machine.address}:2379,${scheme}://127.0.0.1:2379`,
    "advertise-client-urls": `${scheme}://${machine.address}:2379`,
    "listen-peer-urls": `${scheme}://${machine.address}:2380`,
    "initial-advertise-peer-urls": `${scheme}://${machine.address}:2380`,
    "initial-cluster": initialCluster,
    "initial-cluster-state": "new",
    "initial-cluster-token": "lab",
    ...(tls && configuration !== "config-file" ? tlsSettings : {}),
  };
}

const tlsSettings = {
  "trusted-ca-file": `${pki}/ca.crt`,
  "cert-file": `${pki}/server.crt`,
  "key-file": `${pki}/server.key`,
  "client-cert-auth": "true",
  "peer-trusted-ca-file": `${pki}/ca.crt`,
  "peer-cert-file": `${pki}/peer.crt`,
  "peer-key-file": `${pki}/peer.key`,
  "peer-client-cert-auth": "true",
};

/** A switch does not take its value as a word of its own. */
function flags(settings: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(settings).map(([name, value]) => (value === "true" ? `--${name}` : `--${name} ${value}`));
}

function environment(settings: Readonly<Record<string, string>>): string {
  const lines = Object.entries(settings).map(
    ([name, value]) => `ETCD_${name.toUpperCase().replaceAll("-", "_")}=${value}\n`,
  );
  return lines.join("");
}

function yaml(settings: Readonly<Record<string, string>>, tls: boolean): string {
  const security = (name: string, pair: string): string => `${name}:
  trusted-ca-file: ${pki}/ca.crt
  cert-file: ${pki}/${pair}.crt
  key-file: ${pki}/${pair}.key
  client-cert-auth: true
`;
  const plain = Object.entries(settings).map(([name, value]) => `${name}: ${value}\n`);
  const secured = tls
    ? security("client-transport-security", "server") + security("peer-transport-security", "peer")
    : "";
  return plain.join("") + secured;
}

function unitFile(command: string, environmentLine = ""): string {
  return `[Unit]
Description=etcd
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
User=etcd
${environmentLine}
ExecStart=${command}
Restart=on-failure
RestartSec=1
LimitNOFILE=65536
TimeoutStartSec=60

[Install]
WantedBy=multi-user.target
`.replace("\n\nExecStart", "\nExecStart");
}
