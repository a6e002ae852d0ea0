import type { Output } from "@pulumi/pulumi";
import type { BackupConfig, Snapshot, SnapshotRestore } from "../../../provider/index";
import type { BackupConfigState } from "../../../provider/lifecycle/backup-config";
import type { SnapshotState } from "../../../provider/lifecycle/snapshot";
import type { RestoreReport } from "../../../provider/operations/restore";

/** What a resource's outputs are once they are known. */
type Known<Resource> = {
  -readonly [
    Key in keyof Resource as Resource[Key] extends Output<unknown> ? Key : never
  ]: Resource[Key] extends Output<infer Value> ? Value : never;
};

/** Outputs that a snapshot has where its distribution knows them. */
type Sometimes = "revision" | "totalKeys" | "distributionVersion" | "tokenHash";

type Own<Resource> = Omit<Known<Resource>, "id" | "urn">;

// Checked by the compiler: what users read is what the lifecycles keep, field by field.
test("the outputs that users see are those that the lifecycles keep", () => {
  const backups = (state: Pick<BackupConfigState, "servers" | "warnings" | "drift">): Own<BackupConfig> => state;
  const snapshot = (state: SnapshotState): Omit<Own<Snapshot>, Sometimes> => state;
  const restore = (report: RestoreReport): Omit<Own<SnapshotRestore>, "revisionBefore"> => report;
  const keys = (resource: keyof Own<SnapshotRestore>): keyof RestoreReport => resource;
  const all = (report: keyof RestoreReport): keyof Own<SnapshotRestore> => report;
  expect([backups, snapshot, restore, keys, all]).toHaveLength(5);
});
