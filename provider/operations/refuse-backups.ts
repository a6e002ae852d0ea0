import { distributionOf } from "../distributions";
import type { BackupsLook } from "../distributions/distribution";
import { BackupError } from "../errors";
import { allInParallel } from "../in-parallel";
import type { BackupSettings, Cluster, S3Settings } from "../model";
import { openStore } from "../stores/open-store";
import { readServerRole } from "../stores/server-role";
import type { ConnectedHost } from "../transport/connect";
import { refuseForeignFolder, refuseTakenFolder } from "./shared-folder";

/** A server's backups, and the way to it. */
export interface LookedAt extends BackupsLook {
  readonly host: ConnectedHost;
  /** A restore was begun here and has not ended: it paused the backups, and will resume them. */
  readonly restoring: boolean;
}

/** A restore that has not ended will put the backups back as they were. */
export function refuseDuringRestore(looks: readonly LookedAt[]): void {
  const restoring = looks.find((look) => look.restoring);
  if (restoring === undefined) return;
  throw new BackupError("RESTORE_IN_PROGRESS", "a restore was begun and has not ended", {
    host: restoring.host.name,
    hint: "Finish it first: `pulumi up` with the SnapshotRestore that began it. The backups were not changed.",
  });
}

/** What would make the backups fail later makes the configuration fail now, and nothing has been changed. */
export async function refuseUnable(
  cluster: Cluster,
  settings: BackupSettings,
  looks: readonly LookedAt[],
): Promise<void> {
  const { backups } = distributionOf(cluster);
  const found = await allInParallel(looks, (look) => backups.unable(look.host, cluster, settings, look));
  const findings = found.flat();
  const [first] = findings;
  if (first !== undefined) {
    throw new BackupError(first.code, findings.map((finding) => finding.text).join("\n"), {
      hint: "Nothing was changed on any server.",
    });
  }
  if (settings.s3 === undefined) return;
  refuseTakenFolder(cluster, settings.s3);
  await refuseUnableStore(cluster, settings.s3, looks);
}

/** A server's scheduled runs have the keys or a role of its own; a profile of this machine is nothing to them. */
async function refuseUnableStore(cluster: Cluster, s3: S3Settings, looks: readonly LookedAt[]): Promise<void> {
  const [first] = looks;
  if (s3.accessKeyId !== undefined && first !== undefined) {
    // With keys all servers are the same to S3.
    const store = openStore(s3, cluster.name, first.host);
    await refuseForeignFolder(cluster, store, await store.list(), first);
    return;
  }
  const { profile, ...own } = s3;
  await allInParallel(looks, async (look) => {
    const { host } = look;
    if ((await readServerRole(host)) === undefined) {
      throw new BackupError("STORE_DENIED", "there are no S3 keys for its scheduled backups, and it has no role", {
        host: host.name,
        hint: "Give s3.accessKeyId and s3.secretAccessKey, or a role (instance profile) to the server. Nothing was changed on any server.",
      });
    }
    const store = openStore(own, cluster.name, host);
    const listed = await store.list();
    if (look === first) await refuseForeignFolder(cluster, store, listed, look);
  });
}

/** What is in force after all was done, and is not what was declared. */
export function refuseLeftover(looks: readonly LookedAt[]): void {
  const left = looks.flatMap((look) => look.drift.map((line) => `${look.host.name}: ${line}`));
  if (left.length === 0) return;
  throw new BackupError(
    "COMMAND_FAILED",
    `the backups were configured, but something else is still in force:\n${left.join("\n")}`,
    {
      hint: "Remove what overrides ours there, then run `pulumi up` again.",
    },
  );
}
