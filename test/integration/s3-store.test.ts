import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import type { S3Settings } from "../../provider/model";
import { directoryStore } from "../../provider/stores/directory";
import { openStore } from "../../provider/stores/open-store";
import type { S3StoreOptions } from "../../provider/stores/s3";
import type { SnapshotStore } from "../../provider/stores/store";
import { connect, type ConnectedHost } from "../../provider/transport/connect";
import { type CuttingProxy, startCuttingProxy } from "../support/cutting-proxy";
import { recordCurl } from "../support/recording-curl";
import { freePort, OWNER_SECRET, type S3Gateway, startS3Gateway } from "../support/s3-gateway";
import { snapshotBytes } from "../support/snapshot-bytes";
import { deflatedByPython } from "../support/zips";

const MIB = 1024 * 1024;
let gateway: S3Gateway;
let scratch: string;
let s1: ConnectedHost;
let proxy: CuttingProxy | undefined;
let folders = 0;

beforeAll(async () => {
  s1 = await connect("s1", { local: true });
  gateway = await startS3Gateway();
  await gateway.makeBucket("backups");
});

afterAll(() => gateway.stop());

beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "s3-store-"));
  folders += 1;
});

afterEach(async () => {
  await proxy?.stop();
  proxy = undefined;
  await rm(scratch, { recursive: true, force: true });
});

function open(change: Partial<S3Settings> = {}, options: S3StoreOptions = {}): SnapshotStore {
  return openStore({ ...gateway.settings("backups"), folder: `f${folders}`, ...change }, "prod", undefined, options);
}

async function onServer(bytes: Buffer): Promise<string> {
  const path = join(scratch, "taken");
  await writeFile(path, bytes);
  return path;
}

async function errorOf(act: Promise<unknown>): Promise<Error> {
  try {
    await act;
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error("it did not fail");
}

describe("a transfer that breaks", () => {
  test("an upload that is cut at 60 % is sent again, and is whole", async () => {
    const bytes = snapshotBytes(4 * 2048);
    proxy = await startCuttingProxy("up", [bytes.length * 0.6]);
    const saved = await open({ proxy: proxy.url }).put(s1, await onServer(bytes), "cut once");
    expect(saved.sizeBytes).toBe(bytes.length);
    expect(proxy.connections()).toBe(2);
  });

  test("an upload that is always cut fails, names the server, and leaves no object", async () => {
    const bytes = snapshotBytes(4 * 2048);
    proxy = await startCuttingProxy(
      "up",
      Array.from({ length: 20 }, () => MIB),
    );
    const store = open({ proxy: proxy.url, timeout: "6s" });
    await expect(store.put(s1, await onServer(bytes), "cut")).rejects.toMatchObject({
      code: "STORE_UNREACHABLE",
      host: "s1",
      message: expect.stringContaining("from server s1") as string,
    });
    expect(await store.list()).toEqual([]);
  });

  test("a download that is cut at 60 % goes on where it was cut", async () => {
    const bytes = snapshotBytes(8 * 2048);
    await open().put(s1, await onServer(bytes), "one");
    proxy = await startCuttingProxy("down", [bytes.length * 0.6]);
    const target = join(scratch, "target");
    await open({ proxy: proxy.url }).fetch(s1, "one", target);
    expect((await readFile(target)).equals(bytes)).toBe(true);
    expect(proxy.connections()).toBe(2);
    expect(proxy.carried()).toBeLessThan(bytes.length * 1.1);
  });

  test("a download that never ends gives up by its deadline, and leaves nothing", async () => {
    const bytes = snapshotBytes(8 * 2048);
    await open().put(s1, await onServer(bytes), "one");
    proxy = await startCuttingProxy(
      "down",
      Array.from({ length: 500 }, () => 300_000),
    );
    const began = Date.now();
    const target = join(scratch, "target");
    await expect(open({ proxy: proxy.url, timeout: "4s" }).fetch(s1, "one", target)).rejects.toMatchObject({
      code: "STORE_UNREACHABLE",
    });
    expect(Date.now() - began).toBeLessThan(10_000);
    expect(await readdir(scratch)).toEqual(["taken"]);
  });

  test("an object that is not what was uploaded is not given out", async () => {
    const store = open();
    const path = await onServer(snapshotBytes(4, "a"));
    const { sizeBytes } = await store.put(s1, path, "one");
    const other = snapshotBytes(4, "b");
    expect(other.length).toBe(sizeBytes);
    // The gateway keeps objects as files, and what is said about them beside: this changes one without the other.
    await writeFile(join(gateway.directory, "data", "backups", `f${folders}`, "one"), other);
    const target = join(scratch, "target");
    await expect(store.fetch(s1, "one", target)).rejects.toMatchObject({ code: "SNAPSHOT_CORRUPT" });
    expect(await readdir(scratch)).toEqual(["taken"]);
  });
});

describe("what a distribution writes on its objects", () => {
  const metadata = { "K3s-Cluster-Id": "9b1d", "K3s-Node-Name": "s1", "K3s-Token-Hash": "544ad39d2d5a" };
  const written = { "k3s-cluster-id": "9b1d", "k3s-node-name": "s1", "k3s-token-hash": "544ad39d2d5a" };

  test.each([
    ["in one piece", {}],
    ["in parts", { singlePutBytes: MIB, partBytes: 5 * MIB }],
  ])("is there when it is uploaded %s, and can be read", async (_, options: S3StoreOptions) => {
    const store = open({}, options);
    const saved = await store.put(s1, await onServer(snapshotBytes(3 * 2048)), "one", { metadata });
    expect(saved.metadata).toEqual(written);
    expect(await store.stat("one")).toEqual(saved);
    expect(await gateway.contentType("backups", `f${folders}/one`)).toBe("application/octet-stream");
  });

  test("a compressed snapshot has the type of a zip", async () => {
    await open().put(s1, await onServer(deflatedByPython.bytes), deflatedByPython.name, { metadata });
    expect(await gateway.contentType("backups", `f${folders}/${deflatedByPython.name}`)).toBe("application/zip");
  });

  test("a directory has no place for it", async () => {
    const store = directoryStore(new Map([["s1", s1]]), "s1", join(scratch, "kept"));
    expect(await store.put(s1, await onServer(snapshotBytes(1)), "one", { metadata })).not.toHaveProperty("metadata");
  });
});

describe("in parts", () => {
  const inParts: S3StoreOptions = { singlePutBytes: MIB, partBytes: 5 * MIB };

  test("a large snapshot goes up in parts and comes back byte by byte", async () => {
    const bytes = snapshotBytes(23 * 2048 + 7);
    const store = open({}, inParts);
    expect(await store.put(s1, await onServer(bytes), "large one")).toMatchObject({ sizeBytes: bytes.length });
    const target = join(scratch, "target");
    await store.fetch(s1, "large one", target);
    expect((await readFile(target)).equals(bytes)).toBe(true);
  });

  test("a part that is cut is sent again", async () => {
    const bytes = snapshotBytes(12 * 2048);
    proxy = await startCuttingProxy("up", [Infinity, 2 * MIB]);
    const store = open({ proxy: proxy.url }, inParts);
    expect(await store.put(s1, await onServer(bytes), "one")).toMatchObject({ sizeBytes: bytes.length });
  });

  test("when it fails, no part is left behind", async () => {
    proxy = await startCuttingProxy("up", [Infinity, ...Array.from({ length: 20 }, () => MIB)]);
    const store = open({ proxy: proxy.url, timeout: "6s" }, inParts);
    const refused = store.put(s1, await onServer(snapshotBytes(12 * 2048)), "one");
    await expect(refused).rejects.toMatchObject({ code: "STORE_UNREACHABLE" });
    expect(await store.list()).toEqual([]);
    expect(await gateway.unfinishedUploads("backups")).toEqual([]);
  });
});

describe("what is refused says what, where, and to whom", () => {
  const every: readonly [string, (store: SnapshotStore) => Promise<unknown>][] = [
    ["stat", (store) => store.stat("one")],
    ["list", (store) => store.list()],
    ["put", async (store) => store.put(s1, await onServer(snapshotBytes(1)), "one")],
    ["fetch", (store) => store.fetch(s1, "one", join(scratch, "target"))],
    ["delete", (store) => store.delete("one")],
    ["readRange", (store) => store.readRange("one", 0, 1)],
  ];

  test.each(every)("%s in a bucket that does not exist: BUCKET_NOT_FOUND", async (_, act) => {
    const error = await errorOf(act(open({ bucket: "nowhere" })));
    expect(error).toMatchObject({ code: "BUCKET_NOT_FOUND" });
    expect(error.message).toContain("nowhere");
  });

  test.each(every)("%s with a wrong secret key: STORE_DENIED, which does not show it", async (_, act) => {
    const error = await errorOf(act(open({ secretAccessKey: "wrong-secret-1234" })));
    expect(error).toMatchObject({ code: "STORE_DENIED" });
    expect(error.message).toContain("the keys in s3.accessKeyId");
    expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/wrong-secret-1234|X-Amz-Signature/);
  });

  test.each(every)("%s with an unknown access key: STORE_DENIED", async (_, act) => {
    const error = await errorOf(act(open({ accessKeyId: "nobody" })));
    expect(error).toMatchObject({ code: "STORE_DENIED" });
    expect(error.message).toContain("InvalidAccessKeyId");
  });

  test.each([
    ["stat", "s3:GetObject"],
    ["list", "s3:ListBucket"],
    ["put", "s3:PutObject"],
    ["delete", "s3:DeleteObject"],
  ])("%s in somebody else's bucket: STORE_DENIED, which names %s and the bucket", async (name, action) => {
    const act = every.find(([known]) => known === name)?.[1];
    if (act === undefined) throw new Error(name);
    const store = openStore({ ...gateway.stranger("backups"), folder: "f" }, "prod");
    const error = await errorOf(act(store));
    expect(error).toMatchObject({ code: "STORE_DENIED" });
    expect(error.message).toContain(action);
    expect(error.message).toContain("backups");
  });

  test("a certificate that nobody known has signed: STORE_UNREACHABLE, with endpointCa as the remedy", async () => {
    const store = open();
    await store.put(s1, await onServer(snapshotBytes(1)), "one");
    const { endpointCa, ...without } = gateway.settings("backups");
    expect(endpointCa).toContain("CERTIFICATE");
    const error = await errorOf(openStore(without, "prod").list());
    expect(error).toMatchObject({ code: "STORE_UNREACHABLE" });
    expect(error.message).toContain("s3.endpointCa");
    const trusting = openStore({ ...without, folder: `f${folders}`, skipTlsVerify: true }, "prod");
    await trusting.fetch(s1, "one", join(scratch, "target"));
  });

  test("nobody answers at the endpoint: STORE_UNREACHABLE from this machine", async () => {
    const error = await errorOf(open({ endpoint: `127.0.0.1:${await freePort()}` }).list());
    expect(error).toMatchObject({ code: "STORE_UNREACHABLE" });
    expect(error.message).toContain("from this machine");
  });

  test("only the server cannot reach S3: STORE_UNREACHABLE from the server", async () => {
    const store = open({ proxy: `http://127.0.0.1:${await freePort()}`, timeout: "5s" });
    const error = await errorOf(store.put(s1, await onServer(snapshotBytes(1)), "one"));
    expect(error).toMatchObject({ code: "STORE_UNREACHABLE", host: "s1" });
    expect(error.message).toContain("from server s1");
  });
});

test("neither key nor presigned URL is ever an argument or in the environment of curl", async () => {
  const recording = recordCurl(scratch);
  try {
    const store = open({}, { singlePutBytes: MIB, partBytes: 5 * MIB });
    await store.put(s1, await onServer(snapshotBytes(1)), "small");
    await store.put(s1, await onServer(snapshotBytes(6 * 2048)), "in parts");
    await store.fetch(s1, "small", join(scratch, "target"));
  } finally {
    recording.restore();
  }
  expect(recording.calls()).toHaveLength(4);
  for (const call of recording.calls())
    expect(call).not.toMatch(new RegExp(`X-Amz|https?://|${OWNER_SECRET}|owner-access`));
});
