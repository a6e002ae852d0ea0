// What the set-up says on the terminal, and the commands it runs: their output goes to a file, shown only when they fail.
import { spawn } from "node:child_process";
import { createWriteStream, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { clearInterval, setInterval } from "node:timers";
import { cacheDirectory } from "./cache.mjs";

let talkative = true;
let current = "";

export function tellEverything(yes) {
  talkative = yes;
}

/** What is worth knowing when nothing is wrong. */
export function say(line) {
  if (talkative) console.error(`set-up: ${line}`);
}

export function secondsSince(started) {
  return `${((Date.now() - started) / 1000).toFixed(1)} s`;
}

/** Work that takes noticeable time is announced even when quiet: nobody likes a terminal that stands still. */
export async function step(title, work, { expect = "" } = {}) {
  const started = Date.now();
  current = title;
  console.error(`set-up: ${title}${expect && `: about ${expect}`}`);
  const ticking = setInterval(() => console.error(`set-up: ${title}: ${secondsSince(started)} so far`), 20_000);
  try {
    const result = await work();
    console.error(`set-up: ${title}: done in ${secondsSince(started)}`);
    return result;
  } finally {
    clearInterval(ticking);
  }
}

/** Runs a command, its output in a log file; throws with the end of that log. */
export async function run(command, words, { cwd, env } = {}) {
  mkdirSync(join(cacheDirectory, "logs"), { recursive: true });
  const log = join(cacheDirectory, "logs", `${current.replaceAll(/[^\w.]+/g, "-")}-${process.pid}.log`);
  const output = createWriteStream(log, { flags: "a" });
  output.write(`$ ${[command, ...words].join(" ")}\n`);
  const child = spawn(command, words, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  child.stdout.pipe(output, { end: false });
  child.stderr.pipe(output, { end: false });
  const code = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => resolve(status ?? signal));
  });
  await new Promise((resolve) => output.end(resolve));
  if (code === 0) return;
  const lines = readFileSync(log, "utf8").trim().split("\n").map(withoutHosts);
  const shown = lines.length <= 24 ? lines : [...lines.slice(0, 12), "…", ...lines.slice(-12)];
  throw new Error([`${current}: ${command} ended with ${code}; all of its output: ${log}`, ...shown].join("\n"));
}

/** Where somebody's packages come from is nobody's business in a pasted log. */
function withoutHosts(line) {
  return line.replaceAll(/:\/\/[^/\s"']+/g, "://…");
}
