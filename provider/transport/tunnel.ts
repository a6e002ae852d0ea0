import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Duplex, pipeline } from "node:stream";
import type { Tunnel } from "./connect";

/** Listens on a socket in a folder of our own, so that no other user of this machine gets through. The first stream is opened now: what refuses it is said here. */
export async function openTunnel(openStream: () => Promise<Duplex>): Promise<Tunnel> {
  let opened: Duplex | undefined = await openStream();
  const folder = await mkdtemp(join(tmpdir(), "etcd-tunnel-"));
  const path = join(folder, "s");
  const open = new Set<Socket | Duplex>();
  const track = (stream: Socket | Duplex) => {
    open.add(stream);
    stream.once("close", () => open.delete(stream));
  };
  track(opened);
  // Who comes first gets the stream that is already there, unless it was closed in the meantime.
  const next = async () => {
    const ready = opened;
    opened = undefined;
    return ready === undefined || ready.destroyed ? openStream() : ready;
  };
  const server = createServer((socket) => {
    track(socket);
    next().then(
      (stream) => {
        track(stream);
        pipeline(socket, stream, socket, () => undefined);
      },
      (error: Error) => socket.destroy(error),
    );
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  // One that nobody closed must not keep the process alive.
  server.unref();
  return {
    address: `unix:${path}`,
    close: async () => {
      for (const stream of open) stream.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
}
