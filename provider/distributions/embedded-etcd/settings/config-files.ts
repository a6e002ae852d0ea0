import { posix } from "node:path";
import { parseArguments } from "./exec-start";
import { flagName, flagOfVariable } from "./flags";
import { type ConfigValue, readConfigFile } from "./read-config-file";

export interface ConfigFile {
  readonly path: string;
  readonly text: string;
}

export interface SettingSources {
  readonly prefix: "K3S" | "RKE2";
  /** The configuration file and what lies in `<file>.d`, in any order. */
  readonly files: readonly ConfigFile[];
  /** The words after `server`. */
  readonly args: readonly string[];
  /** In systemd's order: a later one of the same name wins. */
  readonly environment: readonly { readonly name: string; readonly value: string; readonly source: string }[];
}

export interface SettingValue {
  /** The last one, which is what counts for a flag that takes one value. */
  readonly value: string;
  /** All of them, for a flag that takes several. */
  readonly list: readonly string[];
  /** A path, `ExecStart`, or the source of the variable. Of a list: where it was last added to. */
  readonly source: string;
  /** The configuration file that it is from, when none of it is from elsewhere. */
  readonly file?: string;
}

/** A server's settings by full flag name. They hold secrets. */
export interface EffectiveSettings {
  readonly values: ReadonlyMap<string, SettingValue>;
  /** Files that are not YAML: the server would not start. */
  readonly unreadable: readonly string[];
}

/**
 * The settings as the distributions merge them: variables below files below arguments.
 * https://docs.k3s.io/installation/configuration#configuration-file
 */
export function effectiveSettings(sources: SettingSources): EffectiveSettings {
  const { values, unreadable } = mergeFiles(sources.files);
  for (const { flag, value } of parseArguments(sources.args)) {
    // Files become arguments in front of the real ones, so that a list goes on.
    const list = [...(values.get(flag)?.list ?? []), value];
    values.set(flag, { value, list, source: "ExecStart" });
  }
  const given = new Set(values.keys());
  for (const { name, value, source } of sources.environment) {
    const flag = flagOfVariable(sources.prefix, name);
    // Which file to read is looked for before anything else, and there the variable wins.
    if (flag !== undefined && value !== "" && (!given.has(flag) || flag === "config")) {
      values.set(flag, { value, list: [value], source });
    }
  }
  return { values, unreadable };
}

/** A setting's value; undefined when there is none. An empty one is none: `server: ""` is how one is taken back. */
export function setting(settings: EffectiveSettings, key: string): string | undefined {
  const value = settings.values.get(key)?.value;
  return value === "" ? undefined : value;
}

/** Whether a boolean is on, by the words that Go takes for true. */
export function flagOn(settings: EffectiveSettings, key: string): boolean {
  return ["1", "t", "T", "true", "True", "TRUE"].includes(settings.values.get(key)?.value ?? "");
}

function mergeFiles(files: readonly ConfigFile[]): {
  values: Map<string, SettingValue>;
  unreadable: readonly string[];
} {
  const merged = new Map<string, { readonly content: ConfigValue; readonly path: string }>();
  const unreadable: string[] = [];
  for (const { path, text } of inOrder(files)) {
    const entries = readConfigFile(text);
    if (entries === undefined) unreadable.push(path);
    for (const [name, content] of entries ?? []) {
      const key = flagName(name.replace(/\+$/, ""));
      const earlier = merged.get(key);
      // `key+` adds to what earlier files gave; else the last file has the whole say.
      const adds = name.endsWith("+") && earlier !== undefined;
      merged.set(key, { content: adds ? [...asList(earlier.content), ...asList(content)] : content, path });
    }
  }
  const values = new Map<string, SettingValue>();
  for (const [key, { content, path }] of merged) {
    const list = content === undefined ? [""] : asList(content);
    const value = list.at(-1);
    // An empty list becomes no argument at all, and unsets what an earlier file said.
    if (value !== undefined) values.set(key, { value, list, source: path, file: path });
  }
  return { values, unreadable };
}

/** The base file, then the drop-ins that count, by the bytes of their names. */
function inOrder(files: readonly ConfigFile[]): readonly ConfigFile[] {
  const isBase = ({ path }: ConfigFile): boolean =>
    !posix.dirname(path).endsWith(".d") || files.some((other) => other.path.startsWith(`${path}.d/`));
  const dropIns = files.filter((file) => !isBase(file) && /\.ya?ml$/i.test(file.path));
  return [...files.filter(isBase), ...dropIns.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)))];
}

function asList(content: ConfigValue): readonly string[] {
  return typeof content === "string" ? [content] : (content ?? []);
}
