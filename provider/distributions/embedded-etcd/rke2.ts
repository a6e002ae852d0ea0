import { embeddedEtcd } from "./embedded-etcd";

/** https://docs.rke2.io/datastore/backup_restore */
export const rke2 = embeddedEtcd({
  ...{ name: "rke2", title: "RKE2", prefix: "RKE2" },
  ...{ configDir: "/etc/rancher/rke2", dataDir: "/var/lib/rancher/rke2" },
  ...{ unit: "rke2-server.service", agentUnit: "rke2-agent.service" },
  ...{ supervisorPort: 9345, supervisorPortSettings: [], needsKillScript: true },
  kubectl: (_, dataDir) => [`${dataDir}/bin/kubectl`, "--kubeconfig", "/etc/rancher/rke2/rke2.yaml"],
});
