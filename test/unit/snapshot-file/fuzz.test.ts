import { BackupError } from "../../../provider/errors";
import type { ByteSource } from "../../../provider/snapshot-file/byte-source";
import { checkDatabase } from "../../../provider/snapshot-file/check";
import { count } from "../../../provider/snapshot-file/count";
import { Damage } from "../../../provider/snapshot-file/damage";
import { describe as describeSnapshot } from "../../../provider/snapshot-file/describe";
import { statusHash } from "../../../provider/snapshot-file/status-hash";
import { countingSource } from "../../support/counting-source";
import { type Random, randomFrom } from "../../support/random";
import { recordedSnapshot } from "../../support/snapshots";

const passes: Readonly<Record<string, (source: ByteSource) => Promise<unknown>>> = {
  ...{ describe: describeSnapshot, count, statusHash, checkDatabase },
};
const snapshots = ["etcd-3.4-small", "etcd-3.6-many", "k3s-first", "bbolt-4096"].map(recordedSnapshot);

// FUZZ_SECONDS=60 goes on for a minute, from another seed each time.
const seconds = Number(process.env.FUZZ_SECONDS ?? 3);
const firstSeed = process.env.FUZZ_SECONDS === undefined ? 1 : Date.now() % 1_000_000;

test("whatever a file holds, reading it ends, soon, and with a word on what is wrong", async () => {
  const deadline = Date.now() + seconds * 1000;
  for (let seed = firstSeed; Date.now() < deadline; seed++) {
    const bytes = mangle(randomFrom(seed));
    for (const [name, pass] of Object.entries(passes)) {
      const source = countingSource(bytes);
      try {
        await pass(source);
      } catch (error) {
        const isExpected =
          error instanceof Damage || (error instanceof BackupError && error.code === "SNAPSHOT_CORRUPT");
        if (!isExpected) throw new Error(`seed ${seed}, ${name}`, { cause: error });
      }
      const read = source.reads.reduce((sum, { length }) => sum + length, 0);
      if (read > 12 * bytes.length + 1e6) throw new Error(`seed ${seed}, ${name}: read ${read} of ${bytes.length}`);
    }
  }
});

/** A snapshot with a few of its bytes, numbers or pages changed: mostly where they say how to read on. */
function mangle(random: Random): Buffer {
  const bytes = Buffer.from(snapshots[random(snapshots.length)] ?? "");
  const pages = Math.floor(bytes.length / 4096);
  for (let turn = 1 + random(4); turn > 0; turn--) {
    // Without the meta pages, nearly always: their checksum would end it here.
    const page = (random(50) === 0 ? random(2) : 2 + random(pages - 2)) * 4096;
    const within = random(3) === 0 ? random(4096) : random(120);
    const how = random(5);
    if (how === 0) bytes[page + within] = random(256);
    else if (how === 1) bytes.writeUInt32LE(random(3) * random(70_000), page + Math.min(within, 4092));
    else if (how === 2) bytes.writeBigUInt64LE(BigInt(random(pages + 2)), page + 16 + 16 * random(200) + 8);
    else if (how === 3) copyPage(bytes, 2 + random(pages - 2), page);
    else bytes.fill(random(2) * 255, page + within, page + within + random(64));
  }
  return random(10) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
}

/** All but its number. */
function copyPage(bytes: Buffer, from: number, to: number): void {
  bytes.copy(bytes, to + 8, from * 4096 + 8, (from + 1) * 4096);
}
