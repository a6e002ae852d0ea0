import { cronFields, readCronField, weekdayNames } from "./cron-field";

/**
 * Translates a five-field cron expression into lines for a systemd timer's `OnCalendar`.
 * Two lines when both day fields are restricted: cron then means either, one line of systemd's would mean both.
 */
export function toOnCalendar(schedule: string): readonly string[] {
  const { minutes, hours, days, months, weekdays } = parse(schedule);
  const time = `${list(hours, 24)}:${list(minutes, 60)}:00`;
  const month = list(months, 12);
  const onDays = `*-${month}-${list(days ?? [], 31)} ${time}`;
  const onWeekdays = `${(weekdays ?? []).map((day) => weekdayNames[day]).join(",")} *-${month}-* ${time}`;
  if (weekdays === undefined) return [onDays];
  return days === undefined ? [onWeekdays] : [onDays, onWeekdays];
}

/** What is wrong with a schedule, for people; undefined when nothing is. */
export function checkSchedule(schedule: string): string | undefined {
  const times = read(schedule);
  if (typeof times === "string") return times;
  return occurringDays(times).next().done === true ? "never happens: those months have no such day" : undefined;
}

/** The longest time between two runs, in milliseconds; a clock change can add an hour. */
export function expectedInterval(schedule: string): number {
  const times = parse(schedule);
  const minutes = times.hours.flatMap((hour) => times.minutes.map((minute) => hour * 60 + minute));
  const [first = 0, last = 0] = [minutes[0], minutes.at(-1)];
  let longest = Math.max(0, ...minutes.slice(1).map((minute, index) => minute - (minutes[index] ?? minute)));
  let dayBefore: number | undefined;
  for (const day of occurringDays(times)) {
    if (dayBefore !== undefined) longest = Math.max(longest, (day - dayBefore) * 1440 + first - last);
    dayBefore = day;
  }
  return longest * 60_000;
}

/** When runs are due, each list in order. A day field that is `*` is undefined. */
interface Times {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly days: readonly number[] | undefined;
  readonly months: readonly number[];
  readonly weekdays: readonly number[] | undefined;
}

export const nicknames: Readonly<Record<string, string>> = {
  "@hourly": "0 * * * *",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@weekly": "0 0 * * 0",
  "@monthly": "0 0 1 * *",
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
};

function parse(schedule: string): Times {
  const times = read(schedule);
  if (typeof times === "string") throw new RangeError(`schedule "${schedule}" ${times}`);
  return times;
}

/** The times of a schedule, or what is wrong with it. */
function read(schedule: string): Times | string {
  const text = schedule.trim().toLowerCase();
  if (text === "") return "is empty: give five fields of cron, such as 0 */6 * * *";
  const expression = nicknames[text] ?? text;
  if (expression.startsWith("@")) {
    return `${text} is not known: use ${Object.keys(nicknames).join(", ")}, or five fields`;
  }
  const fields = expression.split(/\s+/);
  const [minute, hour, day, month, weekday] = fields;
  if (weekday === undefined || fields.length > 5) {
    return `has ${fields.length} fields; cron's are five: minute hour day month weekday`;
  }
  const minutes = readCronField(minute ?? "", cronFields.minute);
  if (typeof minutes === "string") return minutes;
  const hours = readCronField(hour ?? "", cronFields.hour);
  if (typeof hours === "string") return hours;
  const days = readCronField(day ?? "", cronFields.day);
  if (typeof days === "string") return days;
  const months = readCronField(month ?? "", cronFields.month);
  if (typeof months === "string") return months;
  const weekdays = readCronField(weekday, cronFields.weekday);
  if (typeof weekdays === "string") return weekdays;
  return {
    minutes,
    hours,
    months,
    days: day === "*" ? undefined : days,
    weekdays: weekday === "*" ? undefined : [...new Set(weekdays.map((n) => n % 7))].sort((a, b) => a - b),
  };
}

function list(values: readonly number[], all: number): string {
  if (values.length === 0 || values.length === all) return "*";
  return values.map((value) => String(value).padStart(2, "0")).join(",");
}

/** Days with a run, counted from 1970, over 28 years: then the calendar begins again, leap days on their weekdays included. */
function* occurringDays(times: Times): Generator<number, void> {
  const start = Date.UTC(2024, 0, 1) / 86_400_000;
  for (let day = start; day <= start + 28 * 366; day += 1) {
    const date = new Date(day * 86_400_000);
    if (!times.months.includes(date.getUTCMonth() + 1)) continue;
    const onDay = times.days?.includes(date.getUTCDate());
    const onWeekday = times.weekdays?.includes(date.getUTCDay());
    if (onDay === undefined && onWeekday === undefined) yield day;
    else if (onDay === true || onWeekday === true) yield day;
  }
}
