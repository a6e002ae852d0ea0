import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";

const root = join(__dirname, "..");
const provider = join(root, "provider");

// From the ground up. A file imports from its own floor and from those below.
const floors = [
  "",
  "transport",
  "snapshot-file",
  "plan",
  "stores distributions",
  "operations",
  "lifecycle",
  "resources",
];
const doors = ["index.ts", "dynamic-provider.ts", "wire.ts"];

// What is heavy, or a world of its own, is known in one place.
const places: readonly (readonly [RegExp, RegExp])[] = [
  [/^@pulumi\//, /^(resources\/|dynamic-provider\.ts$)/],
  [/^(ssh2|etcd3)$/, /^transport\//],
  [/^@aws-sdk\//, /^stores\//],
];

const files = readdirSync(provider, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
const imports = files.flatMap((file) =>
  importsOf(readFileSync(join(provider, file), "utf8")).map((found) => ({ file, ...found })),
);

test("imports point down or sideways, never up", () => {
  const inner = imports.filter(({ from }) => from.startsWith("."));
  const upward = inner.filter(({ file, from }) => floorOf(posix.join(dirname(file), from)) > floorOf(file));
  expect(inner.length).toBeGreaterThan(50);
  expect(upward).toEqual([]);
});

// Programs without a TypeScript of their own are checked by one that cannot read newer declarations.
test("what users import knows nothing of the floors below", () => {
  const read = imports.filter(({ file, call }) => !call && (file === "index.ts" || file.startsWith("resources/")));
  expect(read.filter(({ from }) => !/^(@pulumi\/pulumi|\.\/[\w/-]+)$/.test(from))).toEqual([]);
});

test("Pulumi, SSH, etcd's client and S3 are each imported in one place", () => {
  const astray = imports.filter(({ file, from }) =>
    places.some(([module, place]) => module.test(from) && !place.test(file)),
  );
  expect(astray).toEqual([]);
});

test("what is heavy is loaded inside a function: only types are imported at the top", () => {
  const early = imports.filter(
    ({ file, from, atTop }) => atTop && places.some(([module]) => module.test(from)) && !file.startsWith("resources/"),
  );
  expect(early).toEqual([]);
});

test("loading the provider prints nothing: Pulumi reads its port from the first line", () => {
  const script = `require("tsx/cjs"); require(${JSON.stringify(join(provider, "dynamic-provider.ts"))})`;
  expect(execFileSync(process.execPath, ["-e", script], { cwd: root, encoding: "utf8" })).toBe("");
});

function floorOf(file: string): number {
  const name = posix.basename(file);
  if (doors.some((door) => file === door || `${file}.ts` === door)) return floors.length;
  const folder = file.includes("/") ? (file.split("/")[0] ?? "") : "";
  const floor = floors.findIndex((names) => names.split(" ").includes(folder));
  if (floor < 0) throw new Error(`${name}: ${folder} is on no floor`);
  return floor;
}

function importsOf(source: string): { from: string; atTop: boolean; call: boolean }[] {
  const statements = source.matchAll(/^(import|export) (type )?[^;]*? from "([^"]+)";/gm);
  const calls = source.matchAll(/(?:\bimport|\brequire)\("([^"]+)"\)/g);
  return [
    ...[...statements].map(([, , type, from = ""]) => ({ from, atTop: type === undefined, call: false })),
    ...[...calls].map(([, from = ""]) => ({ from, atTop: false, call: true })),
  ];
}
