import type { MemberSettings } from "./member-settings";

/** What was seen on a server that runs etcd under systemd. */
export interface EtcdFacts {
  readonly server: string;
  /** The systemd unit, `etcd.service`. */
  readonly unit: string;
  readonly unitActive: boolean;
  /** True when the etcd process itself was seen. */
  readonly running: boolean;
  /** When systemd last started it, as systemd writes it; changes with every restart. */
  readonly startedAt: string;
  readonly user: string;
  readonly group: string;
  readonly etcdVersion: string;
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
  /** The server's clock, seconds. */
  readonly clock: number;
  readonly boot: string;
  readonly backups: BackupFacts;
  /** Text of our journal, marker and lease; empty when there is none. */
  readonly journal: string;
  readonly marker: string;
  readonly lease: string;
}

/** What a restore and a client have to know of the member. */
export interface MemberFacts {
  readonly name: string;
  readonly dataDir: string;
  readonly walDir: string | undefined;
  readonly peerUrls: readonly string[];
  /** One client URL that answers on the server itself. */
  readonly endpoint: string;
  readonly cacert: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
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
