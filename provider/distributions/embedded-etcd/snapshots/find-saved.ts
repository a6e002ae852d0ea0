import type { HostReader } from "../../../transport/host";
import { sh } from "../../../transport/shell";
import type { EmbeddedFacts } from "../facts";
import { readSnapshotName } from "./snapshot-name";

interface SavedLook {
  /** Snapshots of this base that were begun since, the newest first. */
  readonly names: readonly string[];
  /** True while one of them is still written. */
  readonly unfinished: boolean;
  /** Names and sizes: the same again when nothing is written any more. */
  readonly listing: string;
  /** The server's clock, seconds. */
  readonly clock: number;
}

/** Looks for what a save has left in the snapshot directory since the server's facts were taken. */
export async function findSaved(host: HostReader, facts: EmbeddedFacts, base: string): Promise<SavedLook> {
  const prefix = `${base}-${facts.nodeName}-`;
  const since = new Date(facts.clock * 1000).toISOString();
  const isOurs = (name: string): boolean =>
    name.startsWith(prefix) &&
    /^\d+(\.zip)?$/.test(name.slice(prefix.length)) &&
    (readSnapshotName(name)?.takenAt ?? "") >= since;
  const { stdout } = await host.query(sh`date +%s
for f in ${`${facts.snapshotDirectory}/${prefix}`}*; do [ ! -f "$f" ] || stat -c '%s %n' "$f"; done`);
  const [clock = "", ...lines] = stdout.trimEnd().split("\n");
  const files = lines.map((line) => line.slice(line.lastIndexOf("/") + 1));
  return {
    names: files.filter(isOurs).sort().reverse(),
    unfinished: files.some((name) => name.endsWith(".part") && isOurs(name.replace(/\.part$/, ""))),
    listing: lines.join("\n"),
    clock: Number(clock),
  };
}
