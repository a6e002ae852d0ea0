import type { Input } from "@pulumi/pulumi";

/** How to reach a bastion. The names are those of `@pulumi/command`; `knownHosts` and `acceptNewHostKey` are ours. */
export interface ProxyConnectionArgs {
  /** Address or name of the bastion. */
  readonly host: Input<string>;
  /** 1 to 65535. @default 22 */
  readonly port?: Input<number>;
  /** @default "root" */
  readonly user?: Input<string>;
  /** Kept as a secret. */
  readonly password?: Input<string>;
  /** Text of a private key in PEM or OpenSSH format, not a path. Kept as a secret. */
  readonly privateKey?: Input<string>;
  /** For an encrypted `privateKey`. Kept as a secret. */
  readonly privateKeyPassword?: Input<string>;
  /** Socket of an SSH agent, on the machine that Pulumi runs on. @default `SSH_AUTH_SOCK` of the environment, where there is neither key nor password */
  readonly agentSocketPath?: Input<string>;
  /** The public host key to expect, as in known_hosts without the host name: `ssh-ed25519 AAAA…`. @default what `knownHosts` says */
  readonly hostKey?: Input<string>;
  /** Seconds for one attempt to connect; 0: no limit. @default 15 */
  readonly perDialTimeout?: Input<number>;
  /** Attempts that may fail before giving up; -1: no limit. @default 10 */
  readonly dialErrorLimit?: Input<number>;
  /** Text in the format of known_hosts. @default the user's own known_hosts */
  readonly knownHosts?: Input<string | undefined>;
  /** Trust a host key seen for the first time; a changed one is still refused. @default false */
  readonly acceptNewHostKey?: Input<boolean | undefined>;
}

/**
 * How to reach a server. The names are those of `@pulumi/command`'s `ConnectionArgs`, so that one object serves both;
 * `sudoPassword`, `knownHosts`, `acceptNewHostKey` and `local` are ours.
 *
 * Credentials that are not given come from the provider's configuration (`pulumi config set --secret
 * etcd-backup:sshPrivateKey`), else from the environment (`ETCD_BACKUP_SSH_PRIVATE_KEY`), else from the SSH agent.
 */
export interface ConnectionArgs extends Omit<ProxyConnectionArgs, "host"> {
  /** Address or name of the server. Required for every server, unless `local` is true. */
  readonly host?: Input<string>;
  /** A bastion to connect through. */
  readonly proxy?: Input<ProxyConnectionArgs>;
  /** For `sudo`, when `user` is not root and must give a password. Kept as a secret. */
  readonly sudoPassword?: Input<string | undefined>;
  /** Run on the machine that Pulumi runs on, without SSH: only for a cluster of one server. @default false */
  readonly local?: Input<boolean | undefined>;
}

/** A machine that runs etcd. */
export interface ServerArgs {
  /** 1 to 63 letters, digits, dots, dashes and underscores; unique in the cluster. Plans, outputs and errors call it so. */
  readonly name: Input<string>;
  /** What differs from the cluster's `connection`. */
  readonly connection?: Input<ConnectionArgs | undefined>;
}

/** A machine that runs an API server: a restore stops it first and starts it last. */
export interface ApiServerArgs extends ServerArgs {
  /** Its systemd unit. @default "kube-apiserver.service" */
  readonly unit?: Input<string | undefined>;
}

/** etcd that runs as a systemd unit. What is not given is found on the servers; what cannot be found is asked for by name. */
export interface EtcdArgs {
  /** The cluster's identity: in ids, in the S3 folder, in lock and journal. 1 to 63 letters, digits, dots, dashes and underscores. */
  readonly name: Input<string>;
  /** What the servers' connections have in common. */
  readonly connection?: Input<ConnectionArgs | undefined>;
  /** Every server that runs etcd. A server listed is a server that must be there: take one that is gone for good out of the list. */
  readonly servers: Input<Input<ServerArgs>[]>;
  /** The systemd unit that runs etcd. @default found */
  readonly unit?: Input<string | undefined>;
  /** Absolute path of etcd's data. @default found */
  readonly dataDir?: Input<string | undefined>;
  /** The client URL by which each server reaches its own member, such as `https://127.0.0.1:2379`; of several the first is used. @default found */
  readonly endpoints?: Input<Input<string>[] | undefined>;
  /** Absolute path, on the servers, of the certificate authority of etcd's clients. @default found */
  readonly cacert?: Input<string | undefined>;
  /** Absolute path, on the servers, of a client certificate; together with `key`. @default found */
  readonly cert?: Input<string | undefined>;
  /** Absolute path, on the servers, of its key. @default found */
  readonly key?: Input<string | undefined>;
  /** etcd's own user, where its authentication is on. It needs the role `root`. */
  readonly username?: Input<string | undefined>;
  /** That user's password. Kept as a secret. @default the provider configuration's `etcd-backup:etcdPassword` */
  readonly password?: Input<string | undefined>;
  /** Absolute path of etcdutl on the servers. @default found on PATH, or beside etcd */
  readonly etcdutl?: Input<string | undefined>;
  /** Machines whose API servers a restore must stop and start. One that runs etcd, too, is listed here again under another name. */
  readonly apiServers?: Input<Input<ApiServerArgs>[] | undefined>;
}

/** A cluster: a plain value that resources share. */
export interface ClusterArgs extends EtcdArgs {
  readonly distribution: "etcd";
}

/** A cluster whose etcd runs as a systemd unit on each server. */
export function etcd(args: EtcdArgs): ClusterArgs {
  return { ...args, distribution: "etcd" };
}
