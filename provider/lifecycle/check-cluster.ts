import type { DistributionName } from "../model";
import { checkReachable } from "./check-connection";
import { embeddedClusterRule } from "./check-embedded-cluster";
import { etcdClusterRule } from "./check-etcd-cluster";
import { checkNames, clusterFields } from "./check-machines";
import { pick } from "./fields";
import { fieldsAt, isFields, object, type Rule } from "./rules";

const rules: Readonly<Record<DistributionName, Rule>> = {
  etcd: etcdClusterRule,
  k3s: embeddedClusterRule({ title: "K3s", unit: "k3s.service", agentUnit: "k3s-agent.service" }),
  rke2: embeddedClusterRule({ title: "RKE2", unit: "rke2-server.service", agentUnit: "rke2-agent.service" }),
};

/** A cluster, as one of the builders makes it: what its fields mean depends on its distribution. */
export const clusterRule: Rule = (value, path, report) => {
  if (!isFields(value)) return report(path, "must be an object");
  const { distribution } = value;
  if (isDistribution(distribution)) return rules[distribution](value, path, report);
  // Whose other fields they are is not known.
  clusterOfNoneRule(pick(value, ["distribution", ...Object.keys(clusterFields)]), path, report);
};

/** The distribution that inputs name; undefined when it is none of ours, or not known yet. */
export function distributionIn(inputs: unknown): DistributionName | undefined {
  const distribution = isFields(inputs) ? fieldsAt(inputs, "cluster")?.distribution : undefined;
  return isDistribution(distribution) ? distribution : undefined;
}

function isDistribution(value: unknown): value is DistributionName {
  return typeof value === "string" && Object.hasOwn(rules, value);
}

const distributionRule: Rule = (value, path, report) => {
  const later = ["rke", "rancher"].includes(String(value));
  report(path, later ? 'is not supported yet; "etcd", "k3s" and "rke2" are' : 'must be "etcd", "k3s" or "rke2"');
};

const clusterOfNoneRule = object(
  { distribution: distributionRule, ...clusterFields },
  {
    required: ["distribution", "name", "servers"],
    also: (cluster, path, report) => {
      checkReachable(cluster, ["servers"], path, report);
      checkNames(cluster, ["servers"], path, report);
    },
  },
);
