/**
 * What `k3s server` and `rke2 server` know of their own flags, as far as reading them needs it.
 * https://docs.k3s.io/cli/server, https://docs.rke2.io/reference/server_config
 */

/** A flag's full name, without dashes: `-d`, `--data-dir` and the key `d` are all `data-dir`. */
export function flagName(name: string): string {
  return aliases.get(name) ?? name;
}

const aliases: ReadonlyMap<string, string> = new Map([
  ["c", "config"],
  ["d", "data-dir"],
  ["i", "node-ip"],
  ["l", "log"],
  ["o", "write-kubeconfig"],
  ["s", "server"],
  ["t", "token"],
]);

/** Flags that take no word of their own: what follows one is the next argument. */
export const booleanFlags: ReadonlySet<string> = new Set([
  ...["alsologtostderr", "debug", "enable-pprof", "supervisor-metrics"],
  ...["cluster-init", "cluster-reset", "kine-tls", "secrets-encryption", "tls-san-security"],
  ...["etcd-disable-snapshots", "etcd-expose-metrics", "etcd-s3", "etcd-s3-insecure", "etcd-s3-skip-ssl-verify"],
  ...["etcd-snapshot-compress", "flannel-external-ip", "flannel-ipv6-masq", "no-flannel"],
  ...["disable-agent", "disable-apiserver", "disable-apiserver-lb", "disable-cloud-controller"],
  ...["disable-controller-manager", "disable-default-registry-endpoint", "disable-etcd", "disable-helm-controller"],
  ...["disable-kube-proxy", "disable-network-policy", "disable-scheduler", "disable-selinux"],
  ...["docker", "embedded-registry", "nonroot-devices", "prefer-bundled-bin", "prime", "protect-kernel-defaults"],
  ...["rootless", "selinux", "with-node-id"],
  // RKE2's own.
  ...["enable-servicelb", "node-name-from-cloud-provider-metadata"],
]);

/** Flags whose values must not be words of a command: `ps` shows those to everyone. */
export const secretFlags: ReadonlySet<string> = new Set([
  ...["token", "agent-token", "cluster-secret", "datastore-endpoint", "vpn-auth"],
  ...["etcd-s3-access-key", "etcd-s3-secret-key", "etcd-s3-session-token"],
  // May hold a password, as in http://user:password@proxy.
  "etcd-s3-proxy",
]);

/** The flag that a variable stands for; undefined when the server does not read it. */
export function flagOfVariable(prefix: "K3S" | "RKE2", name: string): string | undefined {
  if (prefix === "RKE2" && name === "RKE2_CLUSTER_INIT") return undefined;
  return (
    awsVariables.get(name) ?? (name.startsWith(`${prefix}_`) ? variables.get(name.slice(prefix.length + 1)) : undefined)
  );
}

const awsVariables: ReadonlyMap<string, string> = new Map([
  ["AWS_ACCESS_KEY_ID", "etcd-s3-access-key"],
  ["AWS_SECRET_ACCESS_KEY", "etcd-s3-secret-key"],
  ["AWS_SESSION_TOKEN", "etcd-s3-session-token"],
]);

const variables: ReadonlyMap<string, string> = new Map([
  ["AGENT_TOKEN", "agent-token"],
  ["AGENT_TOKEN_FILE", "agent-token-file"],
  ["CLUSTER_INIT", "cluster-init"],
  ["CLUSTER_RESET", "cluster-reset"],
  ["CONFIG_FILE", "config"],
  ["DATASTORE_CAFILE", "datastore-cafile"],
  ["DATASTORE_CERTFILE", "datastore-certfile"],
  ["DATASTORE_ENDPOINT", "datastore-endpoint"],
  ["DATASTORE_KEYFILE", "datastore-keyfile"],
  ["DATA_DIR", "data-dir"],
  ["DEBUG", "debug"],
  ["KUBECONFIG_OUTPUT", "write-kubeconfig"],
  ["NODE_NAME", "node-name"],
  ["SELINUX", "selinux"],
  ["TOKEN", "token"],
  ["TOKEN_FILE", "token-file"],
  ["URL", "server"],
  ["VPN_AUTH", "vpn-auth"],
]);
