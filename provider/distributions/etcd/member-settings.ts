import { parse } from "yaml";

/** Where a member's settings come from, as found on its server. */
export interface SettingSources {
  readonly args: readonly string[];
  /** `ETCD_…=value` */
  readonly vars: readonly string[];
  /** Text of `--config-file`; empty without one. */
  readonly config: string;
}

/** A member's settings by flag name, such as `data-dir`, as etcd itself reads them. */
export type MemberSettings = ReadonlyMap<string, string>;

/**
 * etcd's own rules: a configuration file makes it ignore flags and environment; else a flag wins over its variable.
 * https://etcd.io/docs/v3.6/op-guide/configuration/
 */
export function readMemberSettings(sources: SettingSources): MemberSettings {
  return sources.config.trim() === ""
    ? new Map([...fromVars(sources.vars), ...fromArgs(sources.args)])
    : fromConfig(sources.config);
}

function fromVars(vars: readonly string[]): [string, string][] {
  return vars.flatMap((line): [string, string][] => {
    const [, name, value] = /^ETCD_([A-Z0-9_]+)=(.*)$/.exec(line) ?? [];
    return name === undefined || value === undefined ? [] : [[name.toLowerCase().replaceAll("_", "-"), value]];
  });
}

function fromArgs(args: readonly string[]): [string, string][] {
  const settings: [string, string][] = [];
  args.forEach((arg, index) => {
    const [, name, , inline] = /^--?([a-z][a-z0-9-]*)(=(.*))?$/s.exec(arg) ?? [];
    if (name === undefined) return;
    const next = args[index + 1];
    // Go's flags: a boolean takes no word of its own.
    settings.push([name, inline ?? (next === undefined || next.startsWith("-") ? "true" : next)]);
  });
  return settings;
}

function fromConfig(text: string): MemberSettings {
  const settings = new Map<string, string>();
  const file: unknown = parse(text);
  const add = (prefix: string, value: unknown): void => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return;
    for (const [key, item] of Object.entries(value)) {
      if (["string", "number", "boolean"].includes(typeof item)) settings.set(prefix + key, String(item));
    }
  };
  add("", file);
  // The file nests what flags spell with a prefix (peer) or without one (client).
  if (typeof file === "object" && file !== null) {
    const nested = file as Readonly<Record<string, unknown>>;
    add("", nested["client-transport-security"]);
    add("peer-", nested["peer-transport-security"]);
  }
  return settings;
}
