import type { BackupSettings, Cluster } from "../../../model";
import { type Command, secret, sh, titled } from "../../../transport/shell";
import { s3Values } from "./drop-in";
import { type KubectlFacts, kubectl } from "../kubernetes";
import { knowsKey } from "../versions";

/** The Secret in kube-system that the servers read their S3 settings from. https://docs.k3s.io/cli/etcd-snapshot#s3-configuration-secret-support */
interface S3Secret {
  readonly name: string;
  readonly data: Readonly<Record<string, string>>;
}

/** Undefined when the settings ask for none. */
export function s3Secret(cluster: Cluster, { s3 }: BackupSettings, version: string): S3Secret | undefined {
  if (s3?.configSecret === undefined) return undefined;
  const values = Object.entries({
    ...s3Values(cluster, s3),
    // PEM here, where a file has base64.
    "etcd-s3-endpoint-ca": s3.endpointCa ?? "",
  });
  const known = values.filter(([key]) => knowsKey(version, key)).map(([key, value]) => [key, String(value)]);
  return { name: s3.configSecret, data: Object.fromEntries(known) as Record<string, string> };
}

/** How a Secret differs from ours, without what either says: the input's name first. */
export function secretDrift(ours: S3Secret, json: string): string | undefined {
  const { data } = JSON.parse(json) as { readonly data?: Readonly<Record<string, string>> };
  if (data === undefined) return `s3.configSecret: there is no Secret kube-system/${ours.name}`;
  const wanted = encoded(ours);
  const keys = [...new Set([...Object.keys(data), ...Object.keys(wanted)])].filter((key) => data[key] !== wanted[key]);
  return keys.length === 0
    ? undefined
    : `s3.configSecret: kube-system/${ours.name} differs in ${keys.sort().join(", ")}`;
}

/** Writes the Secret. It goes in by standard input: what it holds is no word of any command. */
export function applySecret(facts: KubectlFacts, ours: S3Secret): Command {
  const manifest = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: ours.name, namespace: "kube-system", labels: { "app.kubernetes.io/managed-by": MANAGER } },
    type: "etcd.k3s.cattle.io/s3-config-secret",
    data: encoded(ours),
  };
  return titled(
    `write the Secret kube-system/${ours.name}`,
    sh`printf '%s' ${secret(JSON.stringify(manifest))} | timeout 60 ${kubectl(facts)} apply -f - >/dev/null`,
  );
}

const MANAGER = "pulumi-etcd-backup";

/** Deletes the Secret when it is ours. */
export function deleteSecret(facts: KubectlFacts, name: string): Command {
  const ask = sh`timeout 60 ${kubectl(facts)} --namespace kube-system`;
  return sh`s=$(${ask} get secret ${name} --ignore-not-found -o json) || exit 1
case $s in *${MANAGER}*) ${ask} delete secret ${name} --ignore-not-found >/dev/null || exit 1 ;; esac`;
}

function encoded({ data }: S3Secret): Record<string, string> {
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")]));
}
