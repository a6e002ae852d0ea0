import { readFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./equipment";

export type K3sDistribution = "k3s" | "rke2";

/** Where `cluster-init`, `server`, `token` and `data-dir` are given. */
export type K3sConfiguration = "config-file" | "exec-start" | "env-file";

/** The names in which the two differ. */
export const k3sNames = {
  k3s: {
    binary: "/usr/local/bin/k3s",
    unit: "k3s.service",
    agentUnit: "k3s-agent.service",
    configDir: "/etc/rancher/k3s",
    dataDir: "/var/lib/rancher/k3s",
    envFile: "/etc/systemd/system/k3s.service.env",
    agentEnvFile: "/etc/systemd/system/k3s-agent.service.env",
    killall: "/usr/local/bin/k3s-killall.sh",
    supervisorPort: 6443,
    variables: "K3S",
  },
  rke2: {
    binary: "/usr/local/bin/rke2",
    unit: "rke2-server.service",
    agentUnit: "rke2-agent.service",
    configDir: "/etc/rancher/rke2",
    dataDir: "/var/lib/rancher/rke2",
    envFile: "/etc/default/rke2-server",
    agentEnvFile: "/etc/default/rke2-agent",
    killall: "/usr/local/bin/rke2-killall.sh",
    supervisorPort: 9345,
    variables: "RKE2",
  },
} as const satisfies Record<K3sDistribution, unknown>;

interface FileOptions {
  readonly distribution: K3sDistribution;
  readonly role: "server" | "agent";
  readonly configuration: K3sConfiguration;
  /** What has to be said once: the keys are those of config.yaml. */
  readonly settings: Readonly<Record<string, string | boolean>>;
  readonly extraConfig: Readonly<Record<string, unknown>>;
  /** Arguments that are on the command line in any case. */
  readonly extraArguments: readonly string[];
}

/** The unit, its environment and the configuration of one machine, by path: content and mode. What installer and administrator would have written. */
export function k3sFiles(options: FileOptions): Readonly<Record<string, readonly [content: string, mode: number]>> {
  const { distribution, role, configuration, settings, extraConfig, extraArguments } = options;
  const names = k3sNames[distribution];
  const inConfig = { ...(configuration === "config-file" ? settings : {}), ...extraConfig };
  const words = [
    ...(configuration === "exec-start"
      ? Object.entries(settings).flatMap(([key, value]) =>
          value === true ? [`--${key}`] : [`--${key}`, String(value)],
        )
      : []),
    ...extraArguments,
  ];
  // As install.sh of K3s writes them: on continuation lines and in quotes.
  const execStart =
    distribution === "k3s"
      ? `${names.binary} \\\n    ${role} \\\n${words.map((word) => `\t'${word}' \\\n`).join("")}`
      : [names.binary, role, ...words].join(" ");
  const environment = Object.entries(configuration === "env-file" ? settings : {}).map(([key, value]) => {
    const variable = { server: "URL" }[key] ?? key.toUpperCase().replaceAll("-", "_");
    return `${names.variables}_${variable}='${value}'\n`;
  });
  const [unit, envFile] = role === "server" ? [names.unit, names.envFile] : [names.agentUnit, names.agentEnvFile];
  const unitText = readFileSync(join(repository, "test/lab/stand-ins/k3s/units", unit), "utf8");
  return {
    [`/etc/systemd/system/${unit}`]: [unitText.replace("@EXEC_START@", execStart), 0o644],
    ...(distribution === "k3s" || environment.length > 0 ? { [envFile]: [environment.join(""), 0o600] } : {}),
    ...(Object.keys(inConfig).length > 0 ? { [`${names.configDir}/config.yaml`]: [yaml(inConfig), 0o600] } : {}),
  };
}

/** A value in JSON is one in YAML. */
export function yaml(settings: Readonly<Record<string, unknown>>): string {
  return Object.entries(settings)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
    .join("");
}
