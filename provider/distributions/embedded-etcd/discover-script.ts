import { serverDirectory } from "../../plan/server-directory";
import { type Command, rawScript, sh } from "../../transport/shell";
import type { Program } from "./program";
import { tokenHashScript } from "./token";

export interface DiscoverQuestion {
  readonly cluster: string;
  readonly unit: string;
  /** Where config.yaml is, unless the unit says otherwise. */
  readonly configDir: string;
  /** Undefined: what the unit seems to say. */
  readonly configFile: string | undefined;
  /** Undefined: what the configuration seems to say. The answer tells where it looked. */
  readonly dataDir: string | undefined;
  readonly snapshotDirectory: string | undefined;
}

/** Everything that is asked of a server before anything is decided, in one script. Its answer is read by `parseParts`. */
export function discoverScript(program: Program, question: DiscoverQuestion, mark: string): Command {
  // How K3s merges its settings is known elsewhere: what is guessed here is where to look, and checked afterwards.
  return sh`mark=${mark} unit=${question.unit} config=${question.configFile ?? ""} data=${question.dataDir ?? ""} snapshots=${question.snapshotDirectory ?? ""}
part() { printf '\n%s %s\n' "$mark" "$1"; }

part unit; systemctl show "$unit" -p LoadState -p ActiveState -p MainPID -p Environment -p EnvironmentFiles -p ExecStart
object=$(busctl --json=short call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager LoadUnit s "$unit" 2>/dev/null | sed 's/.*"\(\/[^"]*\)".*/\1/')
part exec; [ -z "$object" ] || busctl --json=short get-property org.freedesktop.systemd1 "$object" org.freedesktop.systemd1.Service ExecStart 2>/dev/null
argv=$(systemctl show "$unit" -p ExecStart --value | sed -n 's/.*argv\[\]=\(.*\) ; ignore_errors=.*/\1/p' | head -n 1)
pid=$(systemctl show "$unit" -p MainPID --value)
# The process's own directory is no older than its first look.
part started; [ "\${pid:-0}" -eq 0 ] || date -u -d "$(TZ=UTC systemctl show "$unit" -p ExecMainStartTimestamp --value | cut -d ' ' -f 2,3)" +%s
systemctl show "$unit" -p EnvironmentFiles --value | sed -n 's/^-\{0,1\}\(\/.*\) (ignore_errors=.*/\1/p' | while read -r f; do
  part "environment $f"; cat "$f" 2>/dev/null
done

# The value of a flag, in either spelling, the last one given.
flag() { printf '%s\n' "$argv" | tr ' ' '\n' | sed -n -e "s/^--\{0,1\}\($1\)=//p" -e "/^--\{0,1\}\($1\)$/{n;p;}" | tail -n 1; }
[ -n "$config" ] || config=$(flag 'config\|c')
[ -n "$config" ] || config=${`${question.configDir}/config.yaml`}
part config; printf '%s\n' "$config"
for f in "$config" "$config".d/* "$config".d/.*; do
  case $f in "$config" | *.[yY][aA][mM][lL] | *.[yY][mM][lL]) ;; *) continue ;; esac
  [ -f "$f" ] || continue
  part "file $(stat -L -c '%a %U %Y' "$f") $f"; cat "$f"
done
setting() { sed -n "s/^[\"']\{0,1\}$1[\"']\{0,1\}: *[\"']\{0,1\}\([^\"'#]*[^\"'# ]\).*/\1/p" "$config" "$config".d/*.yaml "$config".d/*.yml 2>/dev/null | tail -n 1; }
[ -n "$data" ] || data=$(flag 'data-dir\|d')
[ -n "$data" ] || data=$(setting data-dir)
[ -n "$data" ] || data=${program.dataDir}
[ -n "$snapshots" ] || snapshots=$(flag etcd-snapshot-dir)
[ -n "$snapshots" ] || snapshots=$(setting etcd-snapshot-dir)
[ -n "$snapshots" ] || snapshots=$data/server/db/snapshots
part looked; printf '%s\n' "$data" "$snapshots"

bin=\${argv%% *}
[ -x "$bin" ] || bin=$(command -v ${program.name})
part binary; printf '%s\n' "$bin"
part version; [ -z "$bin" ] || timeout 20 "$bin" --version 2>/dev/null | sed -n '1s/^[^ ]* version \([^ ]*\).*/\1/p'
db=$data/server/db
part data
[ ! -d "$db/etcd/member" ] || echo etcd
[ ! -e "$db/state.db" ] || echo sqlite
part size; stat -c %s "$db/etcd/member/snap/db" 2>/dev/null
part member; cat "$db/etcd/name" 2>/dev/null
part peer; sed -n 's/^initial-advertise-peer-urls: *//p' "$db/etcd/config" 2>/dev/null
part node-password; [ ! -s /etc/rancher/node/password ] || echo yes
part node; hostname | tr 'A-Z' 'a-z'
address=$(ip -o -4 route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([^ ]*\).*/\1/p')
# Without a default route, whichever there is.
part address; printf '%s\n' "\${address:-$(hostname -I 2>/dev/null | cut -d ' ' -f 1)}"
part token; ${tokenHashScript(rawScript('"$data/server/token"'))}
part snapshots
for f in "$snapshots"/*; do [ ! -f "$f" ] || stat -c '%s %Y %n' "$f"; done
part listening
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" && $2 ~ ":094B$" {print "etcd"; exit}'
part etcd-version; curl -fsS -m 3 http://127.0.0.1:2381/metrics 2>/dev/null | sed -n 's/^etcd_server_version{server_version="\([^"]*\)"} 1$/\1/p'
part kill-script
for f in /usr/local/bin /usr/bin /opt/${program.name}/bin; do [ ! -x "$f/${`${program.name}-killall.sh`}" ] || { printf '%s\n' "$f/${`${program.name}-killall.sh`}"; break; }; done
part tools; for t in curl flock gzip sha256sum systemd-run; do ! command -v "$t" >/dev/null || printf '%s\n' "$t"; done
part rancher
! systemctl is-active -q rancher-system-agent.service 2>/dev/null || echo rancher-system-agent.service
part clock; date +%s; cat /proc/sys/kernel/random/boot_id
d=${serverDirectory(question.cluster)}
part journal; cat "$d/journal" 2>/dev/null
part marker; cat "$d/restored.json" 2>/dev/null
part lease; cat "$d/lease" 2>/dev/null
part end
exit 0`;
}
