// The clusters of one server that are restored, and the runbooks that a restore of ours is compared with: what people type
// who know what they do, from a snapshot of the present data to a cluster that answers.
import { randomUUID } from "node:crypto";
import type { Cluster, S3Settings } from "../../provider/model";
import type { EtcdOracle } from "../lab/etcd-oracle";
import { titleOf } from "../lab/k3s-title";
import type { Lab } from "../lab/lab";
import type { Machine } from "../lab/machine";
import { startEtcdLab } from "../support/etcd-program";
import { startK3sLab } from "../support/k3s-program";
import type { S3 } from "../lab/s3";
import { saveByEtcdctl } from "../support/restore-oracles";

/** A cluster on a machine, with a large database and snapshots of it. */
export interface Subject {
  readonly title: string;
  readonly lab: Lab;
  readonly s3: S3;
  readonly cluster: Cluster;
  readonly s3Settings: S3Settings;
  readonly machine: Machine;
  /** Paths on the machine, by what they are called in a table. */
  readonly snapshots: Readonly<Record<string, string>>;
  /** A script that restores the file `$1` by hand. It prints the seconds that `began` and `ended` enclose: the restoring tool's own. */
  readonly runbook: string;
  /** Removes what restores have set aside and saved. */
  readonly tidyUp: string;
}

export async function startEtcdSubject(megabytes: number): Promise<Subject> {
  const started = await startEtcdLab({ machines: ["s1"] });
  const machine = started.lab.machine("s1");
  await fill(started.etcd, machine, megabytes);
  await saveByEtcdctl(started.etcd, machine, "/srv/snapshots/large.db");
  const { address } = machine;
  const pki = "--cacert=/etc/etcd/pki/ca.crt --cert=/etc/etcd/pki/client.crt --key=/etc/etcd/pki/client.key";
  return {
    ...started,
    ...{ title: `etcd ${started.etcd.version}`, machine, snapshots: { plain: "/srv/snapshots/large.db" } },
    runbook: `${measured}
etcdctl ${pki} snapshot save /srv/by-hand.db
systemctl stop etcd
began
etcdutl snapshot restore "$1" --data-dir /var/lib/etcd.new --name s1 --initial-cluster s1=https://${address}:2380 --initial-advertise-peer-urls https://${address}:2380
ended
mv /var/lib/etcd/member /var/lib/etcd/by-hand
mv /var/lib/etcd.new/member /var/lib/etcd/member
chown -R etcd:etcd /var/lib/etcd
systemctl start etcd
until etcdctl ${pki} endpoint health; do sleep 0.1; done`,
    tidyUp: `rm -rf /srv/by-hand.db /var/lib/etcd.new /var/lib/etcd/by-hand /var/lib/etcd/member.before-* /var/lib/etcd-backup/demo/snapshots`,
  };
}

export async function startK3sSubject(megabytes: number): Promise<Subject> {
  const started = await startK3sLab({ machines: ["s1"] });
  const { k3s } = started;
  const machine = started.lab.machine("s1");
  await fill(k3s, machine, megabytes);
  const server = `${k3s.dataDir}/server`;
  const save = async (name: string, option = ""): Promise<string> => {
    await machine.exec(`k3s etcd-snapshot save --name ${name} ${option}`, { timeoutMs: 300_000 });
    return (await machine.exec(`ls ${server}/db/snapshots/${name}-*`)).trim();
  };
  const snapshots = { plain: await save("large"), zipped: await save("zipped", "--snapshot-compress") };
  return {
    ...started,
    ...{ title: await titleOf(k3s), machine, snapshots },
    runbook: `${measured}
k3s etcd-snapshot save --name by-hand
systemctl stop k3s
began
k3s server --cluster-reset --cluster-reset-restore-path="$1"
ended
systemctl start k3s
until curl -kfsS --max-time 5 https://127.0.0.1:6443/readyz; do sleep 0.1; done`,
    tidyUp: `rm -rf ${server}/db/etcd-old-* ${server}/db/etcd.before-* ${server}/db/snapshots/by-hand-* ${server}/db/snapshots/safety-*`,
  };
}

/** Takes its own output away from the runbook's, and back for the figure. */
const measured = `set -eu
exec 3>&1 >>/var/log/by-hand.log 2>&1
began() { began=$(date +%s%N); }
ended() { printf '%s\\n' "$(date +%s%N) $began" | awk '{ printf "%.3f\\n", ($1 - $2) / 1e9 }' >&3; }`;

/** The values compress to about a fifth, as Kubernetes' objects do. */
async function fill(etcd: EtcdOracle, machine: Machine, megabytes: number): Promise<void> {
  const stdin = Array.from({ length: 1_000_000 / pod().length }, pod).join("");
  const left = Array.from({ length: megabytes }, (_, index) => `large/${index}`);
  const work = async (): Promise<void> => {
    for (let key = left.pop(); key !== undefined; key = left.pop())
      await etcd.etcdctl(machine, ["put", key], { stdin });
  };
  await Promise.all(Array.from({ length: 4 }, work));
}

function pod(): string {
  const metadata = { name: "web", namespace: "default", uid: randomUUID(), labels: { app: "web", tier: "frontend" } };
  return `${JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata, status: { phase: "Running" } })}\n`;
}
