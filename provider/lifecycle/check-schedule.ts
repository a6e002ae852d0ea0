import { checkSchedule, nicknames } from "../distributions/etcd/cron";
import { cronFields, readCronField } from "../distributions/etcd/cron-field";
import type { Rule } from "./rules";

/** A cron expression that a timer can keep. */
export const scheduleRule: Rule = (value, path, report) => {
  const reason = typeof value === "string" ? checkSchedule(value) : "must be a string";
  if (reason !== undefined) report(path, reason);
};

/** A cron expression that K3s and RKE2 read as we do. What their library reads otherwise is refused with what to write. */
export const embeddedScheduleRule: Rule = (value, path, report) => {
  const reason = typeof value === "string" ? (checkSchedule(value) ?? readOtherwise(value)) : "must be a string";
  if (reason !== undefined) report(path, reason);
};

function readOtherwise(schedule: string): string | undefined {
  const text = schedule.trim().toLowerCase();
  const nickname = nicknames[text];
  if (nickname !== undefined) return `must be five fields: write ${nickname}`;
  const [minute = "", hour = "", day = "", month = "", weekday = ""] = text.split(/\s+/);
  const namesSeven = /(^|[,-])0?7(?![0-9])/.test(weekday);
  const restricting = withoutEvery(weekday);
  const weekdays = namesSeven && restricting !== "*" ? withSundayFirst(weekday) : restricting;
  const write = `write ${[minute, hour, withoutEvery(day), month, weekdays].join(" ")}`;
  if (namesSeven) return `has a weekday 7, where Sunday is 0: ${write}`;
  // Cron means either when both day fields are restricted. One with a * in it is not, there.
  if (day === "*" || weekday === "*" || (day === withoutEvery(day) && weekday === restricting)) {
    return undefined;
  }
  return `has a day field that restricts nothing: ${write}`;
}

function withoutEvery(field: string): string {
  return field.split(",").some((item) => /^\*(\/0*1)?$/.test(item)) ? "*" : field;
}

function withSundayFirst(weekday: string): string {
  const values = readCronField(weekday, cronFields.weekday);
  if (typeof values === "string") return weekday;
  const days = [...new Set(values.map((day) => day % 7))].sort((a, b) => a - b);
  return days.length === 7 ? "0-6" : days.join(",");
}
