// The checkout itself: its dependencies and its build, each only when it does not match its source.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { run, step } from "./progress.mjs";

export const root = fileURLToPath(new URL("../../..", import.meta.url));

/** What belongs to this checkout alone. Inside node_modules, so that it goes when the dependencies go. */
export const stampDirectory = join(root, "node_modules", ".pulumi-etcd-backup");

export async function installDependencies() {
  const lock = readFileSync(join(root, "package-lock.json"), "utf8");
  if (readStamp("dependencies") === hash(lock)) return;
  if (!isInstalled(JSON.parse(lock))) {
    await step("dependencies (npm ci)", () => run("npm", ["ci", "--ignore-scripts"], { cwd: root }), {
      expect: "30 s",
    });
  }
  writeStamp("dependencies", hash(lock));
}

export async function buildProject() {
  const provider = join(root, "provider");
  const sources = readdirSync(provider, { recursive: true }).filter((path) => path.endsWith(".ts"));
  const inputs = ["tsconfig.json", "package-lock.json", ...sources.sort().map((path) => join("provider", path))];
  const recipe = hash(inputs.map((path) => `${path}\n${readFileSync(join(root, path), "utf8")}`).join("\n"));
  if (readStamp("build") === recipe && existsSync(join(root, "dist"))) return;
  await step("build (tsc)", () => run("npm", ["run", "build"], { cwd: root }));
  removeStale(new Set(sources.map((path) => path.slice(0, -".ts".length))));
  writeStamp("build", recipe);
}

/** npm's own record of what it installed says whether it is what the lock file asks for. */
function isInstalled(lock) {
  const record = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(record)) return false;
  const installed = JSON.parse(readFileSync(record, "utf8")).packages;
  return Object.entries(lock.packages).every(([path, wanted]) => {
    if (path === "") return true;
    const found = installed[path];
    // What is optional may be for another machine.
    if (found === undefined) return wanted.optional === true || wanted.peer === true;
    return found.version === wanted.version && found.integrity === wanted.integrity;
  });
}

/** tsc leaves the output of sources that are gone, and it would be published. */
function removeStale(modules) {
  const dist = join(root, "dist");
  for (const path of readdirSync(dist, { recursive: true })) {
    const [, module] = /^(.*?)(?:\.d\.ts|\.js\.map|\.js)$/.exec(path) ?? [];
    if (module !== undefined && !modules.has(module)) rmSync(join(dist, path));
  }
}

function readStamp(name) {
  const path = join(stampDirectory, name);
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

export function writeStamp(name, content) {
  mkdirSync(dirname(join(stampDirectory, name)), { recursive: true });
  writeFileSync(join(stampDirectory, name), content);
}

function hash(text) {
  return createHash("sha256").update(text).digest("hex");
}
