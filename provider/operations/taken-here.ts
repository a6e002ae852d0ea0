import { BackupError } from "../errors";

// Resources of one update share a process: a snapshot that it has just taken cannot be what its restore should go back to.
const taken = new Set<string>();

export function rememberTaken(locations: readonly string[]): void {
  for (const location of locations) taken.add(location);
}

/** Rejects with RESTORE_TO_NOW a snapshot that this process has taken. */
export function refuseTakenHere(location: string): void {
  if (!taken.has(location)) return;
  throw new BackupError("RESTORE_TO_NOW", `${location} was taken by this very update: it would restore to now`, {
    hint: "Name an older snapshot.",
  });
}
