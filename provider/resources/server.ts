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
