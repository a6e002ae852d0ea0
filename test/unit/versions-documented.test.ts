import { readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(__dirname, "../..");
const page = readFileSync(join(root, "docs/versions.md"), "utf8");
const source = readFileSync(join(root, "provider/distributions/embedded-etcd/versions.ts"), "utf8");

/** What stands on lines that match, each once. */
function found(pattern: RegExp): readonly string[] {
  return [...new Set([...source.matchAll(pattern)].map(([, text = ""]) => text))];
}

test("every problem that is known of a version is on the page about versions, by its link", () => {
  const links = found(/^ +link: "([^"]+)"/gm);
  expect(links.length).toBeGreaterThan(15);
  expect(links.filter((link) => !page.includes(link))).toEqual([]);
});

test("so are the first versions that can do something, and those in which a problem begins and ends", () => {
  const versions = found(/(?:^ {2}(?:"[a-z-]+"|compress|proxy)|from|before|zipsUnpackedAnew)(?::| =) "(1\.[^"]+)"/gm);
  expect(versions.length).toBeGreaterThan(20);
  expect(versions.filter((firsts) => !page.includes(firsts.replaceAll(" ", ", ")))).toEqual([]);
});
