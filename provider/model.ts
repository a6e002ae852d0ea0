/** How to reach one server. The names are those of `@pulumi/command`'s `ConnectionArgs`, ours follow. All optional here: see `connection` beside `servers[].connection`. */
export interface Connection {
  /** Address or name of the server. */
  readonly host?: string;
  /** @default 22 */
  readonly port?: number;
  /** @default "root" */
  readonly user?: string;
  readonly password?: string;
  /** PEM or OpenSSH text of a private key, not a path. */
  readonly privateKey?: string;
  readonly privateKeyPassword?: string;
  /** @default SSH_AUTH_SOCK of the environment */
  readonly agentSocketPath?: string;
  /** The server's public host key, as in a line of known_hosts without its host names: `ssh-ed25519 AAAA…`. */
  readonly hostKey?: string;
  /** A bastion to connect through. */
  readonly proxy?: ProxyConnection;
  /** Seconds for one attempt to connect. @default 15 */
  readonly perDialTimeout?: number;
  /** Attempts to connect before giving up; 0 is one attempt. @default 10 */
  readonly dialErrorLimit?: number;
  /** For `sudo` when the user is not root and needs a password for it. */
  readonly sudoPassword?: string;
  /** Text in the format of known_hosts, used in place of the user's own file. */
  readonly knownHosts?: string;
  /** Trust a host key seen for the first time (a changed one is still refused). @default false */
  readonly acceptNewHostKey?: boolean;
  /** Run on this machine, without SSH. @default false */
  readonly local?: boolean;
}

export type ProxyConnection = Omit<Connection, "proxy" | "local" | "sudoPassword">;

/** A machine in the cluster that runs etcd. */
export interface Server {
  /** Unique in the cluster; what plans, outputs and errors call it. */
  readonly name: string;
  readonly connection?: Connection;
}

/** A machine that runs an API server which a restore stops first and starts last. */
export interface ApiServer extends Server {
  /** @default "kube-apiserver.service" */
  readonly unit?: string;
}

/** etcd that runs as a systemd unit. What is not given is found on the server, or asked for by name. */
export interface EtcdSettings {
  /** The systemd unit. @default found: the unit that runs an `etcd` binary */
  readonly unit?: string;
  readonly dataDir?: string;
  /** Client URLs that etcdctl on the server itself uses. @default the member's listen-client-urls */
  readonly endpoints?: readonly string[];
  /** Paths on the servers of the certificates that a client of etcd presents. @default the server's own */
  readonly cacert?: string;
  readonly cert?: string;
  readonly key?: string;
  /** etcd's own user, when its authentication is on. It needs the root role. */
  readonly username?: string;
  readonly password?: string;
  /** Path of etcdutl on the servers. @default found on PATH, or beside etcd */
  readonly etcdutl?: string;
  readonly apiServers?: readonly ApiServer[];
}

/** A machine that joins a cluster without running etcd. A restore restarts its agent when that does not come back by itself. */
export interface Agent extends Server {
  /** @default "k3s-agent.service" or "rke2-agent.service" */
  readonly unit?: string;
}

/** etcd inside K3s or RKE2. What is not given is found on the servers. */
export interface EmbeddedEtcdSettings {
  /** @default "k3s.service" or "rke2-server.service" */
  readonly unit?: string;
  /** @default what the servers' configuration says, else /var/lib/rancher/k3s or /var/lib/rancher/rke2 */
  readonly dataDir?: string;
  /** Where config.yaml and config.yaml.d are. @default "/etc/rancher/k3s" or "/etc/rancher/rke2" */
  readonly configDir?: string;
  /** The server token. @default what the servers have */
  readonly token?: string;
  readonly agents?: readonly Agent[];
}

export type DistributionName = "etcd" | "k3s" | "rke2";

/** A cluster: a plain value that resources share. Its name is its identity. Which settings it may have is its distribution's. */
export interface Cluster extends EtcdSettings, EmbeddedEtcdSettings {
  readonly distribution: DistributionName;
  readonly name: string;
  /** What the servers' connections have in common. */
  readonly connection?: Connection;
  readonly servers: readonly Server[];
}

/** Where S3 is and who we are there. */
export interface S3Settings {
  readonly bucket: string;
  /** Key prefix, without slashes around it. @default the cluster's name */
  readonly folder?: string;
  /** @default "us-east-1" */
  readonly region?: string;
  /** `host[:port]`, no scheme. @default AWS */
  readonly endpoint?: string;
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  readonly sessionToken?: string;
  /** A profile of the machine that Pulumi runs on. For what that machine does itself; servers never see it. */
  readonly profile?: string;
  /** PEM text of the endpoint's certificate authority. */
  readonly endpointCa?: string;
  /** @default false */
  readonly skipTlsVerify?: boolean;
  /** Plain HTTP. @default false */
  readonly insecure?: boolean;
  /** @default "auto": path style for an own endpoint, virtual-host style for AWS */
  readonly bucketLookup?: "auto" | "dns" | "path";
  /** A Secret in kube-system that holds these settings for K3s or RKE2, so that no file does. @default a file of 0600 */
  readonly configSecret?: string;
  /** Deadline of one transfer. @default "5m" */
  readonly timeout?: string;
  /** URL of an HTTP proxy between the servers and S3. */
  readonly proxy?: string;
  /** Snapshots kept in the folder, all servers' together. @default keepRounds × servers */
  readonly retention?: number;
  /** Rounds of scheduled snapshots kept in the folder. @default the local retention */
  readonly keepRounds?: number;
}

/** The backups a cluster should take, with every default filled in. */
export interface BackupSettings {
  /** Five-field cron, in the servers' local time. */
  readonly schedule: string;
  /** Scheduled snapshots kept on each server. */
  readonly retention: number;
  /** Where servers keep them; undefined: the distribution's own place. */
  readonly directory?: string | undefined;
  readonly snapshotName: string;
  readonly enabled: boolean;
  /** K3s and RKE2: snapshots are zipped. @default false */
  readonly compress?: boolean | undefined;
  /** K3s and RKE2: how a change comes into force. `none` leaves the restart to somebody else. @default "rolling" */
  readonly restart?: "rolling" | "none" | undefined;
  /** K3s and RKE2: how often the list of snapshots in Kubernetes is brought up to date. @default the distribution's own */
  readonly reconcileInterval?: string | undefined;
  readonly s3?: S3Settings | undefined;
}

/** One address of one snapshot. */
export type SnapshotLocation =
  | { readonly kind: "file"; readonly server: string; readonly path: string }
  | { readonly kind: "s3"; readonly bucket: string; readonly key: string };

/** A snapshot that is there and complete. */
export interface SnapshotFile {
  /** The file's own name, without folder. */
  readonly name: string;
  readonly location: SnapshotLocation;
  readonly sizeBytes: number;
  /** ISO 8601, when it was taken (the file's own time where nothing better is known). */
  readonly takenAt: string;
  /** What its uploader wrote on it, where the place it lies in can say so: names in lower case. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Writes a location as users do: `s3://bucket/key` or `file://server/path`. */
export function formatLocation(location: SnapshotLocation): string {
  return location.kind === "s3"
    ? `s3://${location.bucket}/${location.key}`
    : `file://${location.server}${location.path}`;
}

/** Reads a location; undefined when it is a bare file name or `latest`. */
export function parseLocation(text: string): SnapshotLocation | undefined {
  const match = /^(s3|file):\/\/([^/]+)\/(.+)$/.exec(text);
  const [, scheme, authority, rest] = match ?? [];
  if (authority === undefined || rest === undefined) return undefined;
  return scheme === "s3"
    ? { kind: "s3", bucket: authority, key: rest }
    : { kind: "file", server: authority, path: `/${rest}` };
}

/** Tells people what is going on while something runs. */
export interface Progress {
  /** The live status of the resource's row; the next one replaces it. */
  status(text: string): void;
  /** A line that stays. */
  info(text: string): void;
  warn(text: string): void;
}
