import { checkReachable } from "./check-connection";
import { checkNames, clusterFields, machinesWith, unitSuchAs } from "./check-machines";
import {
  absolutePath,
  anything,
  type Fields,
  isAbsent,
  join,
  list,
  matching,
  object,
  type Report,
  text,
} from "./rules";

const endpoint = matching(/^https?:\/\/[^/\s]+$/, "must be a URL such as `https://127.0.0.1:2379`, without a path");

/** A cluster, as `etcd()` makes it. */
export const etcdClusterRule = object(
  {
    distribution: anything,
    ...clusterFields,
    unit: unitSuchAs("etcd.service"),
    dataDir: absolutePath,
    endpoints: list(endpoint, { atLeastOne: "must name an endpoint, or be left out" }),
    cacert: absolutePath,
    cert: absolutePath,
    key: absolutePath,
    username: text(),
    password: text(),
    etcdutl: absolutePath,
    apiServers: machinesWith(unitSuchAs("kube-apiserver.service")),
  },
  {
    required: ["name", "servers"],
    refused: {
      token: "plain etcd has no token",
      configDir: "plain etcd has no configDir",
      agents: "plain etcd has no agents; machines with an API server go in `apiServers`",
      manifestsDir: "is not supported yet: etcd must be a systemd unit",
    },
    also: (cluster, path, report) => {
      checkReachable(cluster, ["servers"], path, report);
      checkNames(cluster, ["servers", "apiServers"], path, report);
      checkCredentials(cluster, path, report);
    },
  },
);

function checkCredentials(cluster: Fields, path: string, report: Report): void {
  if (isAbsent(cluster.cert) !== isAbsent(cluster.key)) {
    report(join(path, isAbsent(cluster.cert) ? "cert" : "key"), "is required: `cert` and `key` go together");
  }
  if (!isAbsent(cluster.password) && isAbsent(cluster.username)) {
    report(join(path, "username"), "is required together with `password`");
  }
}
