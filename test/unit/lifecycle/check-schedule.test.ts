import { embeddedScheduleRule, scheduleRule } from "../../../provider/lifecycle/check-schedule";
import { failuresOf, type Rule } from "../../../provider/lifecycle/rules";

// Each was tried with the library of K3s and RKE2, robfig/cron 3.0.1.
test.each(["0 */12 * * *", "5,35 1-23/2 * * *", "0 0 1 JAN-mar *", "0 0 * * SUN,wed", "0 0 */2 * 1", "0 0 * * */7"])(
  "%j means the same to a timer and to K3s",
  (schedule) => {
    expect([wrong(scheduleRule, schedule), wrong(embeddedScheduleRule, schedule)]).toEqual([[], []]);
  },
);

test.each([
  ["0 0 * * 7", "write 0 0 * * 0"],
  ["0 0 * * 5-7", "write 0 0 * * 0,5,6"],
  ["0 0 * * 0-7", "write 0 0 * * 0-6"],
  ["0 0 13,* * 5-7", "write 0 0 * * 0,5,6"],
  ["0 0 * * 1,07", "write 0 0 * * 0,1"],
  ["0 0 * * 3-7/2", "write 0 0 * * 0,3,5"],
  ["0 0 */1 * mon", "write 0 0 * * mon"],
  ["0 0 13 * */1", "write 0 0 13 * *"],
  ["0 0 13,* * 5", "write 0 0 * * 5"],
  ["@daily", "write 0 0 * * *"],
  ["@Weekly", "write 0 0 * * 0"],
])("%j is right for a timer; K3s is to be told otherwise: %s", (schedule, advice) => {
  expect(wrong(scheduleRule, schedule)).toEqual([]);
  expect(wrong(embeddedScheduleRule, schedule)).toEqual([expect.stringContaining(advice)]);
  expect(wrong(embeddedScheduleRule, advice.replace("write ", ""))).toEqual([]);
});

test.each(["", "every day", "* * * *", "0 0 0 * * *", "TZ=UTC 0 0 * * *", "@every 1h", "0 0 ? * *", "0 0 30 2 *", 5])(
  "%j is refused for either",
  (schedule) => {
    expect(wrong(scheduleRule, schedule)).toHaveLength(1);
    expect(wrong(embeddedScheduleRule, schedule)).toEqual(wrong(scheduleRule, schedule));
  },
);

function wrong(rule: Rule, value: unknown): string[] {
  return failuresOf(rule, value).map(({ reason }) => reason);
}
