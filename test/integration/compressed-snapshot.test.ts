import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unzipScript, verifyZipScript } from "../../provider/snapshot-file/unzip-script";
import { parseVerification, type Verification } from "../../provider/snapshot-file/verify-script";
import { readZip } from "../../provider/snapshot-file/zip";
import type { Command } from "../../provider/transport/shell";
import { snapshotBytes } from "../support/snapshot-bytes";
import { changed, deflatedByPython, readable, recordedZip, storedByPython, zipOf } from "../support/zips";

const name = "nightly-s1-1700000000";
const bytes = snapshotBytes(4);
const made = { name: `${name}.zip`, bytes: zipOf([{ name, bytes }]) };
const central = made.bytes.length - 22 - name.length - 46;
const begins = 30 + name.length;

let scratch: string;
let path: string;
let target: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "zip ' $"));
  path = join(scratch, "a snapshot.zip");
  target = join(scratch, "staged here", "snapshot");
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

/** Busybox with nothing beside it: its own gzip, tail and head. */
const worlds: readonly [string, (text: string) => ReturnType<typeof spawnSync>][] = [
  ["dash and coreutils", (text) => spawnSync("dash", ["-c", text], { encoding: "utf8" })],
  ["bash and coreutils", (text) => spawnSync("bash", ["-c", text], { encoding: "utf8" })],
  [
    "busybox alone",
    (text) => {
      const bin = join(scratch, "applets");
      mkdirSync(bin);
      const applets = spawnSync("busybox", ["--list"], { encoding: "utf8" }).stdout.trim().split("\n");
      for (const applet of applets) symlinkSync("/bin/busybox", join(bin, applet));
      const done = spawnSync(join(bin, "sh"), ["-c", text], { encoding: "utf8", env: { PATH: bin } });
      rmSync(bin, { recursive: true });
      return done;
    },
  ],
];

describe.each(worlds)("with %s", (_, run) => {
  const execute = (command: Command): string => {
    const { status, stdout, stderr } = run(command.text);
    if (status !== 0) throw new Error(`exit ${status}: ${String(stderr)}`);
    return String(stdout);
  };
  const unzip = async (zip: { name: string; bytes: Buffer }): Promise<string> => {
    writeFileSync(path, zip.bytes);
    return execute(unzipScript(path, await readZip(readable(zip.bytes), zip.name), target));
  };
  const verify = async (zip: { name: string; bytes: Buffer }): Promise<Verification> => {
    writeFileSync(path, zip.bytes);
    return parseVerification(execute(verifyZipScript(path, await readZip(readable(zip.bytes), zip.name))));
  };

  test.each([
    ["recorded from K3s", recordedZip, undefined],
    ["by Python, deflated", deflatedByPython, bytes],
    ["by Python, stored", storedByPython, bytes],
    ["as Go streams it", made, bytes],
    ["with 64-bit fields", { ...made, bytes: zipOf([{ name, bytes }], true) }, bytes],
  ])("a zip %s is whole, and is unpacked byte by byte, 0600", async (_title, zip, content) => {
    expect(await verify(zip)).toEqual({
      ...{ kind: "sound", sizeBytes: zip.bytes.length, modifiedAt: expect.any(String) as string },
      sha256: createHash("sha256").update(zip.bytes).digest("hex"),
    });
    await unzip(zip);
    const unpacked = readFileSync(target);
    if (content !== undefined) expect(unpacked.equals(content)).toBe(true);
    expect(createHash("sha256").update(unpacked.subarray(0, -32)).digest().equals(unpacked.subarray(-32))).toBe(true);
    expect(statSync(target).mode & 0o777).toBe(0o600);
    expect(statSync(join(scratch, "staged here")).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(scratch, "staged here"))).toEqual(["snapshot"]);
  });

  test.each([
    ["in the compressed data", changed(made.bytes, begins + 40, 0x55)],
    ["in the directory's CRC", changed(made.bytes, central + 16, 0x55)],
    ["in the directory's size", changed(made.bytes, central + 25, 0x22)],
  ])("a flipped byte %s: it is found, and nothing is left behind", async (_title, flipped) => {
    const zip = { ...made, bytes: flipped };
    expect(await verify(zip)).toEqual({ kind: "corrupt", reason: "what it holds is damaged" });
    await expect(unzip(zip)).rejects.toThrow(/exit 1/);
    expect(readdirSync(join(scratch, "staged here"))).toEqual([]);
  });

  test("a stored one with a flipped byte is found by its trailer", async () => {
    const zip = { ...storedByPython, bytes: changed(storedByPython.bytes, 100, 0x55) };
    expect(await verify(zip)).toMatchObject({ kind: "corrupt", reason: expect.stringContaining("trailer") as string });
  });

  test("a whole zip of something whose trailer is wrong is found by that", async () => {
    const wrong = zipOf([{ name, bytes: changed(bytes, 700, 0x55) }]);
    expect(await verify({ ...made, bytes: wrong })).toMatchObject({
      ...{ kind: "corrupt", reason: expect.stringContaining("trailer") as string },
    });
  });

  test("one that is cut off after it was looked at is not unpacked, and not taken for whole", async () => {
    const entry = await readZip(readable(made.bytes), made.name);
    writeFileSync(path, made.bytes.subarray(0, begins + 20));
    expect(() => execute(unzipScript(path, entry, target))).toThrow(/exit 1/);
    expect(readdirSync(join(scratch, "staged here"))).toEqual([]);
    expect(parseVerification(execute(verifyZipScript(path, entry)))).toMatchObject({ kind: "corrupt" });
  });

  test("one that is not there", async () => {
    const entry = await readZip(readable(made.bytes), made.name);
    expect(parseVerification(execute(verifyZipScript(path, entry)))).toEqual({ kind: "missing" });
  });
});
