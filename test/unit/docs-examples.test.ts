import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import * as ts from "typescript";

const root = join(__dirname, "../..");
const pages = [
  ...["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map((name) => join(root, name)),
  ...readdirSync(join(root, "docs")).map((name) => join(root, "docs", name)),
];

/** A page's TypeScript, from top to bottom, is one program. Everything else becomes an empty line, so that line numbers stay. */
function programOf(page: string): string {
  let inside = false;
  const lines = readFileSync(page, "utf8")
    .split("\n")
    .map((line) => {
      if (line.startsWith("```")) {
        inside = !inside && line === "```ts";
        return "";
      }
      return inside ? line : "";
    });
  return lines.join("\n");
}

const programs: ReadonlyMap<string, string> = new Map(
  pages.map((page): [string, string] => [`${page}.ts`, programOf(page)]).filter(([, text]) => text.trim() !== ""),
);

test("the TypeScript of every page compiles against this package", () => {
  expect(programs.size).toBeGreaterThanOrEqual(5);
  expect(complaints(programs)).toEqual([]);
}, 60_000);

test("the README's program is the example", () => {
  const lines = (text: string): string[] => text.split("\n").filter((line) => line.trim() !== "");
  const readme = programs.get(join(root, "README.md.ts")) ?? "";
  expect(lines(readme)).toEqual(lines(readFileSync(join(root, "examples/etcd/index.ts"), "utf8")));
});

test("every link to a file of this repository, and to a heading in it, leads somewhere", () => {
  const links = pages.flatMap((page) => linksOf(page).map((link) => ({ page: relative(root, page), ...link })));
  expect(links.length).toBeGreaterThan(20);
  expect(links.filter(({ path, anchor }) => !existsSync(path) || !hasAnchor(path, anchor))).toEqual([]);
});

/** What the compiler says, a line each: `docs/s3.md:12: …`. */
function complaints(sources: ReadonlyMap<string, string>): string[] {
  const options: ts.CompilerOptions = {
    ...{ module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext },
    ...{ target: ts.ScriptTarget.ES2022, lib: ["lib.es2023.d.ts"], types: ["node"] },
    ...{ strict: true, noEmit: true, skipLibCheck: true },
    // Against the sources: a test must not depend on a build.
    ...{ baseUrl: root, paths: { "pulumi-etcd-backup": ["./provider/index.ts"] } },
  };
  const files = ts.createCompilerHost(options);
  const host: ts.CompilerHost = {
    ...files,
    fileExists: (path) => sources.has(path) || files.fileExists(path),
    readFile: (path) => sources.get(path) ?? files.readFile(path),
    getSourceFile: (path, version, ...rest) => {
      const text = sources.get(path);
      return text === undefined
        ? files.getSourceFile(path, version, ...rest)
        : ts.createSourceFile(path, text, ts.ScriptTarget.ES2022);
    },
  };
  const program = ts.createProgram([...sources.keys()], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
    const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start).line + 1;
    const page = file === undefined ? "" : relative(root, file.fileName).replace(/\.md\.ts$/, ".md");
    return `${page}:${line}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
  });
}

function linksOf(page: string): { path: string; anchor: string }[] {
  return [...readFileSync(page, "utf8").matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = ""]) => target)
    .filter((target) => !/^https?:/.test(target))
    .map((target) => {
      const [path = "", anchor = ""] = target.split("#");
      return { path: path === "" ? page : join(dirname(page), path), anchor };
    });
}

function hasAnchor(path: string, anchor: string): boolean {
  if (anchor === "") return true;
  const headings = [...readFileSync(path, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, text = ""]) => text);
  return headings.some((text) => slug(text) === anchor);
}

/** As GitHub makes it. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}
