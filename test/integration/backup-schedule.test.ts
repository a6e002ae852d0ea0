import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Cron } from "croner";
import { checkSchedule, toOnCalendar } from "../../provider/distributions/etcd/cron";
import { backupFiles } from "../../provider/distributions/etcd/units";
import { randomFrom, type Random } from "../support/random";

const run = promisify(execFile);
const start = new Date("2027-07-01T00:00:00Z");

test("on every day of a leap year systemd runs when another cron library says, for any day, month and weekday", async () => {
  const random = randomFrom(20271);
  const schedules = Array.from({ length: 40 }, () => `17 3 ${day(random)} ${month(random)} ${weekday(random)}`);
  for (const schedule of schedules) await expectSameRuns(schedule, 367 * 24);
});

test("in every minute of two days systemd runs when another cron library says, for any hour and minute", async () => {
  const random = randomFrom(20272);
  const schedules = Array.from({ length: 20 }, () => `${minute(random)} ${hour(random)} * * *`);
  for (const schedule of schedules) await expectSameRuns(schedule, 48);
});

test("the units are clean to systemd-analyze, also with odd paths", async () => {
  const directory = mkdtempSync(join(tmpdir(), "units-"));
  try {
    const files = backupFiles({
      cluster: "prod.eu-1_a",
      server: "s1",
      serverCount: 3,
      settings: { schedule: "0 4 13 * fri", retention: 5, snapshotName: "etcd-snapshot", s3: { bucket: "b" } },
      directory: '/srv/snap shots/100% "etcd"',
      etcd: { etcdctl: "/usr/bin/etcdctl", endpoint: "https://127.0.0.1:2379", unit: "etcd.service" },
    });
    const units = files.filter(({ path }) => path.startsWith("/etc/systemd/system/"));
    const paths = units.map(({ path, content }) => {
      const here = join(directory, path.slice(path.lastIndexOf("/") + 1));
      writeFileSync(here, content);
      return here;
    });
    expect(paths).toHaveLength(2);
    const { stdout, stderr } = await run("systemd-analyze", ["verify", "--man=no", ...paths]);
    expect(stdout + stderr).toBe("");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

async function expectSameRuns(schedule: string, hours: number): Promise<void> {
  // A day that these months do not have is refused, not translated.
  if (checkSchedule(schedule)?.startsWith("never happens") === true) return;
  const end = start.getTime() + hours * 3_600_000;
  const cron = new Cron(schedule, { timezone: "UTC" });
  const expected: string[] = [];
  // The library begins after the moment it is given.
  let next = cron.nextRun(new Date(start.getTime() - 1000));
  while (next !== null && next.getTime() < end) {
    expected.push(next.toISOString());
    next = cron.nextRun(next);
  }
  const runs = await Promise.all(toOnCalendar(schedule).map((line) => elapses(line, end)));
  expect({ schedule, runs: [...new Set(runs.flat())].sort() }).toEqual({ schedule, runs: expected });
}

/** When systemd itself says that a line elapses, from `start` until `end`. */
async function elapses(line: string, end: number): Promise<readonly string[]> {
  const before = "2027-06-30 23:59:59 UTC";
  const words = ["calendar", "--iterations=3000", `--base-time=${before}`, line];
  const { stdout } = await run("systemd-analyze", words, {
    env: { ...process.env, TZ: "UTC", LC_ALL: "C" },
    maxBuffer: 16e6,
  });
  const times = [...stdout.matchAll(/(?:Next elapse|Iter(?:\.|ation) #\d+): \w{3} (\S+) (\S+) UTC/g)];
  return times
    .map(([, date = "", time = ""]) => new Date(`${date}T${time}Z`))
    .filter((moment) => moment.getTime() < end)
    .map((moment) => moment.toISOString());
}

const months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const weekdays = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const minute = (random: Random): string => field(random, 0, 59);
const hour = (random: Random): string => field(random, 0, 23);
const day = (random: Random): string => field(random, 1, 31);
const month = (random: Random): string => field(random, 1, 12, (n) => (random(3) === 0 ? months[n - 1] : undefined));
const weekday = (random: Random): string => field(random, 0, 7, (n) => (random(3) === 0 ? weekdays[n] : undefined));

/** A field of cron at random: *, steps, and lists of numbers, ranges and ranges with steps. */
function field(
  random: Random,
  min: number,
  max: number,
  name: (n: number) => string | undefined = () => undefined,
): string {
  if (random(3) === 0) return "*";
  const item = (): string => {
    const from = min + random(max - min + 1);
    const to = from + random(max - from + 1);
    const step = 1 + random(max);
    if (random(5) === 0) return `*/${step}`;
    if (random(2) === 0) return name(from) ?? String(from);
    // In a range both ends are written the same way: the other library takes no `1-sat`.
    const range = `${from}-${to}`;
    return random(2) === 0 ? range : `${range}/${step}`;
  };
  return Array.from({ length: 1 + random(3) }, item).join(",");
}
