// Makes this checkout ready: dependencies and the build, with --lab also everything that the lab needs.
// Nothing that is there already is made again. Plain Node, because it runs before anything is installed.
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDirectory, removeUnfinished } from "./lab/setup/cache.mjs";
import { installPackages } from "./lab/setup/debian.mjs";
import { provideEquipment } from "./lab/setup/equipment.mjs";
import { missingPrerequisites } from "./lab/setup/prerequisites.mjs";
import { say, secondsSince, tellEverything } from "./lab/setup/progress.mjs";
import { buildProject, installDependencies } from "./lab/setup/project.mjs";

const started = Date.now();
const lab = process.argv.includes("--lab");
const quiet = process.argv.includes("--quiet");
const unknown = process.argv.slice(2).filter((word) => !["--lab", "--quiet", "--locked"].includes(word));
if (unknown.length > 0) fail([`unknown: ${unknown.join(" ")}`, "usage: node test/setup.mjs [--lab] [--quiet]"]);

const missing = missingPrerequisites({ lab });
if (missing.length > 0) fail(missing);

if (process.argv.includes("--locked")) await setUp();
else process.exit(runLocked());

async function setUp() {
  tellEverything(!quiet);
  try {
    removeUnfinished();
    await installDependencies();
    await buildProject();
    if (lab) {
      await installPackages();
      await provideEquipment();
    }
  } catch (error) {
    fail(error.message.split("\n"));
  }
  say(`ready in ${secondsSince(started)}`);
}

/** Two set-ups share the cache and this checkout: the second waits for the first, and then finds everything made. */
function runLocked() {
  const busy = 75;
  mkdirSync(cacheDirectory, { recursive: true });
  const run = (...how) => {
    const words = [fileURLToPath(import.meta.url), ...process.argv.slice(2), "--locked"];
    const lock = ["--close", "--conflict-exit-code", String(busy), ...how, join(cacheDirectory, "setup.lock")];
    const { status, error } = spawnSync("flock", [...lock, process.execPath, ...words], { stdio: "inherit" });
    if (error) fail([`flock cannot be started: ${error.message}`]);
    return status ?? 1;
  };
  const status = run("--nonblock");
  if (status !== busy) return status;
  console.error("set-up: another set-up is running: waiting");
  return run();
}

function fail(lines) {
  for (const line of lines) console.error(`set-up: ${line}`);
  process.exit(1);
}
