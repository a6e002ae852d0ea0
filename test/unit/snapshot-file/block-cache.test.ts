import { cacheBlocks } from "../../../provider/snapshot-file/block-cache";
import { sourceOf } from "../../../provider/snapshot-file/byte-source";
import { countingSource } from "../../support/counting-source";

const bytes = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 251));
const limits = { blockBytes: 10, keptBytes: 100, runBytes: 50 };

test("any part reads as it is, in whatever order, also across blocks", async () => {
  const cache = cacheBlocks(sourceOf("", bytes), limits);
  for (let at = 0; at < 970; at += 7) {
    const offset = (at * 613) % 970;
    const length = 1 + (at % 30);
    expect(await cache.read(offset, length)).toEqual(bytes.subarray(offset, offset + length));
  }
  expect(await cache.read(990, 10)).toEqual(bytes.subarray(990));
});

test("what was read is not read again, and what is missing beside it is read at once", async () => {
  const source = countingSource(bytes);
  const cache = cacheBlocks(source, limits);
  await cache.read(12, 3);
  await cache.read(15, 5);
  await cache.read(10, 30);
  expect(source.reads).toEqual([
    { offset: 10, length: 10 },
    { offset: 20, length: 20 },
  ]);
});

test("neighbours that will be asked for are read together, those far apart are not, and none is longer than allowed", async () => {
  const source = countingSource(bytes);
  const cache = cacheBlocks(source, { ...limits, keptBytes: 200 });
  await cache.prefetch([500, 0, 10, 30, 505, 40, 50, 60, 5000]);
  expect(source.reads).toEqual([
    { offset: 0, length: 50 },
    { offset: 50, length: 20 },
    { offset: 500, length: 10 },
  ]);
  await cache.read(0, 40);
  await cache.read(500, 10);
  expect(source.reads).toHaveLength(3);
});

test("what was used longest ago makes room", async () => {
  const source = countingSource(bytes);
  const cache = cacheBlocks(source, limits);
  for (let block = 0; block < 10; block++) await cache.read(block * 10, 1);
  await cache.read(0, 1);
  await cache.read(100, 1);
  expect(source.reads).toHaveLength(11);
  await cache.read(0, 1);
  expect(source.reads).toHaveLength(11);
  await cache.read(10, 1);
  expect(source.reads).toHaveLength(12);
});

test("what is longer than a run is read at once, and pushes nothing out", async () => {
  const source = countingSource(bytes);
  const cache = cacheBlocks(source, limits);
  await cache.read(0, 1);
  expect(await cache.read(5, 700)).toEqual(bytes.subarray(5, 705));
  await cache.read(0, 1);
  expect(source.reads).toEqual([
    { offset: 0, length: 10 },
    { offset: 5, length: 700 },
  ]);
});

test("a source that ends before its size, or is asked for more, is damaged", async () => {
  const cache = cacheBlocks({ ...sourceOf("", bytes.subarray(0, 500)), sizeBytes: 1000 }, limits);
  await expect(cache.read(495, 10)).rejects.toMatchObject({ fault: "size", message: "it ended while it was read" });
  await expect(cache.read(995, 10)).rejects.toMatchObject({ fault: "size", message: "it is cut off" });
});
