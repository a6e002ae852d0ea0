import { parseDuration } from "../duration";
import type { CheckFailure } from "./lifecycle";
import { isUnknown } from "./unknown";

/** Says what is wrong with a value that is there and known. Reasons never show the value: it may hold a secret. */
export type Rule = (value: unknown, path: string, report: Report) => void;

export type Report = (path: string, reason: string) => void;

export type Fields = Readonly<Record<string, unknown>>;

/** Everything that is wrong with a value, all at once. */
export function failuresOf(rule: Rule, value: unknown): CheckFailure[] {
  const failures: CheckFailure[] = [];
  rule(value, "", (property, reason) => failures.push({ property, reason }));
  return failures;
}

interface ObjectOptions {
  readonly required?: readonly string[];
  /** Keys that mean something elsewhere, and why they mean nothing here. */
  readonly refused?: Readonly<Record<string, string>>;
  /** What no single field can tell. */
  readonly also?: (value: Fields, path: string, report: Report) => void;
}

/** An object with these fields and no other. */
export function object(fields: Readonly<Record<string, Rule>>, options: ObjectOptions = {}): Rule {
  return (value, path, report) => {
    if (!isFields(value)) return report(path, "must be an object");
    for (const name of options.required ?? []) {
      if (isAbsent(value[name])) report(join(path, name), "is required");
    }
    for (const [name, given] of Object.entries(value)) {
      if (isAbsent(given) || (path === "" && name.startsWith("__"))) continue;
      const rule = Object.hasOwn(fields, name) ? fields[name] : undefined;
      if (rule !== undefined) apply(rule, given, join(path, name), report);
      else
        report(join(path, name), options.refused?.[name] ?? `is not known here${nearest(name, Object.keys(fields))}`);
    }
    options.also?.(value, path, report);
  };
}

/** A list, each item by the same rule. */
export function list(item: Rule, options: { readonly atLeastOne?: string } = {}): Rule {
  return (value, path, report) => {
    if (!Array.isArray(value)) return report(path, "must be a list");
    if (value.length === 0 && options.atLeastOne !== undefined) report(path, options.atLeastOne);
    value.forEach((entry: unknown, index) => {
      if (isAbsent(entry)) report(`${path}[${index}]`, "is empty");
      else apply(item, entry, `${path}[${index}]`, report);
    });
  };
}

/** One line of text, never empty; `wrong` says what else is wrong with it. */
export function text(wrong: (value: string) => string | undefined = () => undefined): Rule {
  return (value, path, report) => {
    if (typeof value !== "string") return report(path, "must be a string");
    if (value.trim() === "") return report(path, "must not be empty");
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    const reason = /[\u0000-\u001f\u007f]/.test(value) ? "must be one line, without control characters" : wrong(value);
    if (reason !== undefined) report(path, reason);
  };
}

/** Text of several lines, such as a key; never empty. */
export function lines(wrong: (value: string) => string | undefined = () => undefined): Rule {
  return (value, path, report) => {
    if (typeof value !== "string") return report(path, "must be a string");
    const reason = value.trim() === "" ? "must not be empty" : wrong(value);
    if (reason !== undefined) report(path, reason);
  };
}

export function matching(pattern: RegExp, reason: string): Rule {
  return text((value) => (pattern.test(value) ? undefined : reason));
}

export function integer(least: number, most = Number.MAX_SAFE_INTEGER): Rule {
  const range = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `${least} to ${most}`;
  return (value, path, report) => {
    if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
      report(path, `must be a whole number, ${range}`);
    }
  };
}

export const flag: Rule = (value, path, report) => {
  if (typeof value !== "boolean") report(path, "must be true or false");
};

export const anything: Rule = () => undefined;

export function oneOf(...words: readonly string[]): Rule {
  return (value, path, report) => {
    if (typeof value !== "string" || !words.includes(value)) {
      report(path, `must be ${words.map((word) => `"${word}"`).join(" or ")}`);
    }
  };
}

export const duration: Rule = text((value) =>
  parseDuration(value) === undefined ? 'must be a duration such as "30m" or "1h30m"' : undefined,
);

/** A path on a server. */
export const absolutePath: Rule = text((value) => {
  if (value.includes("-----BEGIN")) return "must be a path on the servers, not the content of a file";
  if (!value.startsWith("/")) return "must be an absolute path on the servers";
  return value.split("/").some((part) => part === "..") ? 'must not contain ".."' : undefined;
});

/** A name that can be a word of a command, part of a file name and of an S3 key. */
export const name: Rule = text((value) =>
  /^[a-zA-Z0-9._][a-zA-Z0-9._-]{0,62}$/.test(value) && value !== "." && value !== ".."
    ? undefined
    : "must be 1 to 63 letters, digits, dots, dashes and underscores, and not begin with a dash",
);

/** The value at a key when it is there, known, and an object. */
export function fieldsAt(value: Fields, key: string): Fields | undefined {
  const found = value[key];
  return isFields(found) ? found : undefined;
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

export function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

// A value that a preview cannot know yet is there, and never wrong.
function apply(rule: Rule, value: unknown, path: string, report: Report): void {
  if (!isUnknown(value)) rule(value, path, report);
}

function nearest(wrong: string, known: readonly string[]): string {
  const plain = (word: string): string => word.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  const meant = known.find((word) => plain(word) === plain(wrong) || `${plain(word)}s` === plain(wrong));
  return meant === undefined ? `; known: ${known.join(", ")}` : `; did you mean ${meant}?`;
}
