import { readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(__dirname, "../..");

const codes = [...readFileSync(join(root, "provider/errors.ts"), "utf8").matchAll(/^ {2}\| "([A-Z_]+)"/gm)].map(
  ([, code = ""]) => code,
);
const sections = readFileSync(join(root, "docs/errors.md"), "utf8")
  .split(/^### /m)
  .slice(1)
  .map((section) => ({ code: section.split("\n", 1)[0] ?? "", text: section }));

test("every error code is on the page about errors, once, and no other is", () => {
  expect(codes.length).toBeGreaterThan(20);
  expect(sections.map(({ code }) => code).sort()).toEqual([...codes].sort());
});

test("each of them has a cause and a next step", () => {
  const lacking = sections.filter(
    ({ text }) => !/^- \*\*Cause:\*\* \S/m.test(text) || !/^- \*\*Next:\*\* \S/m.test(text),
  );
  expect(lacking.map(({ code }) => code)).toEqual([]);
});
