import { embeddedEtcd } from "./embedded-etcd";

/** https://docs.k3s.io/datastore/backup-restore */
export const k3s = embeddedEtcd({
  ...{ name: "k3s", title: "K3s", prefix: "K3S" },
  ...{ configDir: "/etc/rancher/k3s", dataDir: "/var/lib/rancher/k3s" },
  ...{ unit: "k3s.service", agentUnit: "k3s-agent.service" },
  ...{ supervisorPort: 6443, supervisorPortSettings: ["supervisor-port", "https-listen-port"], needsKillScript: false },
  kubectl: (binary) => [binary, "kubectl"],
});
