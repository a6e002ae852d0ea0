import { BackupError } from "../../../errors";
import { parseVerification, verifyScript } from "../../../snapshot-file/verify-script";
import { unzipScript } from "../../../snapshot-file/unzip-script";
import { readZip } from "../../../snapshot-file/zip";
import type { Host, HostReader } from "../../../transport/host";
import { sh } from "../../../transport/shell";
import type { RestoreStagesRequest } from "../../distribution";
import type { EmbeddedFacts } from "../facts";
import type { RestorePlaces } from "./restore-places";
import { hashToken, serverTokenHash } from "../token";

const READ_MS = 10 * 60_000;

/** Puts the snapshot on the first server, unpacked and checked, while everything still runs. */
export async function stageSnapshot(
  host: Host,
  facts: EmbeddedFacts,
  places: RestorePlaces,
  request: RestoreStagesRequest,
  token: string | undefined,
): Promise<void> {
  await host.run(sh`umask 077; mkdir -p ${places.work}`);
  if ((await verify(host, places.staged)).kind !== "sound") await fetchUnpacked(host, facts, places, request);
  const found = await verify(host, places.staged);
  if (found.kind !== "sound") {
    const reason = found.kind === "corrupt" ? found.reason : "it is not there";
    throw corrupt(host, `the snapshot is not whole: ${reason}`);
  }
  const wanted = token === undefined ? serverTokenHash(facts) : hashToken(token);
  const tokens = await tokensIn(host, places.staged);
  if (wanted === undefined || tokens.length === 0 || tokens.includes(wanted)) return;
  throw new BackupError(
    "TOKEN_MISMATCH",
    `the snapshot was taken with another server token (its hash is ${tokens.join(" or ")}, this one's ${wanted})`,
    { host: host.name, hint: "Give the server token of that time as `token`. Nothing was touched." },
  );
}

/**
 * Hashes of the tokens that a snapshot's bootstrap data is encrypted with: a reset with another one fails, and not before
 * it has written over the server's own token. Found by name: the database keeps its keys as they are.
 */
export async function tokensIn(host: HostReader, path: string): Promise<readonly string[]> {
  const { stdout } = await host.query(
    sh`[ ! -f ${path} ] || LC_ALL=C grep -ao '/bootstrap/[0-9a-f]\{12\}' ${path} | sort -u`,
    { timeoutMs: READ_MS },
  );
  return stdout.split("\n").flatMap((line) => /\/bootstrap\/([0-9a-f]{12})/.exec(line)?.slice(1) ?? []);
}

/** A compressed one is unpacked by us: the distributions' own unpacking fails in some versions, and trusts names in all. */
async function fetchUnpacked(
  host: Host,
  facts: EmbeddedFacts,
  places: RestorePlaces,
  { fetch, snapshotName = "" }: RestoreStagesRequest,
): Promise<void> {
  if (!snapshotName.endsWith(".zip")) return fetch(facts.server, places.staged);
  const zip = `${places.work}/${snapshotName}`;
  await fetch(facts.server, zip);
  const { stdout } = await host.query(sh`stat -c %s ${zip}`);
  const read = (offset: number, length: number): Promise<Uint8Array> => host.readRange(zip, offset, length);
  const entry = await readZip({ title: zip, sizeBytes: Number(stdout), read }, snapshotName);
  await host.run(unzipScript(zip, entry, places.staged), { timeoutMs: READ_MS });
  await host.run(sh`rm -f ${zip}`);
}

async function verify(host: HostReader, path: string): Promise<ReturnType<typeof parseVerification>> {
  return parseVerification((await host.query(verifyScript(path), { timeoutMs: READ_MS })).stdout);
}

function corrupt(host: HostReader, what: string): BackupError {
  return new BackupError("SNAPSHOT_CORRUPT", what, {
    host: host.name,
    hint: "Name another snapshot. Nothing was touched.",
  });
}
