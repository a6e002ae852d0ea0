import type { S3Settings } from "../../../model";
import { type Command, sh } from "../../../transport/shell";
import { flagOn, setting } from "../settings/config-files";
import type { EmbeddedFacts } from "../facts";
import { loopbackOf } from "../loopback";
import { supports } from "../versions";

/**
 * The distribution's own command for a snapshot. What it needs to know stands in the configuration, which it reads as
 * the server does, or in its words: never a key. `uploads` lets it send the snapshot where the configuration says.
 */
export function saveCommand(facts: EmbeddedFacts, base: string, uploads: boolean): Command {
  const command = [facts.binary, "etcd-snapshot", ...(supports(facts.version, "save-subcommand") ? ["save"] : [])];
  return sh`${[...command, `--name=${base}`, ...connection(facts), ...(uploads ? [] : [NO_S3])]}`;
}

/** The distribution's own command that deletes one snapshot, on this server alone. Of an unknown one it says so, and exits 0. */
export function deleteCommand(facts: EmbeddedFacts, name: string): Command {
  // What follows the name is taken for another name.
  return sh`${[facts.binary, "etcd-snapshot", "delete", ...connection(facts), NO_S3, name]}`;
}

// In the spelling of the configuration: two spellings of one flag are an error.
const NO_S3 = "--etcd-s3=false";

/** What the unit's arguments and environment say, the command does not see. */
function connection(facts: EmbeddedFacts): readonly string[] {
  const { program, version, dataDir, snapshotDirectory, configFile, nodeName } = facts;
  const supervisor = `https://${loopbackOf(facts.address)}:${facts.supervisorPort}`;
  return [
    ...(configFile === `${program.configDir}/config.yaml` ? [] : [`--config=${configFile}`]),
    ...(dataDir === program.dataDir ? [] : [`--data-dir=${dataDir}`]),
    ...(snapshotDirectory === `${dataDir}/server/db/snapshots` ? [] : [`--etcd-snapshot-dir=${snapshotDirectory}`]),
    // Without it some versions save on the server that `server:` names. https://github.com/k3s-io/k3s/issues/10513
    ...(supports(version, "etcd-server-flag") ? [`--etcd-server=${supervisor}`] : []),
    ...(supports(version, "server-flag") ? [`--server=${supervisor}`] : []),
    // The one that saves by itself names the file by itself, too.
    ...(supports(version, "http-cli") ? [] : [`--node-name=${nodeName}`]),
  ];
}

/** Whether a snapshot that the distribution sends goes to the very place that these settings mean. */
export function uploadsThere(facts: EmbeddedFacts, cluster: string, s3: S3Settings): boolean {
  const { settings } = facts;
  const ofS3 = [...settings.values].filter(([key]) => /^etcd-s3($|-)/.test(key));
  // The command reads files only.
  if (!flagOn(settings, "etcd-s3") || ofS3.some(([, { file }]) => file === undefined)) return false;
  const folder = (s3.folder ?? cluster).replace(/^\/+|\/+$/g, "");
  return (
    setting(settings, "etcd-s3-bucket") === s3.bucket &&
    (setting(settings, "etcd-s3-folder") ?? "").replace(/^\/+|\/+$/g, "") === folder &&
    endpointOf(setting(settings, "etcd-s3-endpoint")) === endpointOf(s3.endpoint) &&
    flagOn(settings, "etcd-s3-insecure") === (s3.insecure ?? false)
  );
}

/** AWS has one name of each bucket, whichever of its endpoints is asked. */
function endpointOf(endpoint: string | undefined): string {
  return endpoint === undefined || /(^|\.)amazonaws\.com(:443)?$/.test(endpoint) ? "aws" : endpoint;
}
