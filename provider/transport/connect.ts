import { createHash } from "node:crypto";
import type { Duplex, Readable, Writable } from "node:stream";
import { BackupError } from "../errors";
import type { Connection, ProxyConnection } from "../model";
import { DialError } from "./dial-error";
import type { Host } from "./host";
import { localMachine } from "./local-machine";
import type { Command } from "./shell";
import { type HostQuirks, ShellHost } from "./shell-host";
import { SshMachine } from "./ssh-machine";

export { pipeFile } from "./pipe-file";
export { type ConnectionCounts, connectionCounts } from "./connection-counts";

/** A way through a server's connection to a TCP port that it can reach. */
export interface Tunnel {
  /** Where to connect on this machine, `unix:<path>`: no other user can. */
  readonly address: string;
  close(): Promise<void>;
}

export interface StreamOptions {
  readonly stdin?: Readable;
  readonly stdout?: Writable;
  readonly timeoutMs: number;
}

/** A host that is connected. */
export interface ConnectedHost extends Host {
  openTunnel(host: string, port: number): Promise<Tunnel>;
  /** One TCP connection, made by the server itself. */
  openStream(host: string, port: number): Promise<Duplex>;
  /** Runs a script whose input and output are too large to hold. */
  stream(command: Command, options: StreamOptions): Promise<void>;
}

/** What the servers share, overlaid with what one has of its own. */
export function mergeConnection(shared: Connection | undefined, own: Connection | undefined): Connection {
  const given = Object.entries(own ?? {}).filter(([, value]) => value !== undefined);
  return { ...shared, ...Object.fromEntries(given) };
}

/** The host behind a connection: made on first use, shared by all who ask with the same name and connection. Rejects when it cannot be reached. */
export async function connect(name: string, connection: Connection): Promise<ConnectedHost> {
  if (connection.local === true) return new ShellHost(name, localMachine, connection.sudoPassword, localQuirks);
  if (connection.host === undefined || connection.host === "") {
    throw new BackupError("INVALID_INPUT", "its connection has no host", { host: name });
  }
  const { machine, quirks } = shared(connection);
  try {
    await machine.ready();
  } catch (error) {
    throw error instanceof DialError ? error.toBackupError(name) : error;
  }
  return new ShellHost(name, machine, connection.sudoPassword, quirks);
}

/** Ends every connection of this process. */
export async function closeConnections(): Promise<void> {
  const open = [...machines.values()];
  machines.clear();
  // Those who go through a bastion first.
  await Promise.all(open.map(({ machine }) => machine.close()));
}

interface SharedMachine {
  readonly machine: SshMachine;
  readonly quirks: HostQuirks;
}

const machines = new Map<string, SharedMachine>();
const localQuirks: HostQuirks = { sudoNeedsTerminal: false };

function shared(connection: Connection): SharedMachine {
  const key = keyOf(connection);
  const known = machines.get(key);
  if (known !== undefined) return known;
  const bastion = connection.proxy === undefined ? undefined : shared(connection.proxy).machine;
  const made = { machine: new SshMachine(connection, bastion), quirks: { sudoNeedsTerminal: false } };
  machines.set(key, made);
  return made;
}

/** A digest, so that no credential is held longer than its connection. */
function keyOf(connection: Connection | ProxyConnection): string {
  const sorted = JSON.stringify(connection, (_, value: unknown) =>
    typeof value === "object" && value !== null
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
  return createHash("sha256").update(sorted).digest("hex");
}
