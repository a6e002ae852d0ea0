import type { MemberAccess, ServerFacts } from "../distribution";
import type { MemberSettings } from "./member-settings";

/** What was seen on a server that runs etcd under systemd. */
export interface EtcdFacts extends ServerFacts {
  readonly unitActive: boolean;
  /** When systemd last started it, as systemd writes it; changes with every restart. */
  readonly startedAt: string;
  readonly user: string;
  readonly group: string;
  /** Paths of tools; undefined when the server has none. */
  readonly etcdctl: string | undefined;
  /** etcdutl, or an etcdctl that still restores. */
  readonly restoreTool: string | undefined;
  readonly restoreToolVersion: string | undefined;
  readonly canBumpRevision: boolean;
  readonly tools: ReadonlySet<"curl" | "flock" | "sha256sum" | "systemd-analyze">;
  /** The member's own settings, by flag name. */
  readonly settings: MemberSettings;
  readonly member: MemberFacts;
  readonly backups: BackupFacts;
}

/** What a restore and a client have to know of the member. */
export interface MemberFacts extends MemberAccess {
  readonly dataDir: string;
  readonly walDir: string | undefined;
}

/** What the server does about backups of ours. */
export interface BackupFacts {
  readonly files: readonly BackupFileFacts[];
  /** Text of our settings file; empty when there is none. */
  readonly settings: string;
  readonly timerActive: boolean;
  readonly timerEnabled: boolean;
  /** What systemd runs, after all drop-ins. */
  readonly calendar: readonly string[];
  /** Normal forms of the declared OnCalendar lines, by the server's own systemd. */
  readonly declaredCalendar: readonly string[];
  /** What our service runs, after all drop-ins. */
  readonly commands: readonly string[];
  readonly dropIns: readonly string[];
  readonly needsReload: boolean;
  /** Text of status.json; empty when nothing ran yet. */
  readonly status: string;
  /** What systemd says of the last run since the server's start: `success`, `exit-code`, `timeout`, … */
  readonly lastRunResult: string | undefined;
}

export interface BackupFileFacts {
  readonly path: string;
  /** In octal, `600`. */
  readonly mode: string;
  readonly owner: string;
  /** Seconds since the epoch. */
  readonly changedAt: number;
  /** `-` for a folder. */
  readonly sha256: string;
}
