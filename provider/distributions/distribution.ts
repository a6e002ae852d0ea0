import type { ErrorCode } from "../errors";
import type { ApiServer, BackupSettings, Cluster, DistributionName } from "../model";
import type { Hosts, Stage } from "../plan/plan";
import type { ConnectedHost } from "../transport/connect";
import type { Host, HostReader } from "../transport/host";
import type { Command } from "../transport/shell";
import type { EtcdFacts } from "./etcd/facts";
import type { Members } from "./etcd/members";
import type { RestorePlaces } from "./etcd/restore-places";
import type { RestoreStagesRequest } from "./etcd/restore-stages";
import type { SavedFile } from "./etcd/save-snapshot";

export type { MemberLook, EqualMembers, Members } from "./etcd/members";
export type { SavedFile } from "./etcd/save-snapshot";

/** What was seen of a server, in one look. There is one distribution so far: what it sees is what there is. */
export type ServerFacts = EtcdFacts;

/** Snapshots that a restore takes of what it replaces. Never pruned, never `latest`. */
export const SAFETY_PREFIX = "safety-";

/** The systemd unit of an API server whose unit is not given. */
export const API_SERVER_UNIT = "kube-apiserver.service";

/** Everything this package has to know about one way of running etcd. */
export interface Distribution {
  readonly name: DistributionName;
  /** Looks at one server, in one round trip. */
  inspect(host: HostReader, cluster: Cluster): Promise<ServerFacts>;
  /** The cluster's members, asked through the servers' own connections. */
  members(cluster: Cluster, servers: readonly ServerFacts[], hosts: ReadonlyMap<string, ConnectedHost>): Members;
  readonly backups: ScheduledBackups;
  readonly snapshots: Snapshots;
  readonly restores: Restores;
}

/** One reason to refuse something. Its text begins with the server. */
export interface Finding {
  readonly code: ErrorCode;
  readonly text: string;
}

/** How servers take snapshots by themselves. */
export interface ScheduledBackups {
  /** Looks at one server, in one round trip, and compares it with what is declared. */
  look(host: HostReader, cluster: Cluster, settings: BackupSettings): Promise<BackupsLook>;
  /** Why a server could not take these backups, asked before anything is changed. */
  unable(host: HostReader, settings: BackupSettings, look: BackupsLook): Promise<readonly Finding[]>;
  /** Makes right what differs, and nothing else. */
  putRight(cluster: Cluster, settings: BackupSettings, look: BackupsLook): Command;
  /** Runs the scheduled backup once, now; fails with what it says of itself. */
  saveNow(cluster: Cluster): Command;
  /** Takes our files away again. Snapshots, status and journal stay. */
  remove(cluster: Cluster): Command;
}

export interface BackupsLook {
  readonly facts: ServerFacts;
  /** One line per difference from the settings, each beginning with the field. */
  readonly drift: readonly string[];
  /** Set when a snapshot should have come since, and did not. */
  readonly stale: string | undefined;
  readonly directory: string;
  readonly timer: "active" | "off";
  /** When it runs, in the server's own words. */
  readonly schedule: readonly string[];
  readonly retention: number | undefined;
  readonly lastSnapshotAt: string | undefined;
  /** Why the last scheduled run failed; undefined when it did not. */
  readonly lastFailure: string | undefined;
}

/** Snapshots on request. */
export interface Snapshots {
  /** Where the cluster's snapshots lie on a server: those taken on request first. */
  directories(cluster: Cluster, facts: ServerFacts): readonly [string, ...string[]];
  /** Takes a snapshot of one member into its server's first directory, and verifies it. */
  save(host: Host, facts: ServerFacts, cluster: Cluster, members: Members, base: string): Promise<SavedFile>;
  /** What etcd's own tool says of a snapshot on a server; empty where there is no tool that can. */
  describe(host: HostReader, facts: ServerFacts, path: string): Promise<{ revision?: number; totalKeys?: number }>;
  /** The base of the names that the scheduled backups give, and prune. */
  scheduledName(facts: ServerFacts): string;
}

/** Bringing servers back to a snapshot. */
export interface Restores {
  /** The stages, in order. */
  stages(servers: readonly ServerFacts[], request: RestoreStagesRequest): readonly Stage[];
  /** Whether anything may have been written to restored members. May stop them to find out. */
  settle(servers: readonly ServerFacts[], request: RestoreStagesRequest, hosts: Hosts): Promise<"forward" | "back">;
  /** Where one attempt puts things on a server. */
  places(cluster: string, facts: ServerFacts, attempt: string): RestorePlaces;
  /** What one attempt remembers on a machine, and leaves behind only when it is cut off. */
  workDirectory(cluster: string, attempt: string): string;
  /** Ends an attempt on one server, for good: backups run again, the marker is on record. */
  finish(cluster: string, marker: string, places: RestorePlaces): Command;
  /** Ends an attempt on one server that another restore supersedes: what it kept from running runs again. The marker is what is on record from now on. */
  leave(cluster: string, facts: ServerFacts, places: RestorePlaces, marker: string | undefined): Command;
  /** The same on the machine of an API server: it runs again if it did before that attempt. */
  leaveApiServer(cluster: string, apiServer: ApiServer, attempt: string): Command;
}
