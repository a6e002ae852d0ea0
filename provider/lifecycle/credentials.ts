import type { Cluster, Connection, S3Settings, Server } from "../model";

/**
 * Credentials from outside the inputs. They rotate without touching a resource, and are in no state.
 * Each is the provider configuration's `etcd-backup:<name>`, else the environment's variable.
 */
export type Credentials = Partial<Readonly<Record<keyof typeof credentialVariables, string>>>;

/** Every credential that can be given outside the inputs, by its configuration key, with its environment variable. */
export const credentialVariables = {
  sshPrivateKey: "ETCD_BACKUP_SSH_PRIVATE_KEY",
  sshPrivateKeyPassword: "ETCD_BACKUP_SSH_PRIVATE_KEY_PASSWORD",
  sshPassword: "ETCD_BACKUP_SSH_PASSWORD",
  sudoPassword: "ETCD_BACKUP_SUDO_PASSWORD",
  etcdPassword: "ETCD_BACKUP_ETCD_PASSWORD",
  s3AccessKeyId: "ETCD_BACKUP_S3_ACCESS_KEY_ID",
  s3SecretAccessKey: "ETCD_BACKUP_S3_SECRET_ACCESS_KEY",
  s3SessionToken: "ETCD_BACKUP_S3_SESSION_TOKEN",
} as const;

/** Reads the credentials, each from the configuration, else from the environment. */
export function findCredentials(
  configured: (name: string) => string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Credentials {
  const found: Record<string, string> = {};
  for (const [name, variable] of Object.entries(credentialVariables)) {
    const value = nonEmpty(configured(name)) ?? nonEmpty(environment[variable]);
    if (value !== undefined) found[name] = value;
  }
  return found;
}

/** The cluster with a credential wherever its inputs name none. */
export function withCredentials(cluster: Cluster, credentials: Credentials): Cluster {
  const complete = <Machine extends Server>(machine: Machine): Machine => ({
    ...machine,
    connection: completed({ ...cluster.connection, ...machine.connection }, credentials),
  });
  const { etcdPassword } = credentials;
  const password = cluster.password ?? (cluster.username === undefined ? undefined : etcdPassword);
  return {
    ...cluster,
    servers: cluster.servers.map(complete),
    ...(cluster.apiServers === undefined ? {} : { apiServers: cluster.apiServers.map(complete) }),
    ...(cluster.agents === undefined ? {} : { agents: cluster.agents.map(complete) }),
    ...(password === undefined ? {} : { password }),
  };
}

/** The S3 settings with the configured keys, unless they name keys or a profile of their own. */
export function withS3Credentials(s3: S3Settings | undefined, credentials: Credentials): S3Settings | undefined {
  const { s3AccessKeyId: accessKeyId, s3SecretAccessKey: secretAccessKey, s3SessionToken: sessionToken } = credentials;
  if (s3 === undefined || s3.accessKeyId !== undefined || s3.profile !== undefined) return s3;
  if (accessKeyId === undefined || secretAccessKey === undefined) return s3;
  return { ...s3, accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}

function completed(connection: Connection, credentials: Credentials): Connection {
  const { sudoPassword } = credentials;
  const sudo = connection.sudoPassword === undefined && sudoPassword !== undefined ? { sudoPassword } : {};
  if (connection.local === true) return { ...connection, ...sudo };
  const { proxy } = connection;
  return {
    ...connection,
    ...sshCredentials(connection, credentials),
    ...sudo,
    ...(proxy === undefined ? {} : { proxy: { ...proxy, ...sshCredentials(proxy, credentials) } }),
  };
}

// A connection that says how to log in is not offered anything else: a server counts wrong attempts.
function sshCredentials(connection: Connection, credentials: Credentials): Partial<Connection> {
  const { sshPrivateKey: privateKey, sshPassword: password, sshPrivateKeyPassword } = credentials;
  const named = connection.privateKey ?? connection.password ?? connection.agentSocketPath;
  const needsPassphrase = connection.privateKeyPassword === undefined && sshPrivateKeyPassword !== undefined;
  const passphrase = needsPassphrase ? { privateKeyPassword: sshPrivateKeyPassword } : {};
  if (named !== undefined) return connection.privateKey === undefined ? {} : passphrase;
  if (privateKey !== undefined) return { privateKey, ...passphrase };
  return password === undefined ? {} : { password };
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === undefined || value === "" ? undefined : value;
}
