import type { types } from "@pulumi/command";
import type { Input } from "@pulumi/pulumi";
import type { ConnectionArgs, ProxyConnectionArgs } from "../../../provider/index";

type TheirConnection = types.input.remote.ConnectionArgs;

// Checked by the compiler: one object serves `@pulumi/command` and a cluster.
test("our connection, with a host, is a connection of @pulumi/command", () => {
  const ours: ConnectionArgs & { readonly host: Input<string> } = { host: "10.0.0.11", user: "ubuntu", port: 22 };
  const theirs: TheirConnection = ours;
  expect(theirs).toBe(ours);
});

test("a connection of @pulumi/command is one of ours", () => {
  const theirs: TheirConnection = { host: "10.0.0.11", proxy: { host: "bastion" } };
  const ours: ConnectionArgs = theirs;
  expect(ours).toBe(theirs);
});

test("every name of @pulumi/command is known to us", () => {
  const known: Record<keyof TheirConnection, keyof ConnectionArgs> = {
    agentSocketPath: "agentSocketPath",
    dialErrorLimit: "dialErrorLimit",
    host: "host",
    hostKey: "hostKey",
    password: "password",
    perDialTimeout: "perDialTimeout",
    port: "port",
    privateKey: "privateKey",
    privateKeyPassword: "privateKeyPassword",
    proxy: "proxy",
    user: "user",
  };
  const bastion: Record<Exclude<keyof TheirConnection, "proxy">, keyof ProxyConnectionArgs> = known as never;
  expect(Object.keys(bastion)).toHaveLength(11);
});
