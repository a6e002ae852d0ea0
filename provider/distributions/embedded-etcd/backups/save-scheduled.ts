import { type Command, sh, titled } from "../../../transport/shell";
import { flagOn } from "../settings/config-files";
import type { EmbeddedFacts } from "../facts";
import { saveCommand } from "../snapshots/save-command";
import { scheduledName } from "../snapshots/snapshot-name";
import { supports } from "../versions";

/**
 * Takes the snapshot that the schedule did not bring, under the scheduled name, so that retention counts it. The
 * command exits 0 also when nothing came or an upload failed: it is not believed.
 */
export function saveScheduled(facts: EmbeddedFacts): Command {
  const base = scheduledName(facts);
  const prefix = `${facts.snapshotDirectory}/${base}-${facts.nodeName}-`;
  // One line for the file, one for its copy in S3. Older versions say it otherwise.
  const lines = supports(facts.version, "http-cli") ? (flagOn(facts.settings, "etcd-s3") ? 2 : 1) : 0;
  return titled(
    "take the scheduled snapshot now",
    sh`newest() { for f in ${prefix}*; do case \${f#${prefix}} in *[!0-9]*.zip | *[!0-9.zip]*) ;; *) [ ! -s "$f" ] || printf '%s\n' "$f" ;; esac; done | sort | tail -n 1; }
before=$(newest)
said=$(timeout 1500 ${saveCommand(facts, base, true)} 2>&1)
code=$?
last() { printf '%s\n' "$said" | grep -v 'found in config.yaml, skipping' | tail -n 5 >&2; }
[ $code -eq 0 ] || { last; exit 1; }
[ "$(newest)" != "$before" ] || { last; echo 'the command ended well, but there is no new snapshot' >&2; exit 1; }
saved=$(printf '%s\n' "$said" | grep -c 'Snapshot .* saved\.')
[ "$saved" -ge ${lines} ] || { last; echo 'the snapshot is on the server, but its upload to S3 failed: see the log of the server' >&2; exit 1; }`,
  );
}
