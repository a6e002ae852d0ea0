// What `npm test` runs once the set-up is done: every part in order, cheapest first; then the time of each and the sum of the tests.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Part {
  readonly title: string;
  readonly words: readonly string[];
  readonly jest?: true;
}

const parts: readonly Part[] = [
  { title: "format", words: ["prettier", "--check", "--log-level", "warn", "."] },
  { title: "lint", words: ["eslint", "."] },
  { title: "types", words: ["tsc", "-p", "test/tsconfig.json"] },
  { title: "unit tests", words: ["jest", "--selectProjects", "unit"], jest: true },
  { title: "integration tests", words: ["jest", "--selectProjects", "integration"], jest: true },
  { title: "end-to-end tests", words: ["jest", "--selectProjects", "e2e", "--runInBand"], jest: true },
];

const scratch = mkdtempSync(join(tmpdir(), "etcd-backup-tests-"));
const rows: string[] = [];
const sum = { passed: 0, failed: 0, skipped: 0 };
let failed = false;

for (const part of parts) {
  process.stdout.write(`\n== ${part.title}\n`);
  const began = Date.now();
  const report = join(scratch, "report.json");
  const words = part.jest === true ? [...part.words, "--json", `--outputFile=${report}`] : part.words;
  // Jest's own JSON also goes to stdout with --json; what people read is on stderr.
  const { status } = spawnSync("npx", ["--no-install", ...words], {
    stdio: ["ignore", part.jest === true ? "ignore" : "inherit", "inherit"],
  });
  if (part.jest === true) count(report);
  failed ||= status !== 0;
  rows.push(
    `${((Date.now() - began) / 1000).toFixed(1).padStart(8)} s  ${part.title}${status === 0 ? "" : "  FAILED"}`,
  );
}
rmSync(scratch, { recursive: true, force: true });

process.stdout.write(`\n${rows.join("\n")}\n`);
if (sum.skipped > 0) process.stdout.write(`${sum.skipped} tests were skipped: none may be.\n`);
process.stdout.write(`\n${sum.passed} passed, ${sum.failed} failed\n`);
process.exitCode = failed || sum.skipped > 0 || sum.passed === 0 ? 1 : 0;

function count(report: string): void {
  try {
    const result = JSON.parse(readFileSync(report, "utf8")) as Record<string, number>;
    sum.passed += result["numPassedTests"] ?? 0;
    sum.failed += (result["numFailedTests"] ?? 0) + (result["numRuntimeErrorTestSuites"] ?? 0);
    sum.skipped += (result["numPendingTests"] ?? 0) + (result["numTodoTests"] ?? 0);
  } catch {
    // The run ended before it could report: its exit status says so.
    failed = true;
  }
}
