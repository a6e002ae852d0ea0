import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  formatEnvironmentFile,
  parseEnvironment,
  parseEnvironmentFile,
  type Variable,
} from "../../../../../provider/distributions/embedded-etcd/settings/environment";

// Recorded: a unit with odd settings and an odd environment file, what systemctl shows of it, what it was started with.
const fixture = (name: string): string =>
  readFileSync(join(__dirname, "../../../../fixtures/embedded-etcd", name), "utf8");
const startedWith = new Map(
  fixture("odd-started-with.txt")
    .split("\x1e")
    .filter((line) => line !== "")
    .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
);
const seen = ({ name }: Variable): Variable => ({ name, value: startedWith.get(name) ?? "not there" });

test("an environment file says what systemd starts a unit with, whatever the quotes", () => {
  const variables = parseEnvironmentFile(fixture("odd.env"));
  expect(variables).toEqual(variables.map(seen));
  expect(variables.map(({ name }) => name)).toEqual([
    ...["SINGLE", "SPLIT", "WRITTEN", "DOUBLE_QUOTED", "BARE", "BARE_QUOTES", "LINES", "BACKSLASH"],
    ...["AFTER", "APART", "NOTHING"],
  ]);
});

test("so does what systemctl shows of the unit's own settings", () => {
  const variables = parseEnvironment(fixture("odd-environment.txt").trimEnd());
  expect(variables).toEqual(variables.map(seen));
  expect(variables.map(({ name }) => name).join(" ")).toBe("PLAIN TWO SPACES QUOTE DOUBLE BACK DOLLAR EMPTY TAB");
});

test("what is written for systemd is read back as it was", () => {
  const variables = [...startedWith].map(([name, value]) => ({ name, value }));
  expect(parseEnvironmentFile(formatEnvironmentFile(variables))).toEqual(variables);
});

test.each(["", "\n\n", "# K3S_TOKEN=x", "  ; K3S_TOKEN=x", "K3S_TOKEN", "=x", "export K3S_TOKEN=x"])(
  "%j sets nothing",
  (text) => {
    expect(parseEnvironmentFile(text)).toEqual([]);
  },
);

test.each([
  ["K3S_TOKEN=x", "x"],
  ["  K3S_TOKEN=x\r", "x"],
  ["K3S_TOKEN=x y # not a comment", "x y # not a comment"],
  ["K3S_TOKEN='unended\nK3S_URL=x", "'unended"],
])("%j", (text, value) => {
  expect(parseEnvironmentFile(text)[0]).toEqual({ name: "K3S_TOKEN", value });
});
