import type { ErrorCode } from "../errors";
import { type DistributionName, parseLocation } from "../model";
import { clusterRule } from "./check-cluster";
import { serverToken } from "./check-embedded-cluster";
import { serverNames } from "./check-machines";
import { s3Rule } from "./check-s3";
import {
  anything,
  duration,
  type Fields,
  fieldsAt,
  flag,
  list,
  object,
  oneOf,
  type Report,
  type Rule,
  text,
} from "./rules";
import { isUnknown } from "./unknown";

/** A restore of a cluster of this distribution; undefined: not known yet. */
export function restoreRule(distribution: DistributionName | undefined): Rule {
  return distribution === "etcd" ? etcdRule : embeddedRule(distribution);
}

export function restoreDefaults(distribution: DistributionName | undefined): Readonly<Record<string, unknown>> {
  if (distribution === undefined) return shared;
  return distribution === "etcd" ? { ...shared, bumpRevision: true } : { ...shared, bumpRevision: false, accept: [] };
}

const shared = { triggers: [], safetySnapshot: true };

/** The codes of findings that may be overruled. */
export const overrulable = [
  "MEMBER_LOST",
  "NO_SPACE",
  "SNAPSHOT_FOREIGN",
  "UNSUPPORTED_SETUP",
  "UNSUPPORTED_VERSION",
] as const satisfies readonly ErrorCode[];

const fields = {
  cluster: clusterRule,
  snapshot: text((value) => (/\s/.test(value) ? "must not contain spaces" : undefined)),
  triggers: list(anything),
  safetySnapshot: flag,
  deadline: duration,
};

const refused = {
  survivor: "is not supported yet",
  manifest: "is not supported yet",
  recoveryKit: "is not supported yet",
};

const etcdRule = object(
  { ...fields, s3: s3Rule("etcd"), bumpRevision: flag },
  {
    required: ["cluster"],
    refused: {
      ...refused,
      accept: "is not supported yet: no finding can be overruled",
      restoreMode: "plain etcd has no restoreMode",
      token: "plain etcd has no token",
    },
    also: checkSnapshot,
  },
);

function embeddedRule(distribution: DistributionName | undefined): Rule {
  const title = distribution === "rke2" ? "RKE2" : "K3s";
  const bumpRevision: Rule = (value, path, report) => {
    flag(value, path, report);
    if (value === true) report(path, `must be false: the restore of ${title} decides what becomes of etcd's revision`);
  };
  return object(
    {
      ...fields,
      s3: s3Rule(distribution),
      bumpRevision: distribution === undefined ? flag : bumpRevision,
      token: serverToken,
      accept: list(oneOf(...overrulable)),
    },
    {
      required: ["cluster"],
      refused: { ...refused, restoreMode: `${title} has no restoreMode` },
      also: checkSnapshot,
    },
  );
}

function checkSnapshot(inputs: Fields, path: string, report: Report): void {
  const { snapshot } = inputs;
  if (typeof snapshot !== "string" || isUnknown(snapshot) || snapshot.trim() === "") return;
  const location = parseLocation(snapshot);
  const cluster = fieldsAt(inputs, "cluster");
  if (location === undefined) {
    if (snapshot.includes("/")) {
      report("snapshot", "must be `s3://bucket/key`, `file://server/path`, a file name, or `latest`");
    }
    return;
  }
  if (location.kind !== "file" || cluster === undefined) return;
  const servers = serverNames(cluster);
  if (servers.includes(location.server) || servers.includes(undefined)) return;
  report("snapshot", `names a server that is not listed; there are ${servers.join(", ")}`);
}
