import { readMemberSettings } from "../../../../provider/distributions/etcd/member-settings";

const none = { args: [], vars: [], config: "" };
const settings = (sources: Partial<Parameters<typeof readMemberSettings>[0]>): Record<string, string> =>
  Object.fromEntries(readMemberSettings({ ...none, ...sources }));

test.each([
  [["etcd", "--name=s1"], { name: "s1" }],
  [["etcd", "--name", "s1"], { name: "s1" }],
  [["etcd", "-name", "s1"], { name: "s1" }],
  [["etcd", "-name=s1"], { name: "s1" }],
  [["etcd", "--name="], { name: "" }],
  [
    ["etcd", "--initial-cluster=s1=https://a:2380,s2=https://b:2380"],
    { "initial-cluster": "s1=https://a:2380,s2=https://b:2380" },
  ],
  [["etcd", "--data-dir", "/my data"], { "data-dir": "/my data" }],
  [["etcd", "--client-cert-auth", "--name", "s1"], { "client-cert-auth": "true", name: "s1" }],
  [["etcd", "--name", "s1", "--client-cert-auth"], { name: "s1", "client-cert-auth": "true" }],
  [["etcd", "--client-cert-auth=false"], { "client-cert-auth": "false" }],
  [["etcd", "--name", "old", "--name", "new"], { name: "new" }],
  [["/opt/etcd --odd/etcd", "", "s1"], {}],
])("of the words %j etcd reads %j", (args, expected) => {
  expect(settings({ args })).toEqual(expected);
});

test("variables are named as flags are", () => {
  const vars = ["ETCD_DATA_DIR=/d", "ETCD_INITIAL_CLUSTER=s1=http://a:2380", "ETCD_NAME=", "PATH=/bin", "XETCD_NAME=x"];
  expect(settings({ vars })).toEqual({ "data-dir": "/d", "initial-cluster": "s1=http://a:2380", name: "" });
});

test("a flag wins over its variable", () => {
  expect(settings({ args: ["etcd", "--name=flag"], vars: ["ETCD_NAME=var", "ETCD_DATA_DIR=/d"] })).toEqual({
    ...{ name: "flag", "data-dir": "/d" },
  });
});

test("a configuration file makes etcd ignore both", () => {
  const sources = {
    args: ["etcd", "--name=flag", "--config-file=/f"],
    vars: ["ETCD_NAME=var"],
    config: "data-dir: /d\n",
  };
  expect(settings(sources)).toEqual({ "data-dir": "/d" });
});

test("a configuration file nests what flags spell with a prefix", () => {
  const config = `
name: 's1'
data-dir: "/my data" # a comment
snapshot-count: 5000
listen-client-urls: https://10.0.0.1:2379,https://127.0.0.1:2379
client-transport-security:
  cert-file: /pki/server.crt
  trusted-ca-file: /pki/ca.crt
  client-cert-auth: true
peer-transport-security:
  cert-file: /pki/peer.crt
log-outputs: [stderr]
wal-dir:
`;
  expect(settings({ config })).toEqual({
    ...{ name: "s1", "data-dir": "/my data", "snapshot-count": "5000" },
    "listen-client-urls": "https://10.0.0.1:2379,https://127.0.0.1:2379",
    ...{ "cert-file": "/pki/server.crt", "trusted-ca-file": "/pki/ca.crt", "client-cert-auth": "true" },
    "peer-cert-file": "/pki/peer.crt",
  });
});

test("a configuration file in JSON is one too", () => {
  expect(settings({ config: '{"name":"s1","peer-transport-security":{"key-file":"/k"}}' })).toEqual({
    ...{ name: "s1", "peer-key-file": "/k" },
  });
});

test("a configuration file of blanks is none", () => {
  expect(settings({ config: " \n", vars: ["ETCD_NAME=s1"] })).toEqual({ name: "s1" });
});
