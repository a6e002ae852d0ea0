import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type ConfigFile,
  effectiveSettings,
  flagOn,
  type SettingSources,
  setting,
} from "../../../../../provider/distributions/embedded-etcd/settings/config-files";

const base = "/etc/rancher/k3s/config.yaml";
const nothing: SettingSources = { prefix: "K3S", files: [], args: [], environment: [] };
const merge = (sources: Partial<SettingSources>): ReturnType<typeof effectiveSettings> =>
  effectiveSettings({ ...nothing, ...sources });

/** Drop-ins are named here without their folder. */
function files(texts: Readonly<Record<string, string>>): ConfigFile[] {
  return Object.entries(texts).map(([name, text]) => ({
    path: name.startsWith("/") ? name : `${base}.d/${name}`,
    text,
  }));
}

function lists(sources: Partial<SettingSources>): Record<string, readonly string[]> {
  return Object.fromEntries([...merge(sources).values].map(([key, { list }]) => [key, list]));
}

test("a server's files: the last one has the whole say on a key, key+ adds, and names go by their bytes", () => {
  const folder = join(__dirname, "../../../../fixtures/embedded-etcd/k3s");
  const dropIns = readdirSync(join(folder, "config.yaml.d")).reverse();
  const read = ["config.yaml", ...dropIns.map((name) => `config.yaml.d/${name}`)].map((name) => ({
    path: `/etc/rancher/k3s/${name}`,
    text: readFileSync(join(folder, name), "utf8"),
  }));
  const { values, unreadable } = merge({ files: read });
  expect(unreadable).toEqual([]);
  expect(
    [...values]
      .map(([key, { list, source }]) => `${key} ${list.join(",")} ${source.slice("/etc/rancher/k3s/".length)}`)
      .sort(),
  ).toMatchInlineSnapshot(`
    [
      "cluster-init true config.yaml",
      "etcd-s3 true config.yaml",
      "etcd-s3-bucket backups config.yaml.d/60-etcd-backup.yaml",
      "etcd-s3-folder cluster-a config.yaml.d/60-etcd-backup.yaml",
      "etcd-s3-insecure true config.yaml.d/a-small.yaml",
      "etcd-s3-region eu-west-1 config.yaml.d/Z-capital.yaml",
      "etcd-s3-timeout 10m config.yaml",
      "etcd-snapshot-name from-a config.yaml.d/a-small.yaml",
      "etcd-snapshot-retention 8 config.yaml.d/60-etcd-backup.yaml",
      "etcd-snapshot-schedule-cron 0 */6 * * * config.yaml.d/60-etcd-backup.yaml",
      "kubelet-arg max-pods=200 config.yaml.d/10-names.yml",
      "node-label zone=a,rack=2 config.yaml.d/10-names.yml",
      "server  config.yaml.d/a-small.yaml",
      "tls-san k3s.example.com,10.0.0.10,backup.example.com config.yaml.d/10-names.yml",
      "token K10abc::server:base config.yaml",
      "write-kubeconfig-mode 0644 config.yaml",
    ]
  `);
});

test("drop-ins count without the base file; what is not YAML by its name does not", () => {
  const dropIns = { "b.YAML": "token: b", "a.yml": "token: a", "c.json": '{"token":"c"}', "d.yaml.bak": "token: d" };
  expect(lists({ files: files(dropIns) })).toEqual({ token: ["b"] });
});

test("a base file may have any name, and lie in a folder as drop-ins do", () => {
  const found = files({ "/srv/k3s.d/main.d/a.yaml": "token: drop-in", "/srv/k3s.d/main": "token: base\ndebug: true" });
  expect(lists({ files: found })).toEqual({ token: ["drop-in"], debug: ["true"] });
});

test("a list is replaced, not merged; an empty one takes back what was said", () => {
  const found = files({ [base]: "tls-san: [a, b]\nnode-label: [c]", "1.yaml": "tls-san: [d]\nnode-label: []" });
  expect(lists({ files: found })).toEqual({ "tls-san": ["d"] });
});

test.each([
  ["tls-san: a", "tls-san+: b", ["a", "b"]],
  ["tls-san: [a]", "tls-san+: [b, c]", ["a", "b", "c"]],
  ["tls-san:", "tls-san+: b", ["b"]],
  ["tls-san: a", "tls-san+:", ["a"]],
  ["tls-san: a", "tls-san+: 5", ["a", "5"]],
  ["debug: true", "tls-san+: b", ["b"]],
])("after %j, %j gives %j", (first, second, expected) => {
  expect(lists({ files: files({ [base]: first, "1.yaml": second }) })["tls-san"]).toEqual(expected);
});

// As gopkg.in/yaml.v2 and Go's fmt write them.
test.each([
  ["yes", "true"],
  ["Off", "false"],
  ['"yes"', "yes"],
  ["0644", "420"],
  ['"0644"', "0644"],
  ["12345678901234567890", "12345678901234567890"],
  ["123456789012345678901", "1.2345678901234568e+20"],
  ["7e2", "700"],
  ["1.5e9", "1.5e+09"],
  ["0.00001", "1e-05"],
  ["12:30", "12:30"],
  ["2026-11-21", "2026-11-21"],
  ["~", ""],
  ["", ""],
  ['"  x "', "x"],
  ["[2, [x, y]]", "x"],
  ["5m0s", "5m0s"],
  ["0 */6 * * *", "0 */6 * * *"],
  ["K10ab::server:0123", "K10ab::server:0123"],
])("in YAML, %s is the text %j", (yaml, expected) => {
  expect(merge({ files: files({ [base]: `token: ${yaml}\n` }) }).values.get("token")?.value).toBe(expected);
});

test.each([
  ["token: [", "not closed"],
  ["a: b: c", "two values"],
  ["just text", "no mapping"],
  ["- a", "a list"],
  ["\ttoken: x", "a tab"],
])("%j cannot be read (%s), and the rest still is", (text) => {
  const settings = merge({ files: files({ [base]: "token: a", "1.yaml": text, "2.yaml": "debug: true" }) });
  expect(settings.unreadable).toEqual([`${base}.d/1.yaml`]);
  expect(flagOn(settings, "debug")).toBe(true);
  expect(setting(settings, "token")).toBe("a");
});

test.each(["", "# nothing yet\n", "---\n", "~"])("%j says nothing, and can be read", (text) => {
  expect(merge({ files: files({ [base]: text }) })).toEqual({ values: new Map(), unreadable: [] });
});

test("of several documents in a file the first counts; of a key given twice, the last", () => {
  expect(lists({ files: files({ [base]: "token: a\ntoken: b\n---\ntoken: c\n" }) })).toEqual({ token: ["b"] });
});

test("arguments override one value and go on with a list", () => {
  const found = files({ [base]: "token: file\ntls-san: [a]\ndata-dir: /file" });
  const { values } = merge({ files: found, args: ["-t", "arg", "--tls-san=b", "--tls-san", "c"] });
  expect(values.get("token")).toEqual({ value: "arg", list: ["file", "arg"], source: "ExecStart" });
  expect(values.get("tls-san")).toEqual({ value: "c", list: ["a", "b", "c"], source: "ExecStart" });
  expect(values.get("data-dir")).toEqual({ value: "/file", list: ["/file"], source: base, file: base });
});

test("short and long names are one setting, in files as in arguments", () => {
  const settings = merge({ files: files({ [base]: "t: file\nd: /d" }), args: ["-s", "https://a:6443"] });
  expect(setting(settings, "token")).toBe("file");
  expect(setting(settings, "data-dir")).toBe("/d");
  expect(setting(settings, "server")).toBe("https://a:6443");
});

test("a variable counts where neither a file nor an argument says something, the last of its name", () => {
  const environment = [
    { name: "K3S_TOKEN", value: "old", source: "k3s.service" },
    { name: "K3S_TOKEN", value: "variable", source: "/etc/default/k3s" },
    { name: "K3S_URL", value: "https://variable:6443", source: "/etc/default/k3s" },
    { name: "K3S_DATA_DIR", value: "/variable", source: "/etc/default/k3s" },
    { name: "K3S_NODE_NAME", value: "", source: "/etc/default/k3s" },
    { name: "RKE2_DATASTORE_ENDPOINT", value: "x", source: "/etc/default/k3s" },
    { name: "HTTP_PROXY", value: "x", source: "/etc/default/k3s" },
  ];
  const settings = merge({ files: files({ [base]: "server: ''" }), args: ["--data-dir=/arg"], environment });
  expect(settings.values.get("token")).toEqual({
    ...{ value: "variable", list: ["variable"], source: "/etc/default/k3s" },
  });
  // Said to be empty, it is given: so a reset takes `K3S_URL` back.
  expect(setting(settings, "server")).toBeUndefined();
  expect(setting(settings, "data-dir")).toBe("/arg");
  expect([...settings.values.keys()].sort()).toEqual(["data-dir", "server", "token"]);
});

test.each([
  ["K3S", "K3S_TOKEN", "token"],
  ["K3S", "K3S_TOKEN_FILE", "token-file"],
  ["K3S", "K3S_URL", "server"],
  ["K3S", "K3S_DATA_DIR", "data-dir"],
  ["K3S", "K3S_CLUSTER_INIT", "cluster-init"],
  ["K3S", "K3S_NODE_NAME", "node-name"],
  ["K3S", "K3S_DATASTORE_ENDPOINT", "datastore-endpoint"],
  ["RKE2", "RKE2_TOKEN", "token"],
  ["RKE2", "RKE2_URL", "server"],
  ["RKE2", "RKE2_CLUSTER_INIT", undefined],
  ["RKE2", "K3S_TOKEN", undefined],
  ["RKE2", "AWS_ACCESS_KEY_ID", "etcd-s3-access-key"],
  ["K3S", "AWS_SECRET_ACCESS_KEY", "etcd-s3-secret-key"],
  ["K3S", "AWS_SESSION_TOKEN", "etcd-s3-session-token"],
  ["K3S", "ABC_TOKEN", undefined],
  ["K3S", "K3S_constructor", undefined],
] as const)("to %s the variable %s is %s", (prefix, name, key) => {
  const { values } = merge({ prefix, environment: [{ name, value: "x", source: "unit" }] });
  expect([...values.keys()]).toEqual(key === undefined ? [] : [key]);
});

test("for the name of the configuration file the variable wins over the argument", () => {
  const environment = [{ name: "RKE2_CONFIG_FILE", value: "/variable", source: "unit" }];
  expect(setting(merge({ prefix: "RKE2", args: ["--config=/arg"], environment }), "config")).toBe("/variable");
  expect(setting(merge({ prefix: "RKE2", args: ["-c", "/arg"] }), "config")).toBe("/arg");
  expect(setting(merge({ prefix: "RKE2" }), "config")).toBeUndefined();
});

test.each([
  ["--etcd-s3", true],
  ["--etcd-s3=1", true],
  ["--etcd-s3=TRUE", true],
  ["--etcd-s3=True", true],
  ["--etcd-s3=false", false],
  ["--etcd-s3=", false],
  ["--debug", false],
])("with %s, etcd-s3 is on: %s", (arg, on) => {
  expect(flagOn(merge({ args: [arg] }), "etcd-s3")).toBe(on);
});
