import type { Cluster, Server } from "../model";

/** Whether two plain values are equal; a key that is absent equals one that is undefined. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].every((key) => same((a as Fields)[key], (b as Fields)[key]));
}

type Fields = Readonly<Record<string, unknown>>;

/** Whether two clusters differ in nothing but how their machines are reached. */
export function sameButReachedOtherwise(a: Cluster, b: Cluster): boolean {
  return !same(a, b) && same(withoutConnections(a), withoutConnections(b));
}

function withoutConnections(cluster: Cluster): unknown {
  // A cluster that a preview does not know yet has no servers to look at.
  if (typeof cluster !== "object" || !Array.isArray(cluster.servers)) return cluster;
  const anonymous = (machine: Server): unknown =>
    typeof machine === "object" ? { ...machine, connection: undefined } : machine;
  const all = (machines: readonly Server[] | undefined): unknown =>
    Array.isArray(machines) ? machines.map(anonymous) : machines;
  const { servers, apiServers, agents } = cluster;
  return {
    ...{ ...cluster, connection: undefined },
    ...{ servers: all(servers), apiServers: all(apiServers), agents: all(agents) },
  };
}
