import type { Input } from "@pulumi/pulumi";
import type { ConnectionArgs, ServerArgs } from "./server";

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

/** A cluster whose etcd runs as a systemd unit, as `etcd()` makes it. */
export interface EtcdClusterArgs extends EtcdArgs {
  readonly distribution: "etcd";
}

/** A cluster whose etcd runs as a systemd unit on each server. */
export function etcd(args: EtcdArgs): EtcdClusterArgs {
  return { ...args, distribution: "etcd" };
}
