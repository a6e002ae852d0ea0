import type { ServerFacts } from "../distribution";
import type { EffectiveSettings } from "./settings/config-files";
import type { Program } from "./program";

/** What was seen on a server that runs K3s or RKE2. */
export interface EmbeddedFacts extends ServerFacts {
  readonly program: Program;
  readonly version: string;
  /** Path of the program, as the unit starts it. */
  readonly binary: string;
  readonly unitActive: boolean;
  /** Seconds since the epoch; undefined while it does not run. */
  readonly startedAt: number | undefined;
  /** What the unit starts it with, after `server`. May hold secrets. */
  readonly args: readonly string[];
  /** The unit's `EnvironmentFile=` settings, in order, as systemd writes them: a leading dash means it may be absent. */
  readonly environmentFiles: readonly string[];
  /** The unit's own `Environment=` settings. May hold secrets. */
  readonly environment: readonly { readonly name: string; readonly value: string }[];
  /** The configuration file; its drop-ins are in `<file>.d`. */
  readonly configFile: string;
  readonly configFiles: readonly ConfigFileFacts[];
  readonly settings: EffectiveSettings;
  readonly nodeName: string;
  /** An address that the other servers reach. */
  readonly address: string;
  /** Where the command line on this server, and servers that join it, are answered. */
  readonly supervisorPort: number;
  readonly dataDir: string;
  readonly snapshotDirectory: string;
  readonly snapshots: readonly LocalSnapshot[];
  /** What lies in the data directory. */
  readonly data: DataFacts;
  /** False on a machine that has never been a node: the cluster may remember another of the same name. */
  readonly hasNodePassword: boolean;
  readonly killScript: string | undefined;
  readonly tools: ReadonlySet<Tool>;
}

export type Tool = "curl" | "flock" | "gzip" | "sha256sum" | "systemd-run";

export interface ConfigFileFacts {
  readonly path: string;
  /** In octal, `600`. */
  readonly mode: string;
  readonly owner: string;
  /** Seconds since the epoch. */
  readonly changedAt: number;
  readonly text: string;
}

/** A file in the snapshot directory. */
export interface LocalSnapshot {
  readonly name: string;
  readonly sizeBytes: number;
  /** Seconds since the epoch. */
  readonly changedAt: number;
}

export interface DataFacts {
  /** False on a machine that has never run, and in the middle of a restore. */
  readonly hasEtcd: boolean;
  readonly hasSqlite: boolean;
  /** Size of etcd's database, 0 when there is none. */
  readonly databaseBytes: number;
}
