import { findCredentials, withCredentials, withS3Credentials } from "../../../provider/lifecycle/credentials";
import type { Cluster, Connection } from "../../../provider/model";

test("a credential comes from the configuration, else from the environment; an empty one is none", () => {
  const configured: Record<string, string> = { sshPrivateKey: "configured", sudoPassword: "" };
  const environment = { ETCD_BACKUP_SSH_PRIVATE_KEY: "environment", ETCD_BACKUP_SUDO_PASSWORD: "sudo", OTHER: "x" };
  expect(findCredentials((name) => configured[name], environment)).toEqual({
    sshPrivateKey: "configured",
    sudoPassword: "sudo",
  });
});

test.each<[string, Connection, Connection]>([
  ["one that names nothing", {}, { privateKey: "K", privateKeyPassword: "P", sudoPassword: "S" }],
  ["one with its own password", { password: "own" }, { password: "own", sudoPassword: "S" }],
  ["one with its own agent", { agentSocketPath: "/a" }, { agentSocketPath: "/a", sudoPassword: "S" }],
  ["one with its own key", { privateKey: "own" }, { privateKey: "own", privateKeyPassword: "P", sudoPassword: "S" }],
  ["one with its own sudo", { sudoPassword: "own" }, { privateKey: "K", privateKeyPassword: "P", sudoPassword: "own" }],
  ["this machine", { local: true }, { local: true, sudoPassword: "S" }],
])("what is added to a connection: %s", (_, own, expected) => {
  const credentials = { sshPrivateKey: "K", sshPrivateKeyPassword: "P", sshPassword: "W", sudoPassword: "S" };
  expect(withCredentials(clusterOf(own), credentials).servers[0]?.connection).toEqual(expected);
});

test("a bastion is logged in to like a server, and never given a password for sudo", () => {
  const connection = withCredentials(clusterOf({ proxy: { host: "b" } }), { sshPassword: "W", sudoPassword: "S" });
  expect(connection.servers[0]?.connection?.proxy).toEqual({ host: "b", password: "W" });
});

test("an agent is logged in to like a server, by what the cluster's machines share", () => {
  const agents = [{ name: "a1", connection: { host: "10.0.0.21" } }];
  const found = withCredentials({ ...clusterOf({}), connection: { user: "ops" }, agents }, { sshPassword: "W" });
  expect(found.agents).toEqual([{ name: "a1", connection: { host: "10.0.0.21", user: "ops", password: "W" } }]);
  expect(withCredentials(clusterOf({}), {})).not.toHaveProperty("agents");
});

test("no server token comes from outside the inputs: a stack can have many clusters, each with its own", () => {
  expect(
    findCredentials((name) => (name === "token" ? "hunter2" : undefined), { ETCD_BACKUP_TOKEN: "hunter2" }),
  ).toEqual({});
});

test("etcd's password is added where a user is named", () => {
  expect(withCredentials(clusterOf({}), { etcdPassword: "E" })).not.toHaveProperty("password");
  expect(withCredentials({ ...clusterOf({}), username: "root" }, { etcdPassword: "E" }).password).toBe("E");
});

test("keys of S3 are added where neither keys nor a profile are named", () => {
  const credentials = { s3AccessKeyId: "A", s3SecretAccessKey: "B" };
  expect(withS3Credentials({ bucket: "b" }, credentials)).toEqual({
    bucket: "b",
    accessKeyId: "A",
    secretAccessKey: "B",
  });
  expect(withS3Credentials({ bucket: "b", profile: "p" }, credentials)).toEqual({ bucket: "b", profile: "p" });
  expect(withS3Credentials(undefined, credentials)).toBeUndefined();
});

function clusterOf(connection: Connection): Cluster {
  return { distribution: "etcd", name: "prod", servers: [{ name: "s1", connection }] };
}
