import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ScriptHost } from "./script-host";

/** What the kernel shows of a host's ports; in state 0A one listens, in 06 it is the past of a connection. */
export function listeningPorts(host: ScriptHost, ...ports: readonly number[]): void {
  const line = (port: number, state: string): string =>
    `   0: 0100007F:${port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 ${state} 00000000:00000000\n`;
  const header = "  sl  local_address rem_address   st tx_queue rx_queue\n";
  const past = line(2379, "06");
  mkdirSync(join(host.root, "net"), { recursive: true });
  writeFileSync(join(host.root, "net/tcp"), header + past + ports.map((port) => line(port, "0A")).join(""));
  writeFileSync(join(host.root, "net/tcp6"), header);
}
