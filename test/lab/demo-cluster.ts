// What the demo's story is told with, by distribution: the commands of those who run such a cluster, and what they look at.
import type { EtcdOracle } from "./etcd-oracle";
import { k3sNames, type K3sDistribution } from "./k3s-files";
import { nameOf, noticeOf, titleOf } from "./k3s-title";
import type { Lab } from "./lab";
import type { LabDistribution } from "./lab-distribution";

/** A cluster on all machines of a lab, healthy. Commands are a shell's, on any of its machines. */
export interface DemoCluster extends Pick<EtcdOracle, "etcdctl" | "hashKv" | "healthy"> {
  /** What runs: a stand-in is called so. */
  readonly title: string;
  /** Said before everything else, where something has to be. */
  readonly notice: string | undefined;
  /** What the commands need in their environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Writes a thing of that name, before the snapshot or after it. */
  readonly write: (name: string) => string;
  /** Prints the name of the thing of that name, or fails. */
  readonly read: (name: string) => string;
  readonly disaster: Disaster;
  /** What holds on every server once the backups are configured. */
  readonly configured: readonly Check[];
  /** What holds on every server after the restore. */
  readonly restored: readonly Check[];
}

interface Disaster {
  readonly title: string;
  readonly servers: readonly string[];
  readonly command: string;
}

/** A fact, the command that shows it, and what that has to print. */
interface Check {
  readonly fact: string;
  readonly command: string;
  readonly prints: RegExp;
}

export const demoClusters: Readonly<Record<LabDistribution, (lab: Lab) => Promise<DemoCluster>>> = {
  etcd: startDemoEtcd,
  k3s: (lab) => startDemoK3s(lab, "k3s"),
  rke2: (lab) => startDemoK3s(lab, "rke2"),
};

async function startDemoEtcd(lab: Lab): Promise<DemoCluster> {
  const etcd = await lab.startEtcd();
  const status = "/var/lib/etcd-backup/demo/status.json";
  return {
    ...etcd,
    title: `etcd ${etcd.version} with TLS`,
    notice: undefined,
    env: {
      ETCDCTL_ENDPOINTS: "https://127.0.0.1:2379",
      ETCDCTL_CACERT: "/etc/etcd/pki/ca.crt",
      ETCDCTL_CERT: "/etc/etcd/pki/client.crt",
      ETCDCTL_KEY: "/etc/etcd/pki/client.key",
      ETCDCTL_COMMAND_TIMEOUT: "3s",
    },
    write: (name) => `etcdctl put shop/${name} open`,
    read: (name) => `etcdctl get shop/${name} --keys-only`,
    disaster: {
      title: "s2 and s3 lose their data",
      servers: ["s2", "s3"],
      command: "systemctl kill --signal=KILL etcd.service; systemctl stop etcd.service; rm -rf /var/lib/etcd/*",
    },
    configured: [
      { fact: "the timer is active", command: "systemctl is-active etcd-backup-demo.timer", prints: /^active$/m },
    ],
    restored: [
      {
        fact: "the next scheduled backup works",
        command: `systemctl start etcd-backup-demo.service && cat ${status}`,
        prints: /"ok":\s*true/,
      },
    ],
  };
}

async function startDemoK3s(lab: Lab, distribution: K3sDistribution): Promise<DemoCluster> {
  const cluster = await lab.startK3s({ distribution });
  const { configDir, dataDir } = k3sNames[distribution];
  const name = nameOf[distribution];
  const kubectl = { k3s: "k3s kubectl", rke2: "kubectl" }[distribution];
  return {
    ...cluster,
    title: await titleOf(cluster),
    notice: noticeOf(cluster),
    // As RKE2's documentation has it.
    env: {
      KUBECONFIG: `${configDir}/${distribution}.yaml`,
      PATH: `/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:${dataDir}/bin`,
    },
    write: (thing) =>
      `${kubectl} create namespace ${thing} && ${kubectl} create configmap opening-hours --namespace ${thing} --from-literal=monday=9-18`,
    read: (thing) => `${kubectl} get configmap opening-hours --namespace ${thing} --output name`,
    disaster: {
      title: "someone deletes the namespace with everything in it",
      servers: ["s1"],
      command: `${kubectl} delete namespace canary`,
    },
    configured: [
      {
        fact: "the settings of the backups lie in a file of their own that only root reads",
        command: `stat --format '%U %a' ${configDir}/config.yaml.d/60-etcd-backup.yaml`,
        prints: /^root 600$/m,
      },
    ],
    restored: [
      {
        fact: "the old data is set aside, not deleted",
        command: `ls -d ${dataDir}/server/db/etcd.before-*`,
        prints: /etcd\.before-\S+$/m,
      },
      {
        fact: `the next snapshot by ${name} itself works, here and in S3`,
        command: `${distribution} etcd-snapshot save --name next 2>&1`,
        prints: /Snapshot next-\S+ saved\..*Snapshot next-\S+ saved\./s,
      },
    ],
  };
}
