import type { ErrorCode } from "../errors";
import type { ApiServer, BackupSettings, Cluster, DistributionName, S3Settings, SnapshotFile } from "../model";
import type { Hosts, Stage } from "../plan/plan";
import type { ConnectedHost } from "../transport/connect";
import type { Host, HostReader } from "../transport/host";
import type { Command } from "../transport/shell";
import type { EqualMembers, MemberLook, Members } from "./members";

/** Snapshots that a restore takes of what it replaces. Never pruned, never `latest`. */
export const SAFETY_PREFIX = "safety-";

/** The systemd unit of an API server whose unit is not given. */
export const API_SERVER_UNIT = "kube-apiserver.service";

/** What every look at a server tells, whatever runs etcd there. Each distribution sees more of its own. */
export interface ServerFacts {
  readonly server: string;
  /** The systemd unit in which etcd runs. */
  readonly unit: string;
  /** True when etcd itself was seen to run. */
  readonly running: boolean;
  readonly etcdVersion: string;
  /** The distribution's own version, where etcd is a part of something. */
  readonly version?: string | undefined;
  /** Which token the server has, never the token. */
  readonly tokenHash?: string | undefined;
  readonly member: MemberAccess;
  /** The server's clock, seconds. */
  readonly clock: number;
  readonly boot: string;
  /** Text of our journal, marker and lease; empty when there is none. */
  readonly journal: string;
  readonly marker: string;
  readonly lease: string;
}

/** What a client of one member has to know. Paths are the server's. */
export interface MemberAccess {
  readonly name: string;
  readonly peerUrls: readonly string[];
  /** One client URL that answers on the server itself. */
  readonly endpoint: string;
  readonly cacert: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** Everything this package has to know about one way of running etcd. What it is given of `Facts`, it has seen itself. */
export interface Distribution<Facts extends ServerFacts = ServerFacts> {
  readonly name: DistributionName;
  /** Looks at one server, in one round trip. */
  inspect(host: HostReader, cluster: Cluster): Promise<Facts>;
  readonly backups: ScheduledBackups<Facts>;
  readonly snapshots: Snapshots<Facts>;
  readonly restores: Restores<Facts>;
}

/** One reason to refuse something. Its text begins with the server. */
export interface Finding {
  readonly code: ErrorCode;
  readonly text: string;
  /** True when `accept` may overrule it. */
  readonly mayAccept?: true;
}

/** How servers take snapshots by themselves. */
export interface ScheduledBackups<Facts extends ServerFacts = ServerFacts> {
  /** Looks at one server, in one round trip, and compares it with what is declared. */
  look(host: HostReader, cluster: Cluster, settings: BackupSettings): Promise<BackupsLook<Facts>>;
  /** Why a server could not take these backups, asked before anything is changed. */
  unable(
    host: HostReader,
    cluster: Cluster,
    settings: BackupSettings,
    look: BackupsLook<Facts>,
  ): Promise<readonly Finding[]>;
  /** What is done once for all servers, on the first that needs it, before any server is changed. */
  once?(cluster: Cluster, settings: BackupSettings, look: BackupsLook<Facts>): Command | undefined;
  /** Makes right what differs, and nothing else. */
  putRight(cluster: Cluster, settings: BackupSettings, look: BackupsLook<Facts>): Command;
  /** For a distribution that reads its settings only when it starts. */
  readonly restarts?: Restarts<Facts>;
  /** Runs the scheduled backup once, now; fails with what it says of itself. */
  saveNow(cluster: Cluster, look: BackupsLook<Facts>): Command;
  /** Takes our files away again. Snapshots, status and journal stay. */
  remove(cluster: Cluster, facts: Facts): Command;
  /** What a server's files still name, and what is taken away once for all when the last server does without it: with these settings, or with none. */
  removeOnce?(facts: Facts, settings?: BackupSettings): Command | undefined;
}

/** How a server is made to run what its files say. */
export interface Restarts<Facts extends ServerFacts = ServerFacts> {
  /** True when it takes a restart until the server does as declared: its files will be changed, or are newer than it. */
  isDue(cluster: Cluster, settings: BackupSettings, look: BackupsLook<Facts>): boolean;
  /** True when the server runs with settings of ours. */
  isDueAfterRemoval(facts: Facts): boolean;
  /** Begins the restart, and does not wait for it. */
  begin(facts: Facts): Command;
  /** Gives the server the files again that it had when it was looked at. */
  putBack(facts: Facts): Command;
}

export interface BackupsLook<Facts extends ServerFacts = ServerFacts> {
  readonly facts: Facts;
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
  /** What a user should know and nothing here can mend, a line each. */
  readonly advice?: readonly string[];
}

/** A snapshot on its server, verified. */
export interface SavedFile {
  readonly name: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly takenAt: string;
  /** What the distribution writes on its objects in S3: an upload of ours does so too. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** True when the distribution says that it has sent it where it was wanted besides. */
  readonly uploaded?: boolean;
  /** What the distribution's own upload said when it failed. */
  readonly uploadFailure?: string | undefined;
}

/** Snapshots on request. */
export interface Snapshots<Facts extends ServerFacts = ServerFacts> {
  /** Where the cluster's snapshots lie on a server: those taken on request first. */
  directories(cluster: Cluster, facts: Facts): readonly [string, ...string[]];
  /** Takes a snapshot of one member into its server's first directory, and verifies it. */
  save(host: Host, facts: Facts, request: SaveRequest): Promise<SavedFile>;
  /** What etcd's own tool says of a snapshot on a server; empty where there is no tool that can. */
  describe(host: HostReader, facts: Facts, path: string): Promise<{ revision?: number; totalKeys?: number }>;
  /** Deletes a snapshot on its server the distribution's own way, as far as that can be done now. */
  forget?(host: Host, cluster: Cluster, name: string): Promise<void>;
  /** The base of the names that the scheduled backups give, and prune. */
  scheduledName(facts: Facts): string;
  /** Which cluster this is, as the distribution writes it on its objects; undefined when that cannot be told now. */
  clusterId?(host: HostReader, facts: Facts): Promise<string | undefined>;
  /** Whose a snapshot in a store says that it is. */
  objectOwner?(file: SnapshotFile): ObjectOwner | undefined;
  /** What a file name tells; undefined when it is not a snapshot's. */
  readName(name: string): SnapshotName | undefined;
}

export interface ObjectOwner {
  readonly clusterId: string;
  readonly server: string | undefined;
}

export interface SaveRequest {
  readonly cluster: Cluster;
  readonly members: Members;
  /** Base of the file's name; the distribution adds server and time. */
  readonly base: string;
  /** Where the snapshot is wanted besides. A distribution that sends its snapshots there by itself may do so now. */
  readonly s3?: S3Settings | undefined;
}

export interface SnapshotName {
  /** ISO 8601, by the clock of the server that saved it. */
  readonly takenAt: string | undefined;
  /** True for a zip with the snapshot in it. */
  readonly compressed: boolean;
}

/** What a restore's stages are built from. */
export interface RestoreStagesRequest {
  readonly cluster: Cluster;
  /** Names everything that this attempt puts on the servers. */
  readonly attempt: string;
  /** File name of the snapshot, which tells whether it is compressed; undefined where nothing has to be staged any more. */
  readonly snapshotName: string | undefined;
  /** Copies the snapshot onto a server, whole or not at all. */
  readonly fetch: (server: string, path: string) => Promise<void>;
  readonly members: Members;
  /** Whether the cluster had a quorum when it was looked at. */
  readonly quorum: boolean;
  /** Servers whose etcd is alive and is saved first. */
  readonly safety: readonly string[];
  /** The server token that the snapshot was taken with; undefined: the one that the servers have. */
  readonly token: string | undefined;
  readonly bumpRevision: boolean;
  /** The highest revision that any client can have seen, as far as anybody knows; 0 when nobody does. */
  readonly highestRevision: number;
  /** How long a wait may last now, and no longer than `most`. @default what a healthy cluster needs to answer */
  readonly patienceMs: (most?: number) => number;
  /** Told what the proven members look like. */
  readonly proven: (members: EqualMembers) => void;
}

/** What a restore's findings are made from. */
export interface RestoreLook<Facts extends ServerFacts = ServerFacts> {
  readonly hosts: ReadonlyMap<string, ConnectedHost>;
  readonly servers: readonly Facts[];
  readonly members: Members;
  /** What each member says of itself; undefined for one that does not answer. */
  readonly status: ReadonlyMap<string, MemberLook | undefined>;
  readonly quorum: boolean;
}

/** Bringing servers back to a snapshot. */
export interface Restores<Facts extends ServerFacts = ServerFacts> {
  /** Why a restore would be refused before anything is touched. `token`: the one that the snapshot was taken with; undefined: the servers'. */
  findings(
    cluster: Cluster,
    look: RestoreLook<Facts>,
    snapshot: SnapshotFile,
    token: string | undefined,
  ): Promise<readonly Finding[]>;
  /** What the plan says of itself beside its stages, a line each: members, revision, what stands still and for how long. */
  describe(servers: readonly Facts[], request: RestoreStagesRequest, snapshot: SnapshotFile): readonly string[];
  /** The stages, in order. */
  stages(servers: readonly Facts[], request: RestoreStagesRequest): readonly Stage[];
  /** Whether anything may have been written to restored members. May stop them to find out. */
  settle(servers: readonly Facts[], request: RestoreStagesRequest, hosts: Hosts): Promise<"forward" | "back">;
  /** Where one attempt sets old data aside on a server, by path. */
  setAside(facts: Facts, attempt: string): readonly string[];
  /** Ends an attempt on one server, for good: backups run again, the marker is on record. */
  finish(cluster: string, facts: Facts, attempt: string, marker: string): Command;
  /** Ends an attempt on one server that another restore supersedes: what it kept from running runs again. The marker is what is on record from now on. */
  leave(cluster: string, facts: Facts, attempt: string, marker: string | undefined): Command;
  /** The same on the machine of an API server: it runs again if it did before that attempt. */
  leaveApiServer?(cluster: string, apiServer: ApiServer, attempt: string): Command;
  /** Waits until an agent is back in the restored cluster, and restarts it when it does not come. True when it did that. */
  wakeAgent?(
    agent: Host,
    unit: string | undefined,
    servers: readonly Facts[],
    readers: ReadonlyMap<string, HostReader>,
  ): Promise<boolean>;
}
