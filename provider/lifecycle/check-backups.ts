import { SAFETY_PREFIX } from "../distributions/distribution";
import type { DistributionName } from "../model";
import { clusterRule } from "./check-cluster";
import { s3Rule } from "./check-s3";
import { embeddedScheduleRule, scheduleRule } from "./check-schedule";
import { absolutePath, duration, flag, integer, name, object, oneOf, type Rule } from "./rules";

/** The backups of a cluster of this distribution; undefined: not known yet. */
export function backupsRule(distribution: DistributionName | undefined): Rule {
  return distribution === "etcd" ? etcdRule : embeddedRule(distribution);
}

export function backupsDefaults(distribution: DistributionName | undefined): Readonly<Record<string, unknown>> {
  return distribution === undefined || distribution === "etcd" ? shared : { ...shared, ...embedded };
}

const shared = {
  schedule: "0 */12 * * *",
  retention: 5,
  snapshotName: "etcd-snapshot",
  enabled: true,
  onDestroy: "remove",
} as const;

const embedded = { compress: false, restart: "rolling" } as const;

const fields = {
  cluster: clusterRule,
  retention: integer(1),
  directory: absolutePath,
  snapshotName: name,
  enabled: flag,
  onDestroy: oneOf("remove", "retain"),
};

const etcdRule = object(
  { ...fields, schedule: scheduleRule, s3: s3Rule("etcd") },
  {
    required: ["cluster"],
    refused: {
      compress: "plain etcd has no compression of snapshots",
      restart: "plain etcd has nothing to restart for its backups",
      reconcileInterval: "plain etcd has no reconcileInterval",
      safeTimestamp: "plain etcd has no safeTimestamp",
      configSecret: "plain etcd has no configSecret",
    },
  },
);

/** What prunes on a server compares beginnings, and what restores save must not be pruned. */
const embeddedNameRule: Rule = (value, path, report) => {
  name(value, path, report);
  if (typeof value !== "string" || value === "") return;
  if (SAFETY_PREFIX.startsWith(value) || value.startsWith(SAFETY_PREFIX)) {
    report(
      path,
      `would prune the \`${SAFETY_PREFIX}…\` snapshots that restores take: choose a name that begins otherwise`,
    );
  }
};

function embeddedRule(distribution: DistributionName | undefined): Rule {
  return object(
    {
      ...fields,
      snapshotName: distribution === undefined ? name : embeddedNameRule,
      schedule: distribution === undefined ? scheduleRule : embeddedScheduleRule,
      compress: flag,
      restart: oneOf("rolling", "none"),
      reconcileInterval: duration,
      s3: s3Rule(distribution),
    },
    {
      required: ["cluster"],
      refused: {
        safeTimestamp: `${distribution === "rke2" ? "RKE2" : "K3s"} has no safeTimestamp`,
        configSecret: "goes into `s3`",
      },
    },
  );
}
