export type ConfigValue = string | number | boolean | readonly string[];

/** A configuration file as K3s reads it. JSON's spelling of a value is YAML too, and leaves nothing to guess. */
export function formatConfig(comment: string, values: Readonly<Record<string, ConfigValue>>): string {
  const lines = Object.entries(values).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  return [`# ${comment}`, ...lines, ""].join("\n");
}
