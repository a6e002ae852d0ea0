import { readZip } from "../../../provider/snapshot-file/zip";
import { snapshotBytes } from "../../support/snapshot-bytes";
import { changed, deflatedByPython, readable, recordedZip, storedByPython, zipOf } from "../../support/zips";

const name = "nightly-s1-1700000000";
const bytes = snapshotBytes(4);
const whole = zipOf([{ name, bytes }]);
const central = whole.length - 22 - name.length - 46;

test("a zip that a K3s server made: its directory knows what its header did not yet", async () => {
  expect(await readZip(readable(recordedZip.bytes), recordedZip.name)).toEqual({
    ...{ method: "deflated", offset: 59, compressedBytes: 87901, sizeBytes: 925728, crc32: 0x2e741e7c },
  });
});

test.each([
  ["by Python, deflated", deflatedByPython, "deflated"],
  ["by Python, stored", storedByPython, "stored"],
  ["as Go streams it", { name: `${name}.zip`, bytes: whole }, "deflated"],
  ["with 64-bit fields", { name: `${name}.zip`, bytes: zipOf([{ name, bytes }], true) }, "deflated"],
] as const)("a zip made %s", async (_, zip, method) => {
  expect(await readZip(readable(zip.bytes), zip.name)).toMatchObject({ method, sizeBytes: bytes.length });
});

test("a large one costs a few small reads", async () => {
  const reads: number[] = [];
  const { sizeBytes, read } = readable(recordedZip.bytes);
  const counting = (offset: number, length: number): Promise<Uint8Array> => {
    reads.push(length);
    return read(offset, length);
  };
  await readZip({ title: "", sizeBytes, read: counting }, recordedZip.name);
  expect(reads).toHaveLength(3);
  expect(Math.max(...reads)).toBeLessThan(4096);
});

test.each([
  [
    "two files",
    zipOf([
      { name, bytes },
      { name: "other", bytes },
    ]),
    "it holds 2 files",
  ],
  ["no file", zipOf([]), "it holds 0 files"],
  [
    "a file of a folder above, GHSA-jxr7-mqhw-9p98",
    zipOf([{ name: `../${name}`, bytes }]),
    `it holds "../${name}", not ${name}`,
  ],
  ["a file of an absolute path", zipOf([{ name: `/etc/${name}`, bytes }]), `it holds "/etc/${name}", not ${name}`],
  ["another snapshot", zipOf([{ name: "other-s1-1", bytes }]), `it holds "other-s1-1", not ${name}`],
  ["an encrypted file", zipOf([{ name, bytes, flags: 1 }]), "it is encrypted"],
  ["nothing at all", Buffer.alloc(0), "it is empty"],
  ["too little", whole.subarray(0, 10), "it has no directory"],
  ["no end", whole.subarray(0, -30), "it has no directory"],
  ["a snapshot that is not compressed", snapshotBytes(4), "it has no directory"],
  ["something behind its end", Buffer.concat([whole, Buffer.from("more")]), "it has no directory"],
  ["something before its beginning", Buffer.concat([Buffer.from("more"), whole]), "it has no directory"],
  ["bytes missing in its middle", Buffer.concat([whole.subarray(0, 60), whole.subarray(70)]), "it has no directory"],
  ["no snapshot", zipOf([{ name, bytes: bytes.subarray(0, 1024) }]), "no SHA-256 trailer"],
  ["another method", changed(changed(whole, 8, 12), central + 10, 12), "compressed in a way"],
  ["another method in its header", changed(whole, 8, 0), "do not agree"],
  ["a flipped byte in its directory's signature", changed(whole, central, 0x51), "its directory is damaged"],
  ["a flipped byte in its directory's lengths", changed(whole, central + 28, 3), "its directory is damaged"],
  ["a flipped byte in its directory's size", changed(whole, central + 21, 0x7f), "do not agree"],
  ["a flipped byte in the place of its content", changed(whole, central + 42, 1), "do not agree"],
])("a zip with %s is refused", async (_, zip, reason) => {
  await expect(readZip(readable(zip), `${name}.zip`)).rejects.toMatchObject({
    ...{ code: "SNAPSHOT_CORRUPT", message: expect.stringContaining(reason) as string },
  });
});

test("one that shrinks while it is read is refused", async () => {
  const { read } = readable(whole.subarray(0, -5));
  await expect(readZip({ title: "", sizeBytes: whole.length, read }, `${name}.zip`)).rejects.toMatchObject({
    ...{ code: "SNAPSHOT_CORRUPT", message: expect.stringContaining("it ended while it was read") as string },
  });
});
