import type { EtcdFacts } from "./facts";
import { parsePairs } from "../parts";

/** One value of the settings file that a server's scheduled backups run with; undefined when there is none. */
export function backupSetting(facts: EtcdFacts, name: string): string | undefined {
  const word = parsePairs(facts.backups.settings).get(name)?.at(-1);
  // The file is for `sh`: a single-quoted word, in which a quote ends the word, stands escaped, and begins it again.
  return word?.replace(/^'(.*)'$/s, "$1").replaceAll("'\\''", "'");
}

/** Where a server's scheduled snapshots lie, when they lie anywhere. */
export function backupDirectory(facts: EtcdFacts): string[] {
  const directory = backupSetting(facts, "directory");
  return directory === undefined ? [] : [directory];
}
