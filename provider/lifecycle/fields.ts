/** A copy with these keys only, as far as they are there. */
export function pick<Value extends object, Key extends keyof Value>(
  value: Value,
  keys: readonly Key[],
): Pick<Value, Key> {
  const kept = keys.filter((key) => key in value).map((key) => [key, value[key]] as const);
  return Object.fromEntries(kept) as Pick<Value, Key>;
}

/** A copy without these keys. */
export function omit<Value extends object, Key extends keyof Value>(value: Value, ...keys: Key[]): Omit<Value, Key> {
  const kept = Object.entries(value).filter(([key]) => !(keys as PropertyKey[]).includes(key));
  return Object.fromEntries(kept) as Omit<Value, Key>;
}
