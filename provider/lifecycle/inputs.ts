import type { CheckFailure } from "./lifecycle";
import { failuresOf, isAbsent, isFields, type Rule } from "./rules";

/**
 * Inputs as a program gave them: without what is absent, with defaults, and with everything that is wrong.
 * They are what their type says only when nothing is.
 */
export function checkInputs<Inputs>(
  given: unknown,
  rule: Rule,
  defaults: Readonly<Record<string, unknown>>,
): { inputs: Inputs; failures: readonly CheckFailure[] } {
  const present = withoutAbsent(given);
  const inputs = isFields(present) ? { ...defaults, ...present } : present;
  return { inputs: inputs as Inputs, failures: failuresOf(rule, inputs) };
}

/** A copy without keys that hold nothing; configuration files spell that `null`. */
export function withoutAbsent(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutAbsent);
  if (!isFields(value)) return value;
  const present = Object.entries(value).filter(([, entry]) => !isAbsent(entry));
  return Object.fromEntries(present.map(([key, entry]) => [key, withoutAbsent(entry)]));
}
