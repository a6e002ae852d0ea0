/** One of cron's five fields. */
export interface CronField {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** Names of values, by value. */
  readonly names: readonly string[];
}

export const weekdayNames = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;

/** The five, in cron's order. */
export const cronFields = {
  minute: { name: "minute", min: 0, max: 59, names: [] },
  hour: { name: "hour", min: 0, max: 23, names: [] },
  day: { name: "day", min: 1, max: 31, names: [] },
  month: {
    name: "month",
    min: 1,
    max: 12,
    names: ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
  },
  // Sunday is 0 and 7.
  weekday: { name: "weekday", min: 0, max: 7, names: weekdayNames.map((name) => name.toLowerCase()) },
} satisfies Record<string, CronField>;

/**
 * Reads one field in lower case: its values in order, each once, or what is wrong with it.
 * Libraries know more than cron (seconds, L, #, ?, H, W), which systemd cannot say, and less (a value given twice).
 */
export function readCronField(text: string, field: CronField): readonly number[] | string {
  const values = new Set<number>();
  for (const item of text.split(",")) {
    const match = /^(?:\*|([a-z0-9]+)(?:-([a-z0-9]+))?)(?:\/(\d+))?$/.exec(item);
    if (match === null) return `${field.name} "${text}" is not cron's: numbers, names, *, lists, ranges and steps`;
    const [, from, to, step] = match;
    const first = from === undefined ? field.min : valueOf(from, field);
    if (first === undefined) return outside(from, field);
    const last = to === undefined ? (from === undefined ? field.max : first) : valueOf(to, field);
    if (last === undefined) return outside(to, field);
    if (first > last) return `${field.name} "${item}" runs backwards`;
    if (step !== undefined && from !== undefined && to === undefined) {
      return `${field.name} "${item}" has a step without a range: write ${from}-${field.max}/${step}`;
    }
    const by = Number(step ?? 1);
    if (by < 1 || by > field.max) return `${field.name} "${item}" has a step that is not between 1 and ${field.max}`;
    for (let value = first; value <= last; value += by) values.add(value);
  }
  return [...values].sort((a, b) => a - b);
}

function valueOf(text: string, { min, max, names }: CronField): number | undefined {
  const named = text === "" ? -1 : names.indexOf(text);
  const value = named >= 0 ? named : /^\d{1,2}$/.test(text) ? Number(text) : NaN;
  return value >= min && value <= max ? value : undefined;
}

function outside(text: string | undefined, { name, min, max }: CronField): string {
  return `${name} "${text ?? ""}" is not between ${min} and ${max}`;
}
