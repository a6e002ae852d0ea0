import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import type { Writable } from "node:stream";
import { type ConnectedHost, connect } from "../../provider/transport/connect";
import { receiveFile } from "../../provider/transport/receive-file";

let directory: string;
let host: ConnectedHost;
const bytes = randomBytes(3 * 1024 * 1024 + 7);

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "receive-"));
  host = await connect("here", { local: true });
});
afterAll(() => rmSync(directory, { recursive: true }));

async function sendAll(sink: Writable): Promise<number> {
  sink.end(bytes);
  await finished(sink);
  return bytes.length;
}

test("the file is what was sent, for its owner alone, in a folder that was made for it", async () => {
  const path = join(directory, "new folder/file");
  await receiveFile(host, path, sendAll);
  expect(readFileSync(path).equals(bytes)).toBe(true);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("a sender that breaks off half way is the cause, and leaves nothing behind", async () => {
  const path = join(directory, "half");
  const breaksOff = async (sink: Writable): Promise<number> => {
    await new Promise((resolve) => sink.write(bytes.subarray(0, 100_000), resolve));
    throw new Error("etcd went away");
  };
  await expect(receiveFile(host, path, breaksOff)).rejects.toThrow("etcd went away");
  expect(existsSync(path)).toBe(false);
});

test("fewer bytes than the sender knows of are refused and removed", async () => {
  const path = join(directory, "short");
  const promisesMore = async (sink: Writable): Promise<number> => (await sendAll(sink)) + 1;
  await expect(receiveFile(host, path, promisesMore)).rejects.toThrow(`${bytes.length} of ${bytes.length + 1} bytes`);
  expect(existsSync(path)).toBe(false);
});

test("a server that cannot write is the cause, and the sender is let go", async () => {
  writeFileSync(join(directory, "in-the-way"), "");
  const refused = receiveFile(host, join(directory, "in-the-way/file"), sendAll);
  await expect(refused).rejects.toMatchObject({ code: "COMMAND_FAILED", host: "here" });
});
