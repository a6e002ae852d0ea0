import type { Connection } from "../model";
import type { Host } from "./host";

/** A way through a server's connection to a TCP port that it can reach. */
export interface Tunnel {
  /** Where to connect on this machine: nothing but this process can. */
  readonly address: string;
  close(): Promise<void>;
}

/** A host that is connected. */
export interface ConnectedHost extends Host {
  openTunnel(host: string, port: number): Promise<Tunnel>;
}

/** What the servers share, overlaid with what one has of its own. */
export function mergeConnection(shared: Connection | undefined, own: Connection | undefined): Connection {
  return { ...shared, ...own };
}

/** The host behind a connection: made on first use, shared by all who ask with the same name and connection. */
export function connect(name: string, connection: Connection): Promise<ConnectedHost> {
  throw new Error(`not built yet: ${[name, connection].length}`);
}

/** Ends every connection of this process. */
export function closeConnections(): Promise<void> {
  throw new Error("not built yet");
}
