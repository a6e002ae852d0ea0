import { connectionRule } from "./check-connection";
import { type Fields, isFields, join, list, matching, name, object, type Report, type Rule } from "./rules";
import { isUnknown } from "./unknown";

/** What a cluster of any distribution says. */
export const clusterFields = {
  name,
  connection: connectionRule,
  servers: list(object({ name, connection: connectionRule }, { required: ["name"] }), {
    atLeastOne: "must list every server that runs etcd; a server listed is a server that must be there",
  }),
};

/** Machines beside the servers. */
export function machinesWith(unit: Rule): Rule {
  return list(object({ name, connection: connectionRule, unit }, { required: ["name"] }));
}

export function unitSuchAs(example: string): Rule {
  return matching(/^[a-zA-Z0-9@:_.\\-]+(\.service)?$/, `must be the name of a systemd unit, such as \`${example}\``);
}

/** Names of the servers that are listed; undefined for one that is not known yet. */
export function serverNames(cluster: Fields): readonly (string | undefined)[] {
  return namesIn(cluster.servers);
}

/** Plans, locks and errors tell machines apart by name alone. */
export function checkNames(
  cluster: Fields,
  groups: readonly ("servers" | "apiServers" | "agents")[],
  path: string,
  report: Report,
): void {
  const seen = new Set<string>();
  for (const group of groups) {
    namesIn(cluster[group]).forEach((known, index) => {
      if (known === undefined) return;
      if (seen.has(known)) report(`${join(path, group)}[${index}].name`, "is the name of another machine too");
      seen.add(known);
    });
  }
}

function namesIn(machines: unknown): (string | undefined)[] {
  if (!Array.isArray(machines)) return [];
  return machines.map((machine: unknown) => {
    const known = isFields(machine) ? machine.name : undefined;
    return typeof known === "string" && !isUnknown(known) ? known : undefined;
  });
}
