import { createServer, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";

/** An HTTP proxy (CONNECT) that hangs up after so many bytes. */
export interface CuttingProxy {
  readonly url: string;
  /** Connections that it was asked for. */
  readonly connections: () => number;
  /** Bytes that it carried in the cut direction. */
  readonly carried: () => number;
  stop(): Promise<void>;
}

/** `limits`: how many bytes each connection may carry in the cut direction, in their order; those after the last are not cut. */
export async function startCuttingProxy(direction: "up" | "down", limits: readonly number[]): Promise<CuttingProxy> {
  let count = 0;
  let total = 0;
  const sockets = new Set<Socket>();
  const server = createServer();
  server.on("connect", (request: IncomingMessage, client: Socket) => {
    const limit = limits[count++] ?? Infinity;
    const [host = "", port = ""] = (request.url ?? "").split(":");
    const store = connect(Number(port), host, () => client.write("HTTP/1.1 200 OK\r\n\r\n"));
    const [from, to] = direction === "up" ? [client, store] : [store, client];
    let carried = 0;
    const hangUp = (): void => {
      client.destroy();
      store.destroy();
    };
    from.on("data", (chunk: Buffer) => {
      const left = limit - carried;
      carried += chunk.length;
      total += Math.max(0, Math.min(chunk.length, left));
      if (chunk.length < left) to.write(chunk);
      else to.write(chunk.subarray(0, Math.max(0, left)), hangUp);
    });
    to.pipe(from);
    for (const socket of [client, store]) {
      sockets.add(socket);
      socket.on("error", hangUp).on("close", hangUp);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    connections: () => count,
    carried: () => total,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
