import { BackupError, CommandError } from "../../errors";
import type { Cluster } from "../../model";
import { serverDirectory } from "../../plan/server-directory";
import { parseVerification, verifyScript } from "../../snapshot-file/verify-script";
import type { Host } from "../../transport/host";
import { type Command, sh } from "../../transport/shell";
import { SAFETY_PREFIX, type SavedFile, type SaveRequest } from "../distribution";
import type { EtcdFacts } from "./facts";
import type { Members } from "../members";

/** Where a cluster's snapshots lie on a server unless its backups say otherwise. */
export function snapshotDirectory(cluster: string): string {
  return `${serverDirectory(cluster)}/snapshots`;
}

/**
 * Takes a snapshot of one member into its server's directory and verifies it: with the server's etcdctl, or through the
 * connection where it has none.
 */
export async function saveSnapshot(
  host: Host,
  facts: EtcdFacts,
  { cluster, members, base }: SaveRequest,
): Promise<SavedFile> {
  const takenAt = new Date(facts.clock * 1000).toISOString();
  const name = `${base}-${facts.server}-${facts.clock}.db`;
  const path = `${snapshotDirectory(cluster.name)}/${name}`;
  try {
    if (facts.etcdctl === undefined) await streamTo(host, facts, members, path);
    else
      await host.run(saveScript(facts, facts.etcdctl, cluster.username, path), {
        stdin: cluster.username === undefined ? undefined : `${cluster.password ?? ""}\n`,
        timeoutMs: 15 * 60_000,
      });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new BackupError(
      "SNAPSHOT_FAILED",
      `a snapshot could not be saved: ${error.stderr.trimEnd().split("\n").at(-1) ?? ""}`,
      {
        host: host.name,
        hint: "Nothing was left behind. Ask etcd itself with `etcdctl endpoint health`.",
        cause: error,
      },
    );
  }
  const found = parseVerification((await host.query(verifyScript(path), { timeoutMs: 10 * 60_000 })).stdout);
  if (found.kind !== "sound") {
    throw new BackupError(
      "SNAPSHOT_CORRUPT",
      `the snapshot just saved is not whole: ${found.kind === "corrupt" ? found.reason : "it is not there"}`,
      {
        host: host.name,
      },
    );
  }
  return { name, path, sizeBytes: found.sizeBytes, sha256: found.sha256, takenAt };
}

/** Takes the snapshot that a restore can be undone with by hand. Taken once in an attempt. */
export async function saveSafetySnapshot(
  host: Host,
  facts: EtcdFacts,
  cluster: Cluster,
  members: Members,
  attempt: string,
): Promise<SavedFile> {
  return saveSnapshot(host, facts, { cluster, members, base: `${SAFETY_PREFIX}${attempt}` });
}

/** Only the last act goes through `host`, which may check a lock first: until then the file has a name that means nothing. */
async function streamTo(host: Host, facts: EtcdFacts, members: Members, path: string): Promise<void> {
  await members.saveSnapshot(facts, `${path}.saving`);
  await host.run(sh`mv ${`${path}.saving`} ${path} && { sync ${path} 2>/dev/null || sync; }`);
}

/** Saves under another name first: a file that has the right name is whole. */
function saveScript(facts: EtcdFacts, etcdctl: string, username: string | undefined, path: string): Command {
  const { endpoint, cacert, cert, key } = facts.member;
  const flags = [
    `--endpoints=${endpoint}`,
    ...(cacert === undefined ? [] : [`--cacert=${cacert}`]),
    ...(cert === undefined ? [] : [`--cert=${cert}`]),
    ...(key === undefined ? [] : [`--key=${key}`]),
    // etcdctl reads the password that belongs to the user from its standard input.
    ...(username === undefined ? [] : [`--user=${username}`]),
  ];
  return sh`(
  f=${path}
  umask 077
  mkdir -p "$(dirname "$f")" || exit 1
  [ ! -e "$f" ] || { echo "$f is there already: another snapshot has the same name and second" >&2; exit 1; }
  trap 'rm -f "$f.saving" "$f.saving.part"' EXIT
  ETCDCTL_API=3 ${etcdctl} ${flags} snapshot save "$f.saving" >&2 && chmod 600 "$f.saving" && mv "$f.saving" "$f" && { sync "$f" 2>/dev/null || sync; }
)`;
}
