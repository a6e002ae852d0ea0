// What `npm test` runs once the set-up is done: every part in order, cheapest first; then the time of each and the sum of the tests.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

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
  { title: "integration tests", words: ["jest", "--selectProjects", "integration", "--maxWorkers=2"], jest: true },
  // Labs wait more than they work: two fit on two cores.
  { title: "end-to-end tests", words: ["jest", "--selectProjects", "e2e", "--maxWorkers=2"], jest: true },
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
  const slow = part.jest === true ? count(report) : [];
  failed ||= status !== 0;
  rows.push(row(Date.now() - began, `${part.title}${status === 0 ? "" : "  FAILED"}`), ...slow);
}
rmSync(scratch, { recursive: true, force: true });

process.stdout.write(`\n${rows.join("\n")}\n`);
if (sum.skipped > 0) process.stdout.write(`${sum.skipped} tests were skipped: none may be.\n`);
process.stdout.write(`\n${sum.passed} passed, ${sum.failed} failed\n`);
process.exitCode = failed || sum.skipped > 0 || sum.passed === 0 ? 1 : 0;

interface JestReport extends Partial<Record<"numPassedTests" | "numFailedTests" | "numPendingTests", number>> {
  readonly numTodoTests?: number;
  readonly numRuntimeErrorTestSuites?: number;
  readonly testResults?: readonly { readonly name: string; readonly startTime: number; readonly endTime: number }[];
}

/** Adds up what a part reports, and returns a row for each file that took more than half a minute. */
function count(path: string): string[] {
  try {
    const report = JSON.parse(readFileSync(path, "utf8")) as JestReport;
    sum.passed += report.numPassedTests ?? 0;
    sum.failed += (report.numFailedTests ?? 0) + (report.numRuntimeErrorTestSuites ?? 0);
    sum.skipped += (report.numPendingTests ?? 0) + (report.numTodoTests ?? 0);
    const times = (report.testResults ?? []).map(({ name, startTime, endTime }) => ({ name, ms: endTime - startTime }));
    const slow = times.filter(({ ms }) => ms > 30_000).sort((a, b) => b.ms - a.ms);
    return slow.map(({ name, ms }) => row(ms, `  ${basename(name)}`));
  } catch {
    // The run ended before it could report: its exit status says so.
    failed = true;
    return [];
  }
}

function row(ms: number, title: string): string {
  return `${(ms / 1000).toFixed(1).padStart(8)} s  ${title}`;
}
