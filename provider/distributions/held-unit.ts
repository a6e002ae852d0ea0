import { type Command, script, sh } from "../transport/shell";

/** Keeps what a look shows first, whatever later ones show. A look that is cut off leaves nothing. */
export function rememberOnce(path: string, look: Command): Command {
  return sh`[ -e ${path} ] || { { ${look} || :; } >${`${path}.new`} && mv ${`${path}.new`} ${path}; } || exit 1`;
}

/** Stops a unit, remembers in `work` what ran, and keeps it from starting until it is let go. `more` ends what systemd leaves running. */
export function stopHeld(unit: string, work: string, ports: readonly number[], more: Command = script()): Command {
  return script(
    sh`mkdir -p ${work} || exit 1
${rememberOnce(`${work}/unit`, sh`systemctl show ${unit} -p ActiveState --value`)}
${rememberOnce(`${work}/dependants`, activeDependants(unit))}
${rememberOnce(`${work}/held`, sh`[ -e ${holdPath(unit)} ] && echo yes`)}`,
    hold(unit),
    sh`systemctl stop ${unit} || exit 1`,
    more,
    sh`closed() {
  # Without IPv6 the second file is not there, which awk takes for a failure.
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v ports=${kernelPorts(ports)} 'BEGIN { n = split(ports, p, ",") } $4 == "0A" { for (i = 1; i <= n; i++) if ($2 ~ ":" p[i] "$") found = 1 } END { exit found }'
}
n=0
until closed; do
  n=$((n + 1)); [ $n -lt 100 ] || { echo 'etcd was stopped, but something still listens on its ports' >&2; exit 1; }
  sleep 0.2
done`,
  );
}

/** Starts what ran before `stopHeld`. What another attempt held then, it still holds. */
export function startAsBefore(unit: string, work: string): Command {
  return script(
    // Without a record it was never stopped, or is put back already.
    sh`if [ "$(cat ${`${work}/held`} 2>/dev/null || echo yes)" != yes ]; then
  ${letGo(unit)}
fi`,
    sh`case "$(cat ${`${work}/unit`} 2>/dev/null)" in
active | activating | reloading) ${startUnit(unit)} ;;
esac`,
    startDependants(work),
  );
}

/** Lets a unit go and starts it, without waiting: it tells systemd that it is up only when there is a quorum. */
export function startFreed(unit: string): Command {
  return script(letGo(unit), startUnit(unit));
}

/** Starts what an attempt that is left still keeps from starting. */
export function startHeld(unit: string): Command {
  return sh`if [ -e ${holdPath(unit)} ]; then
  ${letGo(unit)}
  ${startUnit(unit)}
fi`;
}

/** Units that require etcd's are stopped with it by systemd, which does not start them again. */
export function startDependants(work: string): Command {
  const list = `${work}/dependants`;
  return sh`[ ! -s ${list} ] || while read -r u; do systemctl start --no-block "$u"; done <${list}`;
}

function startUnit(unit: string): Command {
  return sh`systemctl reset-failed ${unit} 2>/dev/null; systemctl start --no-block ${unit}`;
}

function activeDependants(unit: string): Command {
  return sh`for u in $(systemctl show ${unit} -p RequiredBy -p BoundBy --value); do
  ! systemctl is-active -q "$u" >/dev/null || printf '%s\n' "$u"
done`;
}

function holdPath(unit: string): string {
  return `/etc/systemd/system/${unit}.d/zz-etcd-backup-restore.conf`;
}

/** While a restore is between two states, not even a reboot may start etcd: an empty data directory would begin a new cluster. */
function hold(unit: string): Command {
  const folder = `/etc/systemd/system/${unit}.d`;
  return sh`mkdir -p ${folder} &&
printf '%s\n' '# A restore is under way: etcd must not start. Removed by the restore itself.' '[Unit]' 'ConditionPathExists=/nonexistent/etcd-backup-restore' >${holdPath(unit)} &&
systemctl daemon-reload || exit 1`;
}

function letGo(unit: string): Command {
  const folder = `/etc/systemd/system/${unit}.d`;
  return sh`rm -f ${holdPath(unit)} && { rmdir ${folder} 2>/dev/null || :; } && systemctl daemon-reload || exit 1`;
}

/** Ports in the kernel's own spelling. */
function kernelPorts(ports: readonly number[]): string {
  return ports.map((port) => port.toString(16).toUpperCase().padStart(4, "0")).join(",");
}
