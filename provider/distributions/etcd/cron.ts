import { CronExpressionParser } from "cron-parser";

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
  const fields = expand(schedule).split(/\s+/);
  if (schedule.trim() === "") return "is empty: give five fields of cron, such as 0 */6 * * *";
  if (schedule.trim().startsWith("@") && expand(schedule).startsWith("@")) {
    return `${schedule.trim()} is not known: use ${Object.keys(nicknames).join(", ")}, or five fields`;
  }
  if (fields.length !== 5) return `has ${fields.length} fields; cron's are five: minute hour day month weekday`;
  for (const [index, field] of fields.entries()) {
    const problem = checkField(field, fieldRules[index] ?? fieldRules[0]);
    if (problem !== undefined) return problem;
  }
  try {
    if (occurringDays(parse(schedule)).next().done !== true) return undefined;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (!why.includes("day of month")) return `is not understood: ${why}`;
  }
  return "never happens: those months have no such day";
}

/** The longest time between two runs, in milliseconds; a clock change can add an hour. */
export function expectedInterval(schedule: string): number {
  const times = parse(schedule);
  const minutesOfDay = times.hours.flatMap((hour) => times.minutes.map((minute) => hour * 60 + minute));
  const first = Math.min(...minutesOfDay);
  const last = Math.max(...minutesOfDay);
  let longest = 0;
  minutesOfDay.reduce((before, now) => ((longest = Math.max(longest, now - before)), now));
  let previousDay: number | undefined;
  for (const day of occurringDays(times)) {
    if (previousDay !== undefined) longest = Math.max(longest, (day - previousDay) * 1440 + first - last);
    previousDay = day;
  }
  return longest * 60_000;
}

/** The last run due before a moment, on clocks of that time zone. */
export function previousRun(schedule: string, before: Date, timeZone = "UTC"): Date {
  return CronExpressionParser.parse(expand(schedule), { currentDate: before, tz: timeZone }).prev().toDate();
}

/** When runs are due. A day field that is `*` is undefined. */
interface Times {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly days: readonly number[] | undefined;
  readonly months: readonly number[];
  readonly weekdays: readonly number[] | undefined;
}

const weekdayNames = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;

const nicknames: Readonly<Record<string, string>> = {
  "@hourly": "0 * * * *",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@weekly": "0 0 * * 0",
  "@monthly": "0 0 1 * *",
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
};

interface FieldRule {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly names: readonly string[];
}

const fieldRules: readonly [FieldRule, ...FieldRule[]] = [
  { name: "minute", min: 0, max: 59, names: [] },
  { name: "hour", min: 0, max: 23, names: [] },
  { name: "day", min: 1, max: 31, names: [] },
  {
    name: "month",
    min: 1,
    max: 12,
    names: ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
  },
  { name: "weekday", min: 0, max: 7, names: weekdayNames.map((name) => name.toLowerCase()) },
];

function expand(schedule: string): string {
  const text = schedule.trim().toLowerCase();
  return nicknames[text] ?? text;
}

// The parser knows more than cron (seconds, L, #, ?, H, W): what its extensions mean, systemd cannot say.
function checkField(field: string, rule: FieldRule): string | undefined {
  for (const item of field.split(",")) {
    const match = /^(?:\*|([a-z0-9]+)(?:-([a-z0-9]+))?)(?:\/(\d+))?$/.exec(item);
    if (match === null) return `${rule.name} "${field}" is not cron's: numbers, names, *, lists, ranges and steps`;
    const [, from, to, step] = match;
    for (const value of [from, to]) {
      if (value !== undefined && numberOf(value, rule) === undefined) {
        return `${rule.name} "${value}" is not between ${rule.min} and ${rule.max}`;
      }
    }
    const start = from === undefined ? rule.min : (numberOf(from, rule) ?? 0);
    const end = to === undefined ? rule.max : (numberOf(to, rule) ?? 0);
    if (start > end) return `${rule.name} "${item}" runs backwards`;
    if (from !== undefined && to === undefined && step !== undefined) {
      return `${rule.name} "${item}" has a step without a range: write ${from}-${rule.max}/${step}`;
    }
    if (step !== undefined && (Number(step) < 1 || Number(step) > rule.max)) {
      return `${rule.name} "${item}" has a step that is not between 1 and ${rule.max}`;
    }
  }
  return undefined;
}

function numberOf(value: string, rule: FieldRule): number | undefined {
  const named = rule.names.indexOf(value);
  const number = named >= 0 ? named : /^\d{1,2}$/.test(value) ? Number(value) : NaN;
  return number >= rule.min && number <= rule.max ? number : undefined;
}

function parse(schedule: string): Times {
  const { fields } = CronExpressionParser.parse(expand(schedule));
  const numbers = (values: readonly unknown[]): readonly number[] =>
    [...new Set(values.map(Number))].sort((a, b) => a - b);
  return {
    minutes: numbers(fields.minute.values),
    hours: numbers(fields.hour.values),
    days: fields.dayOfMonth.isWildcard ? undefined : numbers(fields.dayOfMonth.values),
    months: numbers(fields.month.values),
    // Sunday is 0 and 7.
    weekdays: fields.dayOfWeek.isWildcard ? undefined : numbers(fields.dayOfWeek.values.map((day) => Number(day) % 7)),
  };
}

function list(values: readonly number[], all: number): string {
  if (values.length === 0 || values.length === all) return "*";
  return values.map((value) => String(value).padStart(2, "0")).join(",");
}

/** Days with a run, counted from 1970, over the 28 years after which the calendar repeats: 29 February on a Sunday is among them. */
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
