import { type Command, script, sh } from "../../transport/shell";
import type { EtcdFacts } from "./facts";
import { unitName } from "./places";
import { listFiles } from "./restore-data";
import { rememberOnce, type RestorePlaces } from "./restore-places";

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
  return script(
    sh`mkdir -p ${places.work} || exit 1
${rememberOnce(`${places.work}/unit`, sh`systemctl show ${facts.unit} -p ActiveState --value`)}
${rememberOnce(`${places.work}/dependants`, activeDependants(facts))}`,
    hold(facts),
    sh`systemctl stop ${facts.unit} || exit 1
closed() {
  # Without IPv6 the second file is not there, which awk takes for a failure.
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v ports=${ports(facts)} 'BEGIN { n = split(ports, p, ",") } $4 == "0A" { for (i = 1; i <= n; i++) if ($2 ~ ":" p[i] "$") found = 1 } END { exit found }'
}
n=0
until closed; do
  n=$((n + 1)); [ $n -lt 100 ] || { echo 'etcd was stopped, but something still listens on its ports' >&2; exit 1; }
  sleep 0.2
done`,
  );
}

/** Starts what ran before `stopMember`. */
export function startAsBefore(facts: EtcdFacts, places: RestorePlaces): Command {
  return script(
    unhold(facts),
    sh`case "$(cat ${`${places.work}/unit`} 2>/dev/null)" in
active | activating | reloading) systemctl reset-failed ${facts.unit} 2>/dev/null; systemctl start --no-block ${facts.unit} ;;
esac`,
    startDependants(places),
  );
}

/** Units that require etcd's are stopped with it by systemd, which does not start them again. */
function activeDependants(facts: EtcdFacts): Command {
  return sh`for u in $(systemctl show ${facts.unit} -p RequiredBy -p BoundBy --value); do
  ! systemctl is-active -q "$u" >/dev/null || printf '%s\n' "$u"
done`;
}

export function startDependants(places: RestorePlaces): Command {
  const list = `${places.work}/dependants`;
  return sh`[ ! -s ${list} ] || while read -r u; do systemctl start --no-block "$u"; done <${list}`;
}

/** Starts the restored member without waiting: etcd tells systemd that it is up only when there is a quorum. */
export function startMember(facts: EtcdFacts, places: RestorePlaces): Command {
  return script(
    sh`mkdir -p ${places.work} || exit 1
[ -e ${`${places.work}/files`} ] || { ${listFiles(facts)} >${`${places.work}/files`}; } || exit 1`,
    unhold(facts),
    sh`systemctl reset-failed ${facts.unit} 2>/dev/null; systemctl start --no-block ${facts.unit}`,
  );
}

/** Starts what an attempt that is left still keeps from starting. */
export function startHeld(facts: EtcdFacts): Command {
  return sh`if [ -e ${`/etc/systemd/system/${facts.unit}.d/${HOLD}`} ]; then
  ${unhold(facts)}
  systemctl reset-failed ${facts.unit} 2>/dev/null; systemctl start --no-block ${facts.unit}
fi`;
}

const HOLD = "zz-etcd-backup-restore.conf";

/** While a restore is between two states, not even a reboot may start etcd: an empty data directory would begin a new cluster. */
function hold(facts: EtcdFacts): Command {
  const folder = `/etc/systemd/system/${facts.unit}.d`;
  return sh`mkdir -p ${folder} &&
printf '%s\n' '# A restore is under way: etcd must not start. Removed by the restore itself.' '[Unit]' 'ConditionPathExists=/nonexistent/etcd-backup-restore' >${`${folder}/${HOLD}`} &&
systemctl daemon-reload || exit 1`;
}

function unhold(facts: EtcdFacts): Command {
  const folder = `/etc/systemd/system/${facts.unit}.d`;
  return sh`rm -f ${`${folder}/${HOLD}`} && { rmdir ${folder} 2>/dev/null || :; } && systemctl daemon-reload || exit 1`;
}

/** Ports in the kernel's own spelling. */
function ports(facts: EtcdFacts): string {
  const urls = ["listen-client-urls", "listen-peer-urls"].flatMap((flag) =>
    (facts.settings.get(flag) ?? "").split(","),
  );
  const numbers = urls.flatMap((url) => /:(\d+)\/?$/.exec(url)?.slice(1) ?? []).map(Number);
  return (numbers.length > 0 ? numbers : [2379, 2380])
    .map((port) => port.toString(16).toUpperCase().padStart(4, "0"))
    .join(",");
}
