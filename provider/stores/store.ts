import type { SnapshotFile, SnapshotLocation } from "../model";
import type { Host } from "../transport/host";

export interface PutOptions {
  /** Written on what is stored, where that is possible. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** A place where snapshots rest. Names are file names, without folder. */
export interface SnapshotStore {
  /** For people: `s3://bucket/folder`. */
  readonly title: string;
  locate(name: string): SnapshotLocation;
  /** Undefined when it is not there; throws when it cannot be told. */
  stat(name: string): Promise<SnapshotFile | undefined>;
  /** Newest first. */
  list(): Promise<SnapshotFile[]>;
  /** Copies a file of the server into the store, and makes sure that it is there, whole. */
  put(host: Host, path: string, name: string, options?: PutOptions): Promise<SnapshotFile>;
  /** Copies a snapshot to `path` on the server, mode 0600, whole or not at all. `host` may be any server of the cluster. */
  fetch(host: Host, name: string, path: string): Promise<void>;
  /** Already gone is not an error. */
  delete(name: string): Promise<void>;
  /** Bytes of a snapshot from `offset` on, to look at it without fetching it. */
  readRange(name: string, offset: number, length: number): Promise<Uint8Array>;
}
