import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  expandVariables,
  parseArguments,
  parseBusctlExecStart,
  parseShownExecStart,
  resetArguments,
  serverArguments,
} from "../../../../../provider/distributions/embedded-etcd/settings/exec-start";

// Recorded with k3s.service and k3s.service.env beside them: systemd 252, a script in the place of k3s.
const fixture = (name: string): string =>
  readFileSync(join(__dirname, "../../../../fixtures/embedded-etcd", name), "utf8");

const pairs = (words: readonly string[]): (readonly [string, string])[] =>
  parseArguments(words).map(({ flag, value }) => [flag, value]);

test.each([
  [["--data-dir", "/d"], [["data-dir", "/d"]]],
  [["--data-dir=/d"], [["data-dir", "/d"]]],
  [["-d", "/d"], [["data-dir", "/d"]]],
  [["-d=/d"], [["data-dir", "/d"]]],
  [["-data-dir", "/d"], [["data-dir", "/d"]]],
  [
    ["-t", "x", "-s", "https://a", "-c", "/c"],
    [
      ["token", "x"],
      ["server", "https://a"],
      ["config", "/c"],
    ],
  ],
  [["--token="], [["token", ""]]],
  [["--token", "a=b=c"], [["token", "a=b=c"]]],
  [["--token=a\nb"], [["token", "a\nb"]]],
  [
    ["--cluster-init", "--etcd-s3", "--etcd-s3-bucket", "b"],
    [
      ["cluster-init", "true"],
      ["etcd-s3", "true"],
      ["etcd-s3-bucket", "b"],
    ],
  ],
  [["--etcd-s3=false"], [["etcd-s3", "false"]]],
  [
    ["--node-label", "--odd", "--debug"],
    [
      ["node-label", "--odd"],
      ["debug", "true"],
    ],
  ],
  [
    ["--etcd-arg=a=1", "--etcd-arg", "b=2"],
    [
      ["etcd-arg", "a=1"],
      ["etcd-arg", "b=2"],
    ],
  ],
  [
    ["--debug", "stray", "--token=x"],
    [
      ["debug", "true"],
      ["token", "x"],
    ],
  ],
  [["--token=x", "--", "--debug"], [["token", "x"]]],
  [["--debug", "--token"], [["debug", "true"]]],
])("of the words %j the server reads %j", (words, expected) => {
  expect(pairs(words)).toEqual(expected);
});

test("an argument knows the words that it was", () => {
  expect(parseArguments(["--token", "x", "--debug", "-d=/d"]).map(({ words }) => words)).toEqual([
    ["--token", "x"],
    ["--debug"],
    ["-d=/d"],
  ]);
});

test("a reset takes everything over, but what joins, resets, or says where snapshots are", () => {
  const words = [
    ...["--cluster-init", "--data-dir", "/srv/my k3s", "-s", "https://10.0.0.1:6443", "--server=https://10.0.0.2:6443"],
    ...["--config", "/etc/k3s.yaml", "--etcd-s3", "--etcd-s3-bucket=b", "--etcd-disable-snapshots=true"],
    ...["--cluster-reset", "--cluster-reset-restore-path", "/old", "--tls-san=a", "--tls-san", "b"],
  ];
  expect(resetArguments(words)).toEqual({
    words: [
      ...["--cluster-init", "--data-dir", "/srv/my k3s", "--config", "/etc/k3s.yaml", "--etcd-s3-bucket=b"],
      ...["--tls-san=a", "--tls-san", "b"],
    ],
    secrets: {},
  });
});

test("what is secret is no word of a reset, however it was spelled", () => {
  const words = [
    ...["-t", "s1", "--agent-token=s2", "--etcd-s3-access-key", "s3", "--etcd-s3-secret-key=s4"],
    ...[
      "--etcd-s3-session-token",
      "s5",
      "--datastore-endpoint",
      "s6",
      "--vpn-auth=s7",
      "--etcd-s3-proxy=http://u:s8@p",
    ],
    ...["--token-file", "/run/token", "--debug"],
  ];
  expect(resetArguments(words)).toEqual({
    words: ["--token-file", "/run/token", "--debug"],
    secrets: {
      token: "s1",
      "agent-token": "s2",
      "etcd-s3-access-key": "s3",
      "etcd-s3-secret-key": "s4",
      "etcd-s3-session-token": "s5",
      "datastore-endpoint": "s6",
      "vpn-auth": "s7",
      "etcd-s3-proxy": "http://u:s8@p",
    },
  });
});

test.each([
  [["/usr/local/bin/k3s", "server", "--debug"], ["--debug"]],
  [["/usr/local/bin/rke2", "server"], []],
  [
    ["/usr/local/bin/k3s", "--debug", "server", "--server", "x"],
    ["--server", "x"],
  ],
  [["server", "agent"], undefined],
  [["/usr/local/bin/k3s", "agent", "--debug"], undefined],
  [[], undefined],
])("of %j the server's arguments are %j", (argv, expected) => {
  expect(serverArguments(argv)).toEqual(expected);
});

test("systemd's bus tells words apart", () => {
  expect(parseBusctlExecStart(fixture("busctl-exec-start.txt"))).toEqual([
    ...["/usr/local/bin/k3s", "server", "--data-dir", "/srv/my k3s", "--etcd-snapshot-schedule-cron=0 */6 * * *"],
    ...["--node-name=s1", "$K3S_ARGS", "$EMPTY", "${EMPTY}", "${K3S_TOKEN}-x", "pre$K3S_TOKEN", "$$HOME"],
    ...["--token", 'a"b;c'],
  ]);
});

test.each([
  "",
  "Failed to connect to bus: No such file or directory",
  "{}",
  "null",
  '{"data":[]}',
  '{"data":[["k3s"]]}',
  '{"data":[["k3s",[1]]]}',
])("without an answer of the bus, %j for one, there are no words", (answer) => {
  expect(parseBusctlExecStart(answer)).toBeUndefined();
});

test("systemctl tells blanks in words from blanks between them no longer", () => {
  expect(parseShownExecStart(fixture("show-exec-start.txt")).slice(0, 6)).toEqual([
    ...["/usr/local/bin/k3s", "server", "--data-dir", "/srv/my", "k3s", "--etcd-snapshot-schedule-cron=0"],
  ]);
  expect(parseShownExecStart(fixture("show-exec-start.txt")).at(-1)).toBe('a"b;c');
  expect(parseShownExecStart("ExecStart=\n")).toEqual([]);
});

test("variables are put in as systemd put them in when it started the command", () => {
  const variables = new Map([
    ["K3S_TOKEN", "se cret"],
    ["K3S_ARGS", "--node-label a=b --node-taint 'x y'  --debug"],
    ["EMPTY", ""],
  ]);
  const argv = parseBusctlExecStart(fixture("busctl-exec-start.txt")) ?? [];
  expect(expandVariables(argv, variables)).toEqual(fixture("argv.txt").replace(/\n$/, "").split("\n"));
});

test.each([
  ["a 'b c'd \"e f\"", ["a", "b cd", "e f"]],
  ['"a \\" b" c\\ d', ['a " b', "c d"]],
  ["''", [""]],
  ["  \n ", []],
])("of a variable's text %j come the words %j", (text, words) => {
  expect(expandVariables(["$X", "$UNKNOWN", "${X"], new Map([["X", text]]))).toEqual([...words, "${X"]);
});
