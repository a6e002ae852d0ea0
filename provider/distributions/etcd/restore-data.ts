import { type Command, rawScript, script, sh } from "../../transport/shell";
import type { EtcdFacts } from "./facts";
import { rememberOnce } from "../held-unit";
import type { RestorePlaces } from "./restore-places";

/** Restores into a directory of its own while etcd still runs: what is wrong with file or tool shows before anything stops. */
export function prepareData(
  facts: EtcdFacts,
  places: RestorePlaces,
  initialCluster: string,
  token: string,
  beyondRevision: number | undefined,
): Command {
  const { member } = facts;
  const flags = [
    ...["--name", member.name, "--initial-cluster", initialCluster, "--initial-cluster-token", token],
    ...["--initial-advertise-peer-urls", member.peerUrls.join(","), "--data-dir", places.prepared],
    ...(places.preparedWal === undefined ? [] : ["--wal-dir", places.preparedWal]),
  ];
  const owner = `${facts.user}:${facts.group}`;
  const tool = facts.restoreTool ?? "etcdutl";
  return sh`export ETCDCTL_API=3
prepared=${places.prepared} wal=${places.preparedWal ?? ""} work=${places.work} data=${member.dataDir}
# A full disk takes no log either.
failed() { tail -n 5 "$work/restore.log" >&2; [ -s "$work/restore.log" ] || df -P "$work" "$data" >&2; exit 1; }
rm -rf "$prepared" && { [ -z "$wal" ] || rm -rf "$wal"; } || exit 1
for d in "$data" ${member.walDir ?? []}; do
  [ -d "$d" ] || { mkdir -p "$d" && chown ${owner} "$d" && chmod 700 "$d"; } || exit 1
done
${beyondRevision === undefined ? rawScript("set --") : bumpFlags(tool, places.staged, beyondRevision)}
${tool} snapshot restore ${places.staged} ${flags} "$@" >"$work/restore.log" 2>&1 || failed
${tool} snapshot status "$prepared/member/snap/db" --write-out=json >"$work/prepared.json" 2>>"$work/restore.log" || failed
chown -R ${owner} "$prepared" && chmod 700 "$prepared" || exit 1
[ -z "$wal" ] || chown -R ${owner} "$wal" || exit 1
! command -v restorecon >/dev/null || restorecon -R "$prepared" \${wal:+"$wal"}
cat "$work/prepared.json"`;
}

/** What etcd's documentation advises: about a week of writes. */
const BUMP = 1_000_000_000;

/** Sets the flags that raise the revision beyond what any client has seen. Every member computes the same from the same file. */
function bumpFlags(tool: string, snapshot: string, beyond: number): Command {
  return sh`revision=$(${tool} snapshot status ${snapshot} --write-out=json 2>/dev/null | sed -n 's/.*"revision":[[:space:]]*\([0-9]*\).*/\1/p')
[ -n "$revision" ] || { echo 'the snapshot does not say its revision' >&2; exit 1; }
bump=${BUMP}
[ "$revision" -ge ${beyond} ] || bump=$((bump + ${beyond} - revision))
set -- --bump-revision "$bump" --mark-compacted`;
}

export function removePrepared(places: RestorePlaces): Command {
  return sh`rm -rf ${places.prepared} ${places.preparedWal ?? []}`;
}

/** Sets the old data aside and puts the prepared one in its place: two renames, safe to repeat after either. */
export function swapData(facts: EtcdFacts, places: RestorePlaces): Command {
  return script(
    sh`data=${facts.member.dataDir} prepared=${places.prepared} aside=${places.aside} work=${places.work}
if [ -e "$prepared/member" ]; then
  ${rememberOnce(`${places.work}/data`, sh`[ -e "$data/member" ] && echo yes || echo no`)}
  if [ -e "$data/member" ]; then
    [ ! -e "$aside" ] || { echo "$aside exists already" >&2; exit 1; }
    mv "$data/member" "$aside" || exit 1
  fi
  mv "$prepared/member" "$data/member" || exit 1
fi
[ -d "$data/member" ] || { echo "$data/member is missing" >&2; exit 1; }
rmdir "$prepared" 2>/dev/null`,
    // The WAL directory may be a mount point, so its files are moved one by one; etcd ignores folders in it.
    places.preparedWal === undefined || facts.member.walDir === undefined
      ? rawScript("")
      : sh`wal=${facts.member.walDir} new=${places.preparedWal} old=${places.asideWal ?? ""}
if [ -d "$new" ]; then
  mkdir -p "$old" || exit 1
  [ -e "$work/wal" ] || { for f in "$wal"/*.wal "$wal"/*.tmp; do [ ! -e "$f" ] || mv "$f" "$old/" || exit 1; done; : >"$work/wal"; }
  for f in "$new"/*; do [ ! -e "$f" ] || mv "$f" "$wal/" || exit 1; done
  rmdir "$new" || exit 1
fi`,
    sh`sync`,
  );
}

/** The reverse of `swapData`, from wherever it stopped. */
export function swapBack(facts: EtcdFacts, places: RestorePlaces): Command {
  return script(
    places.preparedWal === undefined || facts.member.walDir === undefined
      ? rawScript("")
      : sh`wal=${facts.member.walDir} new=${places.preparedWal} old=${places.asideWal ?? ""}
if [ -d "$old" ]; then
  mkdir -p "$new" || exit 1
  [ ! -e ${`${places.work}/wal`} ] || { for f in "$wal"/*.wal "$wal"/*.tmp; do [ ! -e "$f" ] || mv "$f" "$new/" || exit 1; done; rm -f ${`${places.work}/wal`}; }
  for f in "$old"/*; do [ ! -e "$f" ] || mv "$f" "$wal/" || exit 1; done
  rmdir "$old"
fi`,
    sh`data=${facts.member.dataDir} prepared=${places.prepared} aside=${places.aside} work=${places.work}
if [ -e "$aside" ] || [ "$(cat "$work/data" 2>/dev/null)" = no ]; then
  if [ -e "$data/member" ] && [ ! -e "$prepared/member" ]; then
    mkdir -p "$prepared" && mv "$data/member" "$prepared/member" || exit 1
  fi
  [ ! -e "$aside" ] || mv "$aside" "$data/member" || exit 1
fi
rm -f "$work/data"
sync`,
  );
}

/** Every file of the member with its size and times: an etcd that ran has changed some. */
export function listFiles(facts: EtcdFacts): Command {
  const { dataDir, walDir } = facts.member;
  return sh`find ${`${dataDir}/member`} ${walDir ?? []} -type f -exec stat -c '%n %s %y %z' {} + | sort`;
}

/** How the restored member ended, and what its files hold: what decides whether anything can have been written to it. */
export function examineStopped(facts: EtcdFacts, places: RestorePlaces): Command {
  return sh`export ETCDCTL_API=3
systemctl show ${facts.unit} -p ExecMainCode -p ExecMainStatus -p NRestarts
[ -s ${`${places.work}/files`} ] && [ "$({ ${listFiles(facts)}; })" = "$(cat ${`${places.work}/files`})" ] && echo files=same || echo files=changed
printf 'boot=%s\n' "$(cat /proc/sys/kernel/random/boot_id)"
printf 'prepared=%s\n' "$(cat ${`${places.work}/prepared.json`})"
printf 'now=%s\n' "$(${facts.restoreTool ?? "etcdutl"} snapshot status ${`${facts.member.dataDir}/member/snap/db`} --write-out=json 2>/dev/null)"`;
}
