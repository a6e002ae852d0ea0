// What `npm run bench` runs: how long we take beside the tools that people have without us, each measured in turn in the
// same run on the same machines. Nothing here fails because of a time: a row that misses its target says so.
// The tables of a whole run are kept in RESULTS.md; one that was made smaller (`-- --megabytes 40 --runs 1`) only prints.
import { writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import * as prettier from "prettier";
import { looks } from "./looks";
import { restores } from "./restores";

async function bench(words: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...words],
    options: { megabytes: { type: "string", default: "500" }, runs: { type: "string", default: "3" } },
  });
  const size = { megabytes: Number(values.megabytes), runs: Number(values.runs) };
  const load = (loadavg()[0] ?? NaN).toFixed(1);
  const machine = `${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GB of memory, Node ${process.versions.node}`;
  const parts = [
    "# What it costs",
    `Written by \`npm run bench\`. Times are in seconds, medians of ${size.runs}. Read them as ratios and differences within a row: another machine has others.`,
    `Measured ${new Date().toISOString().slice(0, 10)} on ${machine}, which the servers of the lab share with everything else. The load before it began was ${load}: the targets are those of an idle machine.`,
    await restores(size),
    await looks(size),
  ];
  const text = await prettier.format(parts.join("\n\n"), { parser: "markdown", printWidth: 120 });
  process.stdout.write(`\n${text}`);
  if (words.length === 0) writeFileSync(join(__dirname, "RESULTS.md"), text);
}

bench(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
