export interface ConnectionCounts {
  /** Processes started: one round trip each. */
  readonly commands: number;
  /** TCP connections opened through the server. */
  readonly tunnels: number;
}

/** What this process did on each server, by name. */
export function connectionCounts(): ReadonlyMap<string, ConnectionCounts> {
  return new Map(counts);
}

export function count(host: string, kind: keyof ConnectionCounts): void {
  const before = counts.get(host) ?? { commands: 0, tunnels: 0 };
  counts.set(host, { ...before, [kind]: before[kind] + 1 });
}

const counts = new Map<string, ConnectionCounts>();
