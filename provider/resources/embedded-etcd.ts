import type { Input } from "@pulumi/pulumi";
import type { ConnectionArgs, ServerArgs } from "./server";

/** A machine that joins a cluster without running etcd: a restore restarts its agent when that does not come back by itself. */
export interface AgentArgs extends ServerArgs {
  /** Its systemd unit. @default "k3s-agent.service", or "rke2-agent.service" */
  readonly unit?: Input<string | undefined>;
}

/** What K3s and RKE2 have in common. */
interface EmbeddedEtcdArgs {
  /** The cluster's identity: in ids, in the S3 folder, in lock and journal. 1 to 63 letters, digits, dots, dashes and underscores. */
  readonly name: Input<string>;
  /** What the machines' connections have in common. */
  readonly connection?: Input<ConnectionArgs | undefined>;
  /** Every server that runs etcd. A server listed is a server that must be there: take one that is gone for good out of the list. */
  readonly servers: Input<Input<ServerArgs>[]>;
  /** The text of the server token, such as `K10…::server:…`, not its path. Kept as a secret. @default what the servers have */
  readonly token?: Input<string | undefined>;
  /** Agents to look after when the cluster is restored. One that is not listed is left to come back by itself. */
  readonly agents?: Input<Input<AgentArgs>[] | undefined>;
}

/** K3s with its embedded etcd. */
export interface K3sArgs extends EmbeddedEtcdArgs {
  /** Absolute path of K3s's data on the servers. @default what their configuration says, else "/var/lib/rancher/k3s" */
  readonly dataDir?: Input<string | undefined>;
  /** Absolute path, on the servers, of the directory with `config.yaml` and `config.yaml.d`. @default "/etc/rancher/k3s" */
  readonly configDir?: Input<string | undefined>;
  /** The systemd unit of the servers. @default "k3s.service" */
  readonly unit?: Input<string | undefined>;
}

/** RKE2 with its embedded etcd. */
export interface Rke2Args extends EmbeddedEtcdArgs {
  /** Absolute path of RKE2's data on the servers. @default what their configuration says, else "/var/lib/rancher/rke2" */
  readonly dataDir?: Input<string | undefined>;
  /** Absolute path, on the servers, of the directory with `config.yaml` and `config.yaml.d`. @default "/etc/rancher/rke2" */
  readonly configDir?: Input<string | undefined>;
  /** The systemd unit of the servers. @default "rke2-server.service" */
  readonly unit?: Input<string | undefined>;
}

/** A K3s cluster, as `k3s()` makes it. */
export interface K3sClusterArgs extends K3sArgs {
  readonly distribution: "k3s";
}

/** An RKE2 cluster, as `rke2()` makes it. */
export interface Rke2ClusterArgs extends Rke2Args {
  readonly distribution: "rke2";
}

/** A K3s cluster with embedded etcd. */
export function k3s(args: K3sArgs): K3sClusterArgs {
  return { ...args, distribution: "k3s" };
}

/** An RKE2 cluster with embedded etcd. */
export function rke2(args: Rke2Args): Rke2ClusterArgs {
  return { ...args, distribution: "rke2" };
}
