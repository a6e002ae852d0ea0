import { setTimeout as pause } from "node:timers/promises";
import { BackupError, CommandError, hasCode } from "../../../errors";
import { readVerifiedFile } from "../../../snapshot-file/verified-file";
import type { Host, HostReader } from "../../../transport/host";
import { sh } from "../../../transport/shell";
import type { SavedFile, SaveRequest } from "../../distribution";
import type { EmbeddedFacts } from "../facts";
import { findSaved } from "./find-saved";
import { parseLog } from "./log-lines";
import { saveCommand, uploadsThere } from "./save-command";
import { objectMetadata, uploadError } from "./snapshot-objects";
import { readSnapshotName } from "./snapshot-name";
import { supports } from "../versions";

/**
 * Takes a snapshot with the distribution's own command, and looks for itself whether it is there and whole. What the
 * server sends to this very place already, it may send now; whether it arrived is for the caller to ask.
 */
export async function saveSnapshot(
  host: Host,
  facts: EmbeddedFacts,
  { cluster, base, s3 }: SaveRequest,
): Promise<SavedFile> {
  const uploads = s3 !== undefined && uploadsThere(facts, cluster.name, s3);
  const deadline = Date.now() + DEADLINE_MS;
  const outcome = await save(host, facts, base, uploads, deadline);
  const { name, clock } = await findWhole(host, facts, base, outcome, deadline);
  const path = `${facts.snapshotDirectory}/${name}`;
  const { sizeBytes, sha256 } = await readVerifiedFile(host, path);
  // The time in a name is rounded: it can lie half a second ahead.
  const now = new Date(clock * 1000).toISOString();
  const named = readSnapshotName(name)?.takenAt ?? now;
  const uploadFailure = uploads ? await failureOf(host, facts, name, outcome) : undefined;
  return {
    ...{ name, path, sizeBytes, sha256, takenAt: named < now ? named : now },
    ...(s3 === undefined ? {} : { metadata: await objectMetadata(host, facts) }),
    ...(uploads && uploadFailure === undefined ? { uploaded: true } : {}),
    ...(uploadFailure === undefined ? {} : { uploadFailure }),
  };
}

interface Outcome {
  /** False when the command gave up waiting: the server may be saving all the same. */
  readonly known: boolean;
  /** Names that were reported, one for each place that has it. */
  readonly saved: readonly string[];
  /** Why the distribution did not even try to send it. */
  readonly noUpload?: string;
}

/** Long enough for a large database and a slow store. */
const DEADLINE_MS = 15 * 60_000;

async function save(
  host: Host,
  facts: EmbeddedFacts,
  base: string,
  uploads: boolean,
  deadline: number,
): Promise<Outcome> {
  for (;;) {
    const said = await runSave(host, facts, base, uploads, deadline);
    if (typeof said !== "string") return said;
    const reason = await explain(host, facts, said);
    // Nothing was saved, because of S3 alone: the snapshot comes first.
    const [, s3] = /failed to initialize S3 client: (.*)/.exec(reason) ?? [];
    if (uploads && s3 !== undefined) return { ...(await save(host, facts, base, false, deadline)), noUpload: s3 };
    // The command line that did all by itself fails with its upload, too: then the snapshot is there.
    const alone = uploads && !supports(facts.version, "http-cli");
    if (alone && (await findSaved(host, facts, base)).names.length > 0) {
      return { known: true, saved: [], noUpload: reason };
    }
    if (!/already in progress/.test(reason)) throw refused(facts, reason);
    if (Date.now() > deadline) throw refused(facts, `another snapshot was in progress all the time (${reason})`);
    await pause(AGAIN_MS);
  }
}

const AGAIN_MS = 1000;

/** What the command ended with: an outcome, or the words it failed with. */
async function runSave(
  host: Host,
  facts: EmbeddedFacts,
  base: string,
  uploads: boolean,
  deadline: number,
): Promise<Outcome | string> {
  try {
    const timeoutMs = Math.max(deadline - Date.now(), AGAIN_MS);
    const { stdout, stderr } = await host.run(saveCommand(facts, base, uploads), { timeoutMs });
    const lines = parseLog(`${stdout}\n${stderr}`);
    const saved = lines.flatMap(({ message }) => /^Snapshot (\S+) saved\.$/.exec(message)?.[1] ?? []);
    const failed = lines.find(({ message }) => message.startsWith(UPLOAD_ERROR))?.message.slice(UPLOAD_ERROR.length);
    return { known: true, saved, ...(failed === undefined ? {} : { noUpload: failed }) };
  } catch (error) {
    if (hasCode(error, "COMMAND_TIMED_OUT")) return { known: false, saved: [] };
    if (!(error instanceof CommandError)) throw error;
    const fatal = parseLog(error.stderr).findLast(({ level }) => level === "fatal")?.message;
    const said = fatal ?? error.stderr.trimEnd().split("\n").at(-1) ?? "";
    return UNKNOWN.test(said) ? { known: false, saved: [] } : said.replace("see server log for details: ", "");
  }
}

const UPLOAD_ERROR = "Error received during snapshot upload to S3: ";
const UNKNOWN = /context deadline exceeded|Client\.Timeout|connection reset|\bEOF\b/;

/** The server tells its client a number, and its log why. */
async function explain(host: HostReader, facts: EmbeddedFacts, said: string): Promise<string> {
  const [id] = /etcd-snapshot error ID \d+/.exec(said) ?? [];
  if (id === undefined) return said;
  const line = (await serverLog(host, facts)).findLast((message) => message.startsWith(`${id}: `));
  return line?.slice(id.length + 2) ?? said;
}

/** What the server has logged of snapshots since it was looked at. */
async function serverLog(host: HostReader, facts: EmbeddedFacts): Promise<readonly string[]> {
  const { stdout } = await host.query(
    sh`journalctl -q --no-pager -o cat -u ${facts.unit} --since ${`@${facts.clock}`} 2>/dev/null | grep -i snapshot | tail -n 200`,
  );
  return parseLog(stdout).map(({ message }) => message);
}

/** The file, once nothing writes to it any more. Only a save whose outcome is known ends right away. */
async function findWhole(
  host: HostReader,
  facts: EmbeddedFacts,
  base: string,
  outcome: Outcome,
  deadline: number,
): Promise<{ name: string; clock: number }> {
  let before: string | undefined;
  for (;;) {
    const { names, unfinished, listing, clock } = await findSaved(host, facts, base);
    const [newest, claimed] = [names[0], outcome.saved[0]];
    const name = claimed === undefined ? newest : names.find((one) => one === claimed);
    if (name !== undefined && (outcome.known || (!unfinished && listing === before))) return { name, clock };
    if (outcome.known || Date.now() > deadline) break;
    before = listing;
    await pause(AGAIN_MS);
  }
  if (!outcome.known) {
    throw refused(facts, `its server did not answer in time, and no snapshot came into ${facts.snapshotDirectory}`);
  }
  const why = (await serverLog(host, facts)).findLast((message) => NOT_SAVED.test(message));
  const [claimed] = outcome.saved;
  const instead =
    claimed === undefined ? "it reported no snapshot, and no failure" : `it says that ${claimed} is saved`;
  throw refused(facts, `${why ?? instead}; ${facts.snapshotDirectory} has none of this name`);
}

const NOT_SAVED = /^(Unable to take snapshot|Failed to take etcd snapshot)/;

async function failureOf(
  host: HostReader,
  facts: EmbeddedFacts,
  name: string,
  { known, saved, noUpload }: Outcome,
): Promise<string | undefined> {
  if (noUpload !== undefined) return noUpload;
  // Old versions do not report where they saved: only the store can tell.
  if (known && (saved.length !== 1 || !supports(facts.version, "http-cli"))) return undefined;
  const why = await uploadError(host, facts, name);
  return why ?? (known ? "it reported one copy, where two were to be" : undefined);
}

function refused(facts: EmbeddedFacts, reason: string): BackupError {
  const { program, server, unit, dataDir } = facts;
  const hint = /connection refused|failed to get CA certs/.test(reason)
    ? `${program.title} has to run there: look with \`systemctl status ${unit}\`.`
    : /not authorized|unauthorized/i.test(reason)
      ? `${program.title} runs there with another token than ${dataDir}/server/token has.`
      : /not supported for learner/.test(reason)
        ? "This member does not vote yet. Run again when it does, or look why it does not catch up."
        : `Look with \`journalctl -u ${unit}\`.`;
  return new BackupError("SNAPSHOT_FAILED", `${program.title} could not save a snapshot: ${reason}`, {
    host: server,
    hint,
  });
}
