import { type Command, rawScript, script, sh } from "../../../transport/shell";
import { rememberOnce } from "../../held-unit";
import type { EmbeddedFacts } from "../facts";
import type { RestorePlaces } from "./restore-places";

/** Whether a name is taken, be it by a link to a disk that is not mounted. */
const there = rawScript(`there() { [ -e "$1" ] || [ -L "$1" ]; }`);

/** Sets etcd's data aside by one rename. Everything else in `server/db` stays, above all the snapshots. */
export function setDataAside(facts: EmbeddedFacts, places: RestorePlaces): Command {
  return sh`server=${`${facts.dataDir}/server`} aside=${places.aside} work=${places.work}
mkdir -p "$work" || exit 1
${there}
${rememberOnce(`${places.work}/data`, sh`there ${`${facts.dataDir}/server/db/etcd`} && echo yes || echo no`)}
if [ "$(cat "$work/data")" = yes ] && ! there "$aside"; then mv "$server/db/etcd" "$aside" || exit 1; fi
sync`;
}

/** The reverse of `setDataAside`, from wherever it stopped. What lies in the old data's place was made by this attempt. */
export function putDataBack(facts: EmbeddedFacts, places: RestorePlaces): Command {
  return sh`server=${`${facts.dataDir}/server`} aside=${places.aside} work=${places.work}
${there}
if there "$aside"; then
  rm -rf "$server/db/etcd" && mv "$aside" "$server/db/etcd" || exit 1
elif [ "$(cat "$work/data" 2>/dev/null)" = no ]; then
  rm -rf "$server/db/etcd" || exit 1
fi
rm -f "$work/data"
sync`;
}

/** Sets aside what belongs to another token than the snapshot's: it is made anew when the server joins. */
export function setIdentityAside(facts: EmbeddedFacts, places: RestorePlaces): Command {
  return sh`server=${`${facts.dataDir}/server`} kept=${places.identity}
${there}
mkdir -p "$kept" && chmod 700 "$kept" || exit 1
for f in tls cred token; do
  ! there "$server/$f" || there "$kept/$f" || mv "$server/$f" "$kept/$f" || exit 1
done
sync`;
}

/** The reverse of `setIdentityAside`, from wherever it stopped. */
export function moveIdentityBack(facts: EmbeddedFacts, places: RestorePlaces): Command {
  return sh`server=${`${facts.dataDir}/server`} kept=${places.identity}
${there}
for f in tls cred token; do
  ! there "$kept/$f" || { rm -rf "$server/$f" && mv "$kept/$f" "$server/$f"; } || exit 1
done
rmdir "$kept" 2>/dev/null
sync`;
}

/** Copies what a reset writes over: certificates, credentials and tokens. Data and snapshots of before need their token. */
export function keepIdentity(facts: EmbeddedFacts, places: RestorePlaces): Command {
  return sh`server=${`${facts.dataDir}/server`} kept=${places.identity}
${there}
if [ ! -e "$kept" ]; then
  rm -rf "$kept.new" && mkdir -p "$kept.new" && chmod 700 "$kept.new" || exit 1
  for f in tls cred token agent-token node-token; do
    ! there "$server/$f" || cp -a "$server/$f" "$kept.new/$f" || exit 1
  done
  { ls -A "$server" "$server/db" 2>/dev/null || :; } >"$kept.new/.names"
  sync && mv "$kept.new" "$kept" || exit 1
fi`;
}

/** Puts back what `keepIdentity` copied, and takes away what the reset made beside it. */
export function putIdentityBack(facts: EmbeddedFacts, places: RestorePlaces): Command {
  return sh`server=${`${facts.dataDir}/server`} kept=${places.identity}
${there}
if [ -e "$kept" ]; then
  for f in tls cred token agent-token node-token; do
    if there "$kept/$f"; then
      rm -rf "$server/.$f.back" && cp -a "$kept/$f" "$server/.$f.back" && rm -rf "$server/$f" && mv "$server/.$f.back" "$server/$f" || exit 1
    else
      rm -rf "$server/$f" || exit 1
    fi
  done
  for f in "$server"/tls-[0-9]* "$server"/db/reset-flag "$server"/db/etcd-tmp; do
    [ ! -e "$f" ] || grep -qxF "$(basename "$f")" "$kept/.names" || rm -rf "$f" || exit 1
  done
  # All at once: half of them would look as if the other half had never been.
  sync && mv "$kept" "$kept.over" || exit 1
fi
rm -rf "$kept.new" "$kept.over" && sync`;
}

/** Every file of the member with its size and times: an etcd that ran has changed some. */
export function listFiles(facts: EmbeddedFacts): Command {
  return sh`find ${`${facts.dataDir}/server/db/etcd/member`} -type f -exec stat -c '%n %s %y %z' {} + | sort`;
}

/** Remembers the restored files as they were before the first start. */
export function rememberFiles(facts: EmbeddedFacts, places: RestorePlaces): Command {
  return script(sh`mkdir -p ${places.work} || exit 1`, rememberOnce(`${places.work}/files`, listFiles(facts)));
}
