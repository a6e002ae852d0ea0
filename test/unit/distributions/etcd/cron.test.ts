import { Cron } from "croner";
import { checkSchedule, expectedInterval, toOnCalendar } from "../../../../provider/distributions/etcd/cron";

const HOUR = 3_600_000;

test.each([
  ["0 */6 * * *", ["*-*-* 00,06,12,18:00:00"]],
  ["* * * * *", ["*-*-* *:*:00"]],
  ["*/15 9-17 * * mon-fri", ["Mon,Tue,Wed,Thu,Fri *-*-* 09,10,11,12,13,14,15,16,17:00,15,30,45:00"]],
  ["30 2 1,15 JAN-mar *", ["*-01,02,03-01,15 02:30:00"]],
  ["5-59/20 0 * * *", ["*-*-* 00:05,25,45:00"]],
  ["@weekly", ["Sun *-*-* 00:00:00"]],
])("%s is %j to systemd", (schedule, lines) => {
  expect(toOnCalendar(schedule)).toEqual(lines);
});

test("Sunday is 0 and 7", () => {
  expect(toOnCalendar("0 0 * * 7")).toEqual(toOnCalendar("0 0 * * 0"));
  expect(toOnCalendar("0 0 * * 5-7")).toEqual(["Sun,Fri,Sat *-*-* 00:00:00"]);
});

test("day of month and weekday mean either to cron: two lines", () => {
  expect(toOnCalendar("0 4 13 * fri")).toEqual(["*-*-13 04:00:00", "Fri *-*-* 04:00:00"]);
});

test.each(["0 0 * * *", " 0  0 * * * ", "@hourly", "@Daily", "0 0 29 2 *", "59 23 31 12 sat", "1,1,*/7 * * * 0,7"])(
  "%s is accepted",
  (schedule) => expect(checkSchedule(schedule)).toBeUndefined(),
);

test.each([
  ["", /is empty/],
  ["every day", /has 2 fields/],
  ["0 0 0 * * *", /has 6 fields/],
  ["0 0 L * *", /day "l"/],
  ["0 0 15W * *", /day "15w"/],
  ["0 0 ? * *", /day "\?"/],
  ["H 0 * * *", /minute "h"/],
  ["0 0 * * 5#2", /weekday "5#2"/],
  ["0 0 * * 5L", /weekday "5l"/],
  ["60 * * * *", /minute "60" is not between 0 and 59/],
  ["0 24 * * *", /hour "24"/],
  ["0 0 0 * *", /day "0" is not between 1 and 31/],
  ["0 0 * 13 *", /month "13"/],
  ["0 0 * mon *", /month "mon"/],
  ["0 0 * * 8", /weekday "8"/],
  ["0 22-2 * * *", /"22-2" runs backwards/],
  ["5/10 * * * *", /write 5-59\/10/],
  ["*/0 * * * *", /step/],
  ["*/60 * * * *", /step/],
  ["-1 * * * *", /minute/],
  ["1,,2 * * * *", /minute/],
  ["0 0 30 2 *", /never happens/],
  ["0 0 31 4,6 *", /never happens/],
  ["@reboot", /@reboot is not known/],
  ["@every 5m", /@every 5m is not known/],
])("%s is refused", (schedule, why) => {
  expect(checkSchedule(schedule)).toMatch(why);
});

test.each([
  ["* * * * *", HOUR / 60],
  ["0 */6 * * *", 6 * HOUR],
  ["0 9-17 * * *", 16 * HOUR],
  ["0 9-17 * * 1-5", 64 * HOUR],
  ["30 4 * * 0", 168 * HOUR],
  ["0 0 1 * *", 31 * 24 * HOUR],
  ["0 0 29 2 *", (4 * 365 + 1) * 24 * HOUR],
])("between two runs of %s lie at most %d ms", (schedule, interval) => {
  expect(expectedInterval(schedule)).toBe(interval);
});

test.each(["*/7 3,15 * * *", "0 0 13 * 5", "15 2 1-7 * mon", "0 12 31 * *", "@monthly"])(
  "the longest gap of %s over three years, and its run before a moment, are those of another library",
  (schedule) => {
    const cron = new Cron(schedule, { timezone: "UTC" });
    let [last, longest] = [cron.nextRun(new Date("2025-01-01T00:00:00Z")), 0];
    while (last !== null && last.getUTCFullYear() < 2028) {
      const next = cron.nextRun(last);
      longest = Math.max(longest, (next?.getTime() ?? 0) - last.getTime());
      last = next;
    }
    expect(expectedInterval(schedule)).toBe(longest);
  },
);
