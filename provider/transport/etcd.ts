import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Etcd3, IHashKVResponse } from "etcd3";
import { BackupError } from "../errors";
import type { ConnectedHost } from "./connect";
import { messageOf } from "./dial-error";
import { loadEtcd3 } from "./heavy-modules";
import { openTlsStream } from "./tls-stream";
import { openTunnel } from "./tunnel";

/** How a server reaches its own etcd. */
export interface EtcdAccess {
  /** `https://10.0.0.11:2379`, as the server itself reaches it. */
  readonly endpoint: string;
  /** PEM texts. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly username?: string;
  readonly password?: string;
}

export interface EtcdStatus {
  /** 64-bit ids are decimal text. */
  readonly memberId: string;
  readonly clusterId: string;
  /** "0" when the member knows of no leader. */
  readonly leaderId: string;
  readonly revision: number;
  readonly version: string;
  readonly dbSize: number;
  readonly raftIndex: number;
  readonly raftAppliedIndex: number;
  readonly raftTerm: number;
  readonly isLearner: boolean;
  readonly errors: readonly string[];
}

export interface EtcdListedMember {
  readonly id: string;
  /** Empty while the member has never started. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

export interface EtcdHash {
  readonly hash: number;
  readonly compactRevision: number;
  /** The member's revision when it answered. */
  readonly revision: number;
}

/** One member of an etcd cluster, asked directly. Every call has a deadline and rejects with CLUSTER_UNHEALTHY. */
export interface EtcdMember {
  status(): Promise<EtcdStatus>;
  members(): Promise<readonly EtcdListedMember[]>;
  /** `NOSPACE` or `CORRUPT`, on which member. */
  alarms(): Promise<readonly { readonly memberId: string; readonly alarm: string }[]>;
  /** The hash of all keys up to a revision: equal on all members, or they have parted. */
  hashKv(revision: number): Promise<EtcdHash>;
  /** A read that a quorum has to confirm. Without one etcd does not answer, so the deadline decides how long that takes. @default 10 000 */
  linearizableRead(deadlineMs?: number): Promise<void>;
  /** The revision that a quorum has reached. */
  currentRevision(): Promise<number>;
  /** Streams a snapshot, SHA-256 trailer included, and returns its size. Ends the sink. */
  saveSnapshot(sink: Writable): Promise<number>;
  close(): Promise<void>;
}

/** Opens a member through the server's connection. Nothing of etcd's answer is asked for yet, but the way to it stands. */
export async function openEtcd(host: ConnectedHost, access: EtcdAccess): Promise<EtcdMember> {
  const { Etcd3 } = loadEtcd3();
  const url = new URL(access.endpoint);
  const address = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = Number(url.port === "" ? "2379" : url.port);
  let lastFailure: Error | undefined;
  const openStream = async () => {
    const plain = await host.openStream(address, port);
    if (url.protocol !== "https:") return plain;
    // TLS is ours, not gRPC's: its client checks the certificate against the socket's path, and cannot be told an IP address instead.
    const secure = await openTlsStream(plain, address, access);
    secure.on("error", (error: Error) => {
      lastFailure = error;
    });
    return secure;
  };
  const failed = (error: unknown): BackupError => {
    if (error instanceof BackupError) return error;
    const what = messageOf(error);
    const why = lastFailure === undefined ? "" : ` (${lastFailure.message})`;
    return new BackupError("CLUSTER_UNHEALTHY", `etcd at ${access.endpoint}: ${what}${why}`, {
      host: host.name,
      cause: error,
    });
  };
  const tunnel = await withDeadline(openTunnel(openStream), OPEN_MS).catch((error: unknown) => {
    throw failed(error);
  });
  const { username, password = "" } = access;
  const client = new Etcd3({
    hosts: tunnel.address,
    ...(username === undefined ? {} : { auth: { username, password, callOptions: () => deadline(CALL_MS) } }),
    defaultCallOptions: (context) => (context.isStream ? {} : deadline(CALL_MS)),
  });
  return new TunnelledMember(client, failed, async () => {
    client.close();
    await tunnel.close();
  });
}

const OPEN_MS = 15_000;
const CALL_MS = 10_000;
/** It reads every key. */
const HASH_MS = 120_000;
const SNAPSHOT_SILENCE_MS = 60_000;

function deadline(ms: number): { deadline: number } {
  return { deadline: Date.now() + ms };
}

class TunnelledMember implements EtcdMember {
  private readonly client: Etcd3;
  private readonly failed: (error: unknown) => BackupError;
  readonly close: () => Promise<void>;

  constructor(client: Etcd3, failed: (error: unknown) => BackupError, close: () => Promise<void>) {
    this.client = client;
    this.failed = failed;
    this.close = close;
  }

  status(): Promise<EtcdStatus> {
    return this.ask(async () => {
      const status = await this.client.maintenance.status();
      return {
        memberId: status.header.member_id,
        clusterId: status.header.cluster_id,
        leaderId: status.leader,
        revision: Number(status.header.revision),
        version: status.version,
        dbSize: Number(status.dbSize),
        raftIndex: Number(status.raftIndex),
        raftAppliedIndex: Number(status.raftAppliedIndex),
        raftTerm: Number(status.raftTerm),
        isLearner: status.isLearner,
        errors: status.errors,
      };
    });
  }

  members(): Promise<readonly EtcdListedMember[]> {
    return this.ask(async () => {
      const { members } = await this.client.cluster.memberList({});
      return members.map((member) => ({
        id: member.ID,
        name: member.name,
        peerUrls: member.peerURLs,
        clientUrls: member.clientURLs,
        isLearner: member.isLearner,
      }));
    });
  }

  alarms(): Promise<readonly { readonly memberId: string; readonly alarm: string }[]> {
    return this.ask(async () => {
      const { alarms } = await this.client.maintenance.alarm({});
      return alarms.map(({ memberID, alarm }) => ({ memberId: memberID, alarm: String(alarm).toUpperCase() }));
    });
  }

  hashKv(revision: number): Promise<EtcdHash> {
    return this.ask(async () => {
      const answer = await callHashKv(this.client, revision);
      return {
        hash: Number(answer.hash),
        compactRevision: Number(answer.compact_revision),
        revision: Number(answer.header.revision),
      };
    });
  }

  async linearizableRead(deadlineMs: number = CALL_MS): Promise<void> {
    // Any key will do; reads are linearizable unless asked otherwise.
    await this.ask(async () => this.client.get("health").options(deadline(deadlineMs)).exec()).catch(
      (error: unknown) => {
        // etcd asks its peers first and for permission then: to be refused takes a quorum too.
        if (!/permission denied|user name is empty/.test(messageOf(error))) throw error;
      },
    );
  }

  currentRevision(): Promise<number> {
    return this.ask(async () => Number((await this.client.get("health").exec()).header.revision));
  }

  saveSnapshot(sink: Writable): Promise<number> {
    return this.ask(async () => receive(await callSnapshot(this.client), sink));
  }

  private async ask<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw this.failed(error);
    }
  }
}

/** etcd3's own `maintenance.hashKV` calls a method that does not exist: gRPC spells it `hashKv`. */
function callHashKv(client: Etcd3, revision: number): Promise<IHashKVResponse> {
  return poolOf(client).exec("Maintenance", "hashKv", { revision }, deadline(HASH_MS));
}

type SnapshotStream = Readable & { cancel(): void };

/** etcd3's own `maintenance.snapshot` sends the token as the request: etcd, with its authentication on, then knows of no user. */
function callSnapshot(client: Etcd3): Promise<SnapshotStream> {
  return poolOf(client).withConnection("Maintenance", ({ client: maintenance, metadata }) =>
    maintenance.snapshot({}, metadata, {}),
  );
}

/** What etcd3 keeps its connections in, as far as it is used here: its types hide it. */
interface ConnectionPool {
  exec(service: string, method: string, params: unknown, options: { deadline: number }): Promise<IHashKVResponse>;
  withConnection<T>(
    service: string,
    work: (connection: {
      readonly client: { snapshot(request: object, metadata: unknown, options: object): SnapshotStream };
      readonly metadata: unknown;
    }) => T,
  ): Promise<T>;
}

function poolOf(client: Etcd3): ConnectionPool {
  return Reflect.get(client.maintenance, "client") as ConnectionPool;
}

/** Writes what the stream brings, waits for the sink when it is full, and gives up on silence. */
async function receive(source: SnapshotStream, sink: Writable) {
  let size = 0;
  let remaining = "unknown";
  let timer: NodeJS.Timeout | undefined;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => source.destroy(new Error("the snapshot stopped coming")), SNAPSHOT_SILENCE_MS);
  };
  heard();
  try {
    await pipeline(
      source,
      async function* blobs(parts: AsyncIterable<{ readonly blob: Buffer; readonly remaining_bytes: string }>) {
        for await (const part of parts) {
          heard();
          size += part.blob.length;
          remaining = part.remaining_bytes;
          yield part.blob;
        }
      },
      sink,
    );
  } finally {
    clearTimeout(timer);
    source.cancel();
  }
  if (remaining !== "0") throw new Error(`the snapshot ended early: ${remaining} bytes were missing`);
  return size;
}

async function withDeadline<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no connection within ${ms / 1000} s`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
