import { checkReachable } from "./check-connection";
import { checkNames, clusterFields, machinesWith, unitSuchAs } from "./check-machines";
import { absolutePath, anything, object, type Rule, text } from "./rules";

/** The server token of K3s or RKE2, whole or its password alone. */
export const serverToken = text((value) => {
  if (/^\/.*\/[a-z-]*token$/.test(value))
    return "is a path; it must be the text of the token: read the file in the program";
  if (/^K10[0-9a-f]*::node:/.test(value)) return "is the agents' token; it must be the server token, `K10…::server:…`";
  return value.trim() === value ? undefined : "must not begin or end with a space";
});

/** A cluster, as `k3s()` or `rke2()` makes it. */
export function embeddedClusterRule({ title, unit, agentUnit }: Product): Rule {
  const ownCertificates = `${title} keeps etcd's certificates itself, below \`dataDir\``;
  const noUsers = `the etcd of ${title} has no users`;
  return object(
    {
      distribution: anything,
      ...clusterFields,
      unit: unitSuchAs(unit),
      dataDir: absolutePath,
      configDir: absolutePath,
      token: serverToken,
      agents: machinesWith(unitSuchAs(agentUnit)),
    },
    {
      required: ["name", "servers"],
      refused: {
        endpoints: `${title} decides itself where its etcd listens`,
        ...{ cacert: ownCertificates, cert: ownCertificates, key: ownCertificates },
        ...{ username: noUsers, password: noUsers },
        etcdutl: `${title} restores by its own command`,
        apiServers: `the API servers of ${title} run in its servers; machines that run only its agent go in \`agents\``,
        manifestsDir: `${title} runs etcd itself`,
      },
      also: (cluster, path, report) => {
        checkReachable(cluster, ["servers", "agents"], path, report);
        checkNames(cluster, ["servers", "agents"], path, report);
      },
    },
  );
}

interface Product {
  /** As people write it. */
  readonly title: string;
  readonly unit: string;
  readonly agentUnit: string;
}
