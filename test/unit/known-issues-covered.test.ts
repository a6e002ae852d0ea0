import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(__dirname, "../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const issues = read("test/fixtures/embedded-etcd/known-issues.txt").trim().split("\n");
const [, without = ""] = read("docs/versions.md").split("\n## Checks that no test covers\n");

/** What stands in quotes: a comment is no test. */
const named = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".test.ts") && !path.includes("node_modules"))
  .flatMap((path) => read(join("test", path)).split("\n"))
  .filter((line) => !/^\s*(\/\/|\*|\/\*)/.test(line))
  .flatMap((line) => line.match(/["`][^"`]*["`]/g) ?? [])
  .join("\n");

/** As `rke2#1234` or `rke2/issues/1234`, and not as a part of a longer number. */
function isIn(text: string, issue: string): boolean {
  return new RegExp(`${issue.replace("#", "(#|/issues/)")}(?![0-9])`).test(text);
}

test.each(issues)("%s has a test that is named after it, or a reason why not", (issue) => {
  expect([isIn(named, issue), isIn(without, issue)]).toContain(true);
});

test("what a test covers now is no longer said to be uncovered, and nothing is listed twice", () => {
  expect(issues.filter((issue) => isIn(named, issue) && isIn(without, issue))).toEqual([]);
  expect(new Set(issues).size).toBe(issues.length);
});
