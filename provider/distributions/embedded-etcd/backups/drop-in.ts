import type { BackupSettings, Cluster, S3Settings } from "../../../model";
import { s3Retention } from "../../s3-retention";
import { type ConfigFile, type EffectiveSettings, effectiveSettings } from "../settings/config-files";
import { type ConfigValue, formatConfig } from "../settings/config-text";
import type { EmbeddedFacts } from "../facts";
import { knowsKey } from "../versions";

/** The one file of ours beside the configuration of K3s or RKE2: 0600, because it may hold keys. */
export interface DropIn {
  readonly path: string;
  readonly content: string;
  /** What it says, by key of the configuration. */
  readonly values: Readonly<Record<string, ConfigValue>>;
}

/** Where ours may lie: the first tells by its name what it is, the second is read after every other. */
export function dropInPaths({ configFile }: Pick<EmbeddedFacts, "configFile">): readonly [string, string] {
  return [`${configFile}.d/60-etcd-backup.yaml`, `${configFile}.d/~~etcd-backup.yaml`];
}

/** What our file says on this server. The same settings and version give the same bytes. */
export function dropIn(cluster: Cluster, settings: BackupSettings, facts: EmbeddedFacts): DropIn {
  const asked = Object.entries(askedFor(cluster, settings));
  const values = Object.fromEntries(
    asked.flatMap(([key, value]) => (value === undefined || !knowsKey(facts.version, key) ? [] : [[key, value]])),
  );
  const comment = `The backups of etcd cluster ${cluster.name}, by pulumi-etcd-backup: what is changed here, it changes back.`;
  const content = formatConfig(comment, values);
  return { path: pathFor(content, facts), content, values };
}

/** Once somebody else has the last word about one of our settings, our file goes behind theirs, and stays there. */
function pathFor(content: string, facts: EmbeddedFacts): string {
  const [path, last] = dropInPaths(facts);
  const others = facts.configFiles.filter((file) => file.path !== path);
  if (others.some((file) => file.path === last)) return last;
  const merge = (files: readonly ConfigFile[]): EffectiveSettings =>
    effectiveSettings({ prefix: facts.program.prefix, files, args: [], environment: [] });
  const ours = { path, text: content };
  const [declared, merged] = [merge([ours]), merge([...others, ours])];
  const isOverruled = [...declared.values].some(([key, { value }]) => merged.values.get(key)?.value !== value);
  return isOverruled ? last : path;
}

/** All that is asked for, whether the version knows it or not. */
export function askedFor(
  cluster: Cluster,
  settings: BackupSettings,
): Readonly<Record<string, ConfigValue | undefined>> {
  const { s3 } = settings;
  return {
    "etcd-disable-snapshots": !settings.enabled,
    "etcd-snapshot-schedule-cron": settings.schedule.trim(),
    "etcd-snapshot-retention": settings.retention,
    "etcd-snapshot-name": settings.snapshotName,
    "etcd-snapshot-compress": settings.compress ?? false,
    "etcd-snapshot-dir": settings.directory,
    "etcd-snapshot-reconcile-interval": settings.reconcileInterval,
    ...(s3 === undefined
      ? {}
      : s3.configSecret === undefined
        ? {
            "etcd-s3": true,
            ...s3Values(cluster, s3),
            "etcd-s3-retention": s3Retention(settings, cluster.servers.length),
          }
        : // Beside any other setting of S3 the Secret would be ignored.
          { "etcd-s3": true, "etcd-s3-config-secret": s3.configSecret }),
  };
}

/** Everything is said, also what is off: else a value of the configuration file would count. */
export function s3Values(cluster: Cluster, s3: S3Settings): Readonly<Record<string, string | boolean>> {
  const { accessKeyId, secretAccessKey, sessionToken = "" } = s3;
  return {
    "etcd-s3-endpoint": s3.endpoint ?? "s3.amazonaws.com",
    "etcd-s3-endpoint-ca": s3.endpointCa === undefined ? "" : Buffer.from(s3.endpointCa).toString("base64"),
    "etcd-s3-skip-ssl-verify": s3.skipTlsVerify ?? false,
    "etcd-s3-insecure": s3.insecure ?? false,
    // Without keys the server has a role, or the keys of its own configuration.
    ...(accessKeyId === undefined || secretAccessKey === undefined
      ? {}
      : {
          "etcd-s3-access-key": accessKeyId,
          "etcd-s3-secret-key": secretAccessKey,
          "etcd-s3-session-token": sessionToken,
        }),
    "etcd-s3-bucket": s3.bucket,
    "etcd-s3-bucket-lookup-type": s3.bucketLookup ?? "auto",
    "etcd-s3-folder": s3.folder ?? cluster.name,
    "etcd-s3-region": s3.region ?? "us-east-1",
    "etcd-s3-timeout": s3.timeout ?? "5m",
    "etcd-s3-proxy": s3.proxy ?? "",
  };
}

/** The input that a key is made from. */
export function inputName(key: string): string {
  return inputNames.get(key) ?? key;
}

const inputNames: ReadonlyMap<string, string> = new Map([
  ["etcd-disable-snapshots", "enabled"],
  ["etcd-snapshot-schedule-cron", "schedule"],
  ["etcd-snapshot-retention", "retention"],
  ["etcd-snapshot-name", "snapshotName"],
  ["etcd-snapshot-compress", "compress"],
  ["etcd-snapshot-dir", "directory"],
  ["etcd-snapshot-reconcile-interval", "reconcileInterval"],
  ["etcd-s3", "s3"],
  ["etcd-s3-access-key", "s3.accessKeyId"],
  ["etcd-s3-bucket", "s3.bucket"],
  ["etcd-s3-bucket-lookup-type", "s3.bucketLookup"],
  ["etcd-s3-config-secret", "s3.configSecret"],
  ["etcd-s3-endpoint", "s3.endpoint"],
  ["etcd-s3-endpoint-ca", "s3.endpointCa"],
  ["etcd-s3-folder", "s3.folder"],
  ["etcd-s3-insecure", "s3.insecure"],
  ["etcd-s3-proxy", "s3.proxy"],
  ["etcd-s3-region", "s3.region"],
  ["etcd-s3-retention", "s3.retention"],
  ["etcd-s3-secret-key", "s3.secretAccessKey"],
  ["etcd-s3-session-token", "s3.sessionToken"],
  ["etcd-s3-skip-ssl-verify", "s3.skipTlsVerify"],
  ["etcd-s3-timeout", "s3.timeout"],
]);
