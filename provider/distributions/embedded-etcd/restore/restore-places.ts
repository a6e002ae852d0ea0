import { posix } from "node:path";
import { readOpenAttempt } from "../../../plan/journal";
import { attemptDirectory } from "../../../plan/server-directory";
import { type Command, sh } from "../../../transport/shell";
import { setting } from "../settings/config-files";
import type { EmbeddedFacts } from "../facts";

/** What one attempt puts on a server, and where. */
export interface RestorePlaces {
  /** The staged file and what is remembered between steps. Ours alone. */
  readonly work: string;
  readonly staged: string;
  /** What the reset and the programs it starts have to say. */
  readonly log: string;
  /** The old data. Never deleted by us. Beside where it was, so that a rename is all it takes; snapshots stay where they are. */
  readonly aside: string;
  /** Certificates, credentials and token of before, where the restore brings others. Root's alone, and never deleted by us. */
  readonly identity: string;
  /** Configuration that counts only for the reset, or only until a server has joined: read last. */
  readonly dropIn: string;
  /** The transient unit that runs the reset. */
  readonly resetUnit: string;
}

export function restorePlaces(cluster: string, facts: EmbeddedFacts, attempt: string): RestorePlaces {
  const work = attemptDirectory(cluster, attempt);
  return {
    work,
    staged: `${work}/snapshot`,
    log: `${work}/reset.log`,
    ...placesOfOldData(facts, attempt),
    dropIn: restoreDropIn(facts.configFile),
    resetUnit: `etcd-backup-reset-${attempt}.service`,
  };
}

export function restoreDropIn(configFile: string): string {
  return `${configFile}.d/~~~etcd-backup-restore.yaml`;
}

/** Takes away what counts only during a restore, and the folder with it when it holds nothing else. */
export function removeDropIn({ dropIn }: RestorePlaces): Command {
  return sh`rm -f ${dropIn} || exit 1
rmdir ${posix.dirname(dropIn)} 2>/dev/null || :`;
}

/** Each on the file system of what it keeps. */
export function placesOfOldData(
  { dataDir }: EmbeddedFacts,
  attempt: string,
): Pick<RestorePlaces, "aside" | "identity"> {
  return { aside: `${dataDir}/server/db/etcd.before-${attempt}`, identity: `${dataDir}/server/before-${attempt}` };
}

/**
 * The server on which the snapshot is restored; the others join it. One that is not told to join another, if there is
 * one. In an attempt that goes on it is the same, whatever has become of order and settings since.
 */
export function firstServer(servers: readonly EmbeddedFacts[]): EmbeddedFacts | undefined {
  const began = readOpenAttempt(servers.map(({ journal }) => journal))?.began;
  const staged = servers.find(({ server }) => began?.has(`${server}:stage`));
  return staged ?? servers.find(({ settings }) => setting(settings, "server") === undefined) ?? servers[0];
}
