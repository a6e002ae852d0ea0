import { serverDirectory } from "../../plan/server-directory";
import { type Command, sh } from "../../transport/shell";
import { configDirectory, lastWordPath, unitName } from "./places";

export interface DiscoverQuestion {
  readonly cluster: string;
  /** Found when not given. */
  readonly unit: string | undefined;
  readonly etcdutl: string | undefined;
  /** OnCalendar lines whose normal form is asked for, to compare it with what runs. */
  readonly calendar: readonly string[];
}

/** Everything that is asked of a server before anything is decided, in one script. Its answer is read by `parseParts`. */
export function discoverScript(question: DiscoverQuestion, mark: string): Command {
  const ours = unitName(question.cluster);
  return sh`mark=${mark} unit=${question.unit ?? ""} etcdutl=${question.etcdutl ?? ""}
part() { printf '\n%s %s\n' "$mark" "$1"; }

# The unit of the process that runs, else the one whose start command is an etcd binary.
find_units() {
  for exe in /proc/[0-9]*/exe; do
    case "$(readlink "$exe" 2>/dev/null)" in */etcd | */etcd' (deleted)') ;; *) continue ;; esac
    # Someone else who looks at this moment asks the binary for its version: no unit of etcd's, whatever it runs in.
    case "$(tr '\0' ' ' <"$(dirname "$exe")/cmdline" 2>/dev/null)" in '' | *' --version '*) continue ;; esac
    sed -n 's|^[^/]*/.*/\([^/]*\.service\)$|\1|p' "$(dirname "$exe")/cgroup"
  done | sort -u
}
find_unit_files() {
  systemctl show -p Id -p ExecStart $(systemctl list-unit-files --type=service --no-legend --no-pager | awk '$1 !~ /@\./ {print $1}') 2>/dev/null |
    awk -F= '/^ExecStart=/ {run = $0 ~ /path=[^ ;]*\/etcd[ ;]/} /^Id=/ {id = $2} /^$/ {if (run) print id; run = 0} END {if (run) print id}' | sort -u
}
if [ -z "$unit" ]; then
  unit=$(find_units)
  [ -n "$unit" ] || unit=$(find_unit_files)
fi
part units; printf '%s\n' "$unit"
[ "$(printf '%s\n' "$unit" | wc -l)" -eq 1 ] || exit 0
[ -n "$unit" ] || exit 0

part unit; systemctl show "$unit" -p Id -p LoadState -p ActiveState -p SubState -p ExecStart -p User -p Group -p Environment -p EnvironmentFiles -p ControlGroup -p WorkingDirectory -p ExecMainStartTimestamp
pid=
for p in $(cat "/sys/fs/cgroup$(systemctl show "$unit" -p ControlGroup --value)/cgroup.procs" "/sys/fs/cgroup/systemd$(systemctl show "$unit" -p ControlGroup --value)/cgroup.procs" 2>/dev/null); do
  case "$(readlink "/proc/$p/exe" 2>/dev/null)" in */etcd | */etcd' (deleted)') pid=$p ;; esac
done
start=$(systemctl show "$unit" -p ExecStart --value)
if [ -n "$pid" ]; then
  args=$(tr '\0' '\n' <"/proc/$pid/cmdline")
  vars=$(tr '\0' '\n' <"/proc/$pid/environ" | grep '^ETCD_')
  bin=$(readlink "/proc/$pid/exe"); bin=\${bin% (deleted)}
else
  args=$(printf '%s\n' "$start" | sed -n 's/.*argv\[\]=\(.*\) ; ignore_errors=.*/\1/p' | head -n 1 | tr ' ' '\n')
  vars=$(
    systemctl show "$unit" -p Environment --value | tr ' ' '\n' | grep '^ETCD_'
    systemctl show "$unit" -p EnvironmentFiles --value | sed -n 's/^-\{0,1\}\(\/.*\) (ignore_errors=.*/\1/p' | while read -r f; do
      sed -n 's/^[[:space:]]*\(ETCD_[A-Z0-9_]*=\)"\{0,1\}\([^"]*\)"\{0,1\}[[:space:]]*$/\1\2/p' "$f" 2>/dev/null
    done
  )
  bin=$(printf '%s\n' "$start" | sed -n 's/.*{ path=\([^ ;]*\) ;.*/\1/p' | head -n 1)
fi
part running; printf '%s\n' "$pid"
part args; printf '%s\n' "$args"
part vars; printf '%s\n' "$vars"
config=$(printf '%s\n' "$args" | sed -n -e 's/^--\{0,1\}config-file=//p' -e '/^--\{0,1\}config-file$/{n;p;}' | head -n 1)
[ -n "$config" ] || config=$(printf '%s\n' "$vars" | sed -n 's/^ETCD_CONFIG_FILE=//p' | head -n 1)
part config; [ -z "$config" ] || cat "$config"

tool() { command -v "$1" || { [ -x "$(dirname "$bin")/$1" ] && printf '%s\n' "$(dirname "$bin")/$1"; }; }
etcdctl=$(tool etcdctl)
[ -n "$etcdutl" ] || etcdutl=$(tool etcdutl)
restore=
if [ -n "$etcdutl" ] && [ -x "$etcdutl" ]; then restore=$etcdutl
elif [ -n "$etcdctl" ] && ETCDCTL_API=3 "$etcdctl" snapshot restore --help >/dev/null 2>&1; then restore=$etcdctl; fi
part tools
printf 'binary=%s\n' "$bin"
printf 'version=%s\n' "$("$bin" --version 2>/dev/null | sed -n 's/^etcd Version: //p')"
printf 'etcdctl=%s\n' "$etcdctl"
printf 'restore=%s\n' "$restore"
[ -z "$restore" ] || printf 'restoreVersion=%s\n' "$(ETCDCTL_API=3 "$restore" version 2>/dev/null | sed -n 's/^etcd[a-z]* version: //p')"
[ -z "$restore" ] || ! ETCDCTL_API=3 "$restore" snapshot restore --help 2>&1 | grep -q -e --bump-revision || echo bump=yes
for t in curl flock sha256sum systemd-analyze; do printf '%s=%s\n' "$t" "$(command -v "$t")"; done

part clock; date +%s; cat /proc/sys/kernel/random/boot_id
part files
for f in ${configDirectory(question.cluster)} ${configDirectory(question.cluster)}/* ${`/etc/systemd/system/${ours}.service`} ${`/etc/systemd/system/${ours}.timer`} ${lastWordPath(question.cluster, "timer")} ${lastWordPath(question.cluster, "service")}; do
  [ -e "$f" ] || continue
  printf '%s %s %s\n' "$(stat -c '%a %U %Y' "$f")" "$([ -d "$f" ] && echo - || sha256sum <"$f" | cut -d ' ' -f 1)" "$f"
done
part settings; cat ${`${configDirectory(question.cluster)}/settings`} 2>/dev/null
part timer; systemctl show ${`${ours}.timer`} -p ActiveState -p UnitFileState -p TimersCalendar -p DropInPaths -p NeedDaemonReload -p Unit
part service; systemctl show ${`${ours}.service`} -p ActiveState -p Result -p DropInPaths -p NeedDaemonReload -p ExecStart
part calendar
for c in ${question.calendar}; do systemd-analyze calendar "$c" 2>/dev/null | sed -n 's/^ *Normalized form: //p'; done
d=${serverDirectory(question.cluster)}
part status; cat "$d/status.json" 2>/dev/null
part journal; cat "$d/journal" 2>/dev/null
part marker; cat "$d/restored.json" 2>/dev/null
part lease; cat "$d/lease" 2>/dev/null
part end
exit 0`;
}
