import { parseDuration } from "../../../duration";
import {
  type EffectiveSettings,
  effectiveSettings,
  flagOn,
  setting,
  type SettingValue,
} from "../settings/config-files";
import { type DropIn, dropInPaths, inputName } from "./drop-in";
import type { ConfigFileFacts, EmbeddedFacts } from "../facts";
import { secretFlags } from "../settings/flags";

/** How what a server's files say differs from what is declared, a line each, beginning with the input's name. */
export function configDrift(ours: DropIn, facts: EmbeddedFacts): string[] {
  const there = presentDropIn(facts);
  if (there === undefined) return [`${ours.path}: is missing`];
  const drift: string[] = [];
  if (there.mode !== "600") drift.push(`${ours.path}: mode 0${there.mode}, declared 0600`);
  if (there.owner !== "root") drift.push(`${ours.path}: belongs to ${there.owner}, declared root`);
  const values = valueDrift(ours, facts.settings);
  const edited =
    there.text.trimEnd() !== ours.content.trimEnd() &&
    !values.some(({ source }) => source === undefined || source === there.path);
  return [...drift, ...values.map(({ line }) => line), ...(edited ? [`${ours.path}: its content was changed`] : [])];
}

/** What would still be in force instead of our file, once that is as declared: a line each. */
export function overrides(ours: DropIn, facts: EmbeddedFacts): string[] {
  const others = facts.configFiles.filter(({ path }) => !dropInPaths(facts).includes(path));
  const settings = effectiveSettings({
    prefix: facts.program.prefix,
    files: [...others, { path: ours.path, text: ours.content }],
    args: facts.args,
    // Variables count only where no file has a say.
    environment: [],
  });
  return valueDrift(ours, settings).map(({ line }) => line);
}

/** What the server, since it was started, has been told and does not do yet; undefined when there is nothing. */
export function restartDrift(ours: DropIn, facts: EmbeddedFacts): string | undefined {
  const { startedAt } = facts;
  if (!facts.unitActive || startedAt === undefined) return undefined;
  const sources = new Set(Object.keys(ours.values).map((key) => facts.settings.values.get(key)?.file));
  const later = facts.configFiles.filter(({ path, changedAt }) => sources.has(path) && changedAt > startedAt);
  if (later.length === 0) return undefined;
  return `restart: ${facts.unit} has not been started again since ${later.map(({ path }) => path).join(", ")} was changed`;
}

/** Our file as it is on the server. */
export function presentDropIn(facts: EmbeddedFacts): ConfigFileFacts | undefined {
  return facts.configFiles.findLast((file) => dropInPaths(facts).includes(file.path));
}

/** Whether the file says anything else than ours, or not in our place: the answer of a look has no line end at its end. */
export function isEdited(ours: DropIn, there: ConfigFileFacts): boolean {
  return there.path !== ours.path || there.text.trimEnd() !== ours.content.trimEnd();
}

/** By its name alone: which of the two places it is in is no news. */
function isOurs(source: string): boolean {
  return /\/(60-|~~)etcd-backup\.yaml$/.test(source);
}

interface ValueDrift {
  readonly line: string;
  readonly source: string | undefined;
}

function valueDrift(ours: DropIn, settings: EffectiveSettings): ValueDrift[] {
  // As it would be read, so that nothing differs by its spelling.
  const declared = effectiveSettings({
    prefix: "K3S",
    files: [{ path: ours.path, text: ours.content }],
    args: [],
    environment: [],
  });
  return Object.keys(ours.values).flatMap((key) => {
    const wanted = setting(declared, key) ?? "";
    const found = settings.values.get(key);
    if (isSame(key, found, wanted)) return [];
    const source = found?.source;
    const by = source === undefined || isOurs(source) ? "" : ` (by ${source})`;
    const shows = !secretFlags.has(key);
    const was = shows ? `${found?.value || "not set"}${by}, declared ${wanted || "not set"}` : `differs${by}`;
    return [{ source, line: `${inputName(key)}: ${inWords(key, was)}` }];
  });
}

function isSame(key: string, found: SettingValue | undefined, wanted: string): boolean {
  const was = found?.value ?? "";
  if (was === wanted) return true;
  if (["true", "false"].includes(wanted)) {
    return (
      flagOn({ values: new Map(found === undefined ? [] : [[key, found]]), unreadable: [] }, key) ===
      (wanted === "true")
    );
  }
  const durations = [was, wanted].map((value) => parseDuration(value));
  return durations[0] !== undefined && durations[0] === durations[1];
}

/** `enabled` is the opposite of the key. */
function inWords(key: string, text: string): string {
  return key === "etcd-disable-snapshots" ? `etcd-disable-snapshots is ${text}` : text;
}
