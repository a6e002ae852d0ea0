// What `npm run test:faults` runs: a restore with a fault in it, over and over; then what became of each. With `--all`
// every fault on every distribution, else those that `npm test` has too.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Report {
  readonly testResults: readonly { readonly assertionResults: readonly Result[] }[];
}

interface Result {
  readonly title: string;
  readonly status: string;
  readonly duration?: number | null;
}

const all = process.argv.includes("--all");
const scratch = mkdtempSync(join(tmpdir(), "etcd-backup-faults-"));
const path = join(scratch, "report.json");
const { status } = spawnSync(
  "npx",
  ["--no-install", "jest", "--runInBand", "--json", `--outputFile=${path}`, "test/e2e/.*restore-faults"],
  { stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, ...(all ? { FAULTS: "all" } : {}) } },
);
const { testResults } = JSON.parse(readFileSync(path, "utf8")) as Report;
rmSync(scratch, { recursive: true, force: true });

const results = testResults.flatMap(({ assertionResults }) => assertionResults);
for (const { title, status: outcome, duration } of results) {
  const seconds = ((duration ?? 0) / 1000).toFixed(1).padStart(7);
  process.stdout.write(`${outcome === "passed" ? "held  " : "BROKE "}${seconds} s  ${title}\n`);
}
const broke = results.filter(({ status: outcome }) => outcome !== "passed").length;
process.stdout.write(`\n${results.length} faults, ${results.length - broke} held, ${broke} broke\n`);
process.exitCode = status === 0 && broke === 0 && results.length > 0 ? 0 : 1;
