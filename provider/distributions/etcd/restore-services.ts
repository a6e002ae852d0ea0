import { type Command, script, sh } from "../../transport/shell";
import { rememberOnce, startFreed, stopHeld } from "../held-unit";
import type { EtcdFacts } from "./facts";
import { unitName } from "./places";
import { listFiles } from "./restore-data";
import type { RestorePlaces } from "./restore-places";

export function pauseBackups(cluster: string, places: RestorePlaces): Command {
  const unit = unitName(cluster);
  return sh`mkdir -p ${places.work} && cd ${places.work} || exit 1
${rememberOnce("timer", sh`systemctl is-active ${`${unit}.timer`}`)}
[ "$(cat timer)" != active ] || systemctl stop ${`${unit}.timer`} ${`${unit}.service`}`;
}

export function resumeBackups(cluster: string, places: RestorePlaces): Command {
  return sh`[ "$(cat ${`${places.work}/timer`} 2>/dev/null)" != active ] || systemctl start ${`${unitName(cluster)}.timer`}`;
}

export function stopApiServer(unit: string, work: string): Command {
  return sh`mkdir -p ${work} && cd ${work} || exit 1
${rememberOnce("api-server", sh`systemctl is-active ${unit}`)}
systemctl stop ${unit}`;
}

export function startApiServer(unit: string, work: string): Command {
  // One that kept failing, because etcd was down, was wanted all the same.
  return sh`case "$(cat ${`${work}/api-server`} 2>/dev/null)" in
'' | inactive | deactivating | unknown) ;;
*) systemctl reset-failed ${unit} 2>/dev/null; systemctl start --no-block ${unit} ;;
esac`;
}

/** Stops etcd with SIGTERM and confirms that nothing listens on its ports any more. */
export function stopMember(facts: EtcdFacts, places: RestorePlaces): Command {
  return stopHeld(facts.unit, places.work, ports(facts));
}

/** Starts the restored member, and remembers its files as they were before. */
export function startMember(facts: EtcdFacts, places: RestorePlaces): Command {
  return script(
    sh`mkdir -p ${places.work} || exit 1
[ -e ${`${places.work}/files`} ] || { ${listFiles(facts)} >${`${places.work}/files`}; } || exit 1`,
    startFreed(facts.unit),
  );
}

function ports(facts: EtcdFacts): readonly number[] {
  const urls = ["listen-client-urls", "listen-peer-urls"].flatMap((flag) =>
    (facts.settings.get(flag) ?? "").split(","),
  );
  const numbers = urls.flatMap((url) => /:(\d+)\/?$/.exec(url)?.slice(1) ?? []).map(Number);
  return numbers.length > 0 ? numbers : [2379, 2380];
}
