import { attemptDirectory } from "../../plan/server-directory";
import type { EtcdFacts } from "./facts";

/** What one attempt puts on a server, and where. */
export interface RestorePlaces {
  /** The staged file and what is remembered between steps. Ours alone. */
  readonly work: string;
  readonly staged: string;
  /** The restored data, built beside the old one on the same file system, so that a rename swaps them. */
  readonly prepared: string;
  readonly preparedWal: string | undefined;
  /** The old data. Never deleted by us. */
  readonly aside: string;
  readonly asideWal: string | undefined;
}

export function restorePlaces(cluster: string, facts: EtcdFacts, attempt: string): RestorePlaces {
  const { dataDir, walDir } = facts.member;
  const work = attemptDirectory(cluster, attempt);
  return {
    work,
    staged: `${work}/snapshot.db`,
    // Inside the data directory, which may be a mount point: only there is a rename certain to be one.
    prepared: `${dataDir}/.restore-${attempt}`,
    preparedWal: walDir === undefined ? undefined : `${walDir}/.restore-${attempt}`,
    aside: `${dataDir}/member.before-${attempt}`,
    asideWal: walDir === undefined ? undefined : `${walDir}/before-${attempt}`,
  };
}
