import type { Cluster, S3Settings } from "../model";
import type { Call } from "./call";

/** The backups a cluster should take, with every default filled in. */
export interface BackupSettings {
  /** Five-field cron, in the servers' local time. */
  readonly schedule: string;
  /** Scheduled snapshots kept on each server. */
  readonly retention: number;
  /** Where servers keep them; undefined: the distribution's own place. */
  readonly directory?: string | undefined;
  readonly snapshotName: string;
  readonly enabled: boolean;
  readonly s3?: S3Settings | undefined;
}

/** What one server really does about backups. Times, never ages. */
export interface ServerBackups {
  readonly server: string;
  readonly etcdVersion: string;
  readonly directory: string;
  readonly timer: "active" | "off";
  readonly lastSnapshotAt?: string | undefined;
  /** One line per difference from the settings, each beginning with the field: `schedule: "0 0 * * *", declared "0 *\/6 * * *"`. */
  readonly drift: readonly string[];
}

export interface BackupsReport {
  readonly servers: readonly ServerBackups[];
  readonly warnings: readonly string[];
}

/** Makes every server take these backups, from any starting point. A server that already does is not touched. */
export function configureBackups(cluster: Cluster, settings: BackupSettings, call: Call): Promise<BackupsReport> {
  throw new Error(`not built yet: ${[cluster, settings, call].length}`);
}

/** Looks what the servers do about backups: one round trip each. */
export function readBackups(cluster: Cluster, settings: BackupSettings, call: Call): Promise<BackupsReport> {
  throw new Error(`not built yet: ${[cluster, settings, call].length}`);
}

/** Takes our files away again. Snapshots stay. */
export function removeBackups(cluster: Cluster, call: Call): Promise<void> {
  throw new Error(`not built yet: ${[cluster, call].length}`);
}

/** Verifies that every server can be reached with its connection as it now is. Changes nothing. */
export function verifyConnections(cluster: Cluster, call: Call): Promise<void> {
  throw new Error(`not built yet: ${[cluster, call].length}`);
}
