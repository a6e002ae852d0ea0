// Resources of one update share a process: a snapshot that it has just taken cannot be what its restore should go back to.
const taken = new Set<string>();

export function rememberTaken(locations: readonly string[]): void {
  for (const location of locations) taken.add(location);
}

export function wasTakenHere(location: string): boolean {
  return taken.has(location);
}
