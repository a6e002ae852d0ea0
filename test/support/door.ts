import { connect, createServer, type Socket } from "node:net";

/** A TCP port that leads to another one, until it is shut. */
export interface Door {
  /** `address:port` */
  readonly endpoint: string;
  /** From now on nobody answers there. */
  shut(): Promise<void>;
  /** The same port again. */
  open(): Promise<void>;
}

/** Opens a port at `address` that leads to `target`, an `address:port`. */
export async function openDoor(address: string, target: string): Promise<Door> {
  const [host = "", targetPort = ""] = target.split(":");
  const sockets = new Set<Socket>();
  const server = createServer((outside) => {
    const inside = connect(Number(targetPort), host);
    for (const [from, to] of [
      [outside, inside],
      [inside, outside],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy()).on("close", () => sockets.delete(from));
    }
  });
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once("error", reject).listen(port, address, resolve);
    });
  await listen(0);
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("the door has no port");
  return {
    endpoint: `${address}:${bound.port}`,
    shut: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
    open: () => listen(bound.port),
  };
}
