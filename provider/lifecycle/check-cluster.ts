import { checkReachable, connectionRule } from "./check-connection";
import {
  absolutePath,
  type Fields,
  isAbsent,
  isFields,
  join,
  list,
  matching,
  name,
  object,
  type Report,
  type Rule,
  text,
} from "./rules";
import { isUnknown } from "./unknown";

const unit = matching(
  /^[a-zA-Z0-9@:_.\\-]+(\.service)?$/,
  "must be the name of a systemd unit, such as `etcd.service`",
);

const endpoint = matching(/^https?:\/\/[^/\s]+$/, "must be a URL such as `https://127.0.0.1:2379`, without a path");

const etcdFields = {
  unit,
  dataDir: absolutePath,
  endpoints: list(endpoint, { atLeastOne: "must name an endpoint, or be left out" }),
  cacert: absolutePath,
  cert: absolutePath,
  key: absolutePath,
  username: text(),
  password: text(),
  etcdutl: absolutePath,
  apiServers: list(object({ name, connection: connectionRule, unit }, { required: ["name"] })),
};

const distribution: Rule = (value, path, report) => {
  if (value === "etcd") return;
  const later = ["k3s", "rke2", "rke", "rancher"].includes(String(value));
  report(path, later ? 'is not supported yet; only "etcd" is' : 'must be "etcd"');
};

/** A cluster, as `etcd()` makes it. */
export const clusterRule = object(
  {
    distribution,
    name,
    connection: connectionRule,
    servers: list(object({ name, connection: connectionRule }, { required: ["name"] }), {
      atLeastOne: "must list every server that runs etcd; a server listed is a server that must be there",
    }),
    ...etcdFields,
  },
  {
    required: ["distribution", "name", "servers"],
    refused: {
      token: "plain etcd has no token",
      configDir: "plain etcd has no configDir",
      agents: "plain etcd has no agents; machines with an API server go in `apiServers`",
      manifestsDir: "is not supported yet: etcd must be a systemd unit",
    },
    also: (cluster, path, report) => {
      checkReachable(cluster, path, report);
      checkNames(cluster, path, report);
      checkCredentials(cluster, path, report);
    },
  },
);

/** Names of the servers that are listed; undefined for one that is not known yet. */
export function serverNames(cluster: Fields): readonly (string | undefined)[] {
  return namesIn(cluster.servers);
}

// Plans, locks and errors tell machines apart by name alone.
function checkNames(cluster: Fields, path: string, report: Report): void {
  const seen = new Set<string>();
  for (const group of ["servers", "apiServers"]) {
    namesIn(cluster[group]).forEach((known, index) => {
      if (known === undefined) return;
      if (seen.has(known)) report(`${join(path, group)}[${index}].name`, "is the name of another machine too");
      seen.add(known);
    });
  }
}

function checkCredentials(cluster: Fields, path: string, report: Report): void {
  if (isAbsent(cluster.cert) !== isAbsent(cluster.key)) {
    report(join(path, isAbsent(cluster.cert) ? "cert" : "key"), "is required: `cert` and `key` go together");
  }
  if (!isAbsent(cluster.password) && isAbsent(cluster.username)) {
    report(join(path, "username"), "is required together with `password`");
  }
}

function namesIn(machines: unknown): (string | undefined)[] {
  if (!Array.isArray(machines)) return [];
  return machines.map((machine: unknown) => {
    const known = isFields(machine) ? machine.name : undefined;
    return typeof known === "string" && !isUnknown(known) ? known : undefined;
  });
}
