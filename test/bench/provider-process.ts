import { readFileSync } from "node:fs";
import { join } from "node:path";
import { clearInterval, setInterval } from "node:timers";
import type { Cluster } from "../../provider/model";
import type { RestoreReport, RestoreRequest } from "../../provider/operations/restore";
import { repository } from "../lab/equipment";
import { run } from "../lab/process";
import type { LabProgram } from "../support/lab-program";

interface MeasuredRestore {
  readonly report: RestoreReport;
  /** From the start of the process to the report. */
  readonly seconds: number;
}

/** Restores in a Node process of its own, from the built package: as Pulumi's provider does, without the engine. */
export async function measureRestore(cluster: Cluster, request: RestoreRequest): Promise<MeasuredRestore> {
  const module = JSON.stringify(join(repository, "dist/operations/restore.js"));
  const program = `
    const { readFileSync } = require("node:fs");
    const { restoreSnapshot } = require(${module});
    const { cluster, request } = JSON.parse(readFileSync(0, "utf8"));
    const progress = { status() {}, info() {}, warn() {} };
    restoreSnapshot(cluster, request, { progress }).then(
      (report) => {
        console.log(JSON.stringify({ report, seconds: performance.now() / 1000 }));
        process.exit(0);
      },
      (error) => {
        console.error(error.message);
        process.exit(1);
      },
    );`;
  const stdin = JSON.stringify({ cluster, request });
  const printed = await run(process.execPath, ["--eval", program], { stdin, cwd: repository, timeoutMs: 900_000 });
  return JSON.parse(printed) as MeasuredRestore;
}

/** The highest resident memory, in MB, that Pulumi's process for dynamic providers has had while `work` runs. */
export async function peakMegabytes(program: LabProgram, work: () => Promise<unknown>): Promise<number> {
  let peak = 0;
  // The kernel keeps the highest value, so only what came after the last look is missed.
  const sampling = setInterval(() => {
    for (const pid of program.processes()) peak = Math.max(peak, highestOf(pid));
  }, 50);
  try {
    await work();
  } finally {
    clearInterval(sampling);
  }
  if (peak === 0) throw new Error("no process of a dynamic provider was seen");
  return peak;
}

function highestOf(pid: number): number {
  try {
    if (!readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("/dynamic-provider")) return 0;
    const [, kilobytes = "0"] = /^VmHWM:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return (Number(kilobytes) * 1024) / 1e6;
  } catch {
    // It has ended.
    return 0;
  }
}
