import type { S3Settings } from "../model";
import { type Command, secret, sh } from "../transport/shell";
import type { S3Failure } from "./s3-error";

/** A request that a server's curl sends. It goes in a config on curl's standard input: a presigned URL is a secret. */
export function curlConfig(settings: S3Settings, url: string, headers: Readonly<Record<string, string>>): Command {
  const lines = [`url = ${configWord(url)}`];
  for (const [name, value] of Object.entries(headers)) lines.push(`header = ${configWord(`${name}: ${value}`)}`);
  if (settings.proxy !== undefined) lines.push(`proxy = ${configWord(settings.proxy)}`);
  if (settings.skipTlsVerify === true) lines.push("insecure");
  const { text } = sh`${secret(lines.join("\n"))}`;
  return { text, secrets: [...secretsOf(url), ...(settings.proxy === undefined ? [] : [settings.proxy])] };
}

/**
 * The beginning of a script that uses curl: a private directory `$w`, a deadline, and
 * `send CONFIG ARGUMENTS…` (one request, repeated while that may help; leaves `$rc`, `$http` and `$w/answer`) and
 * `report` (prints what failed and ends the script; `curlFailure` reads it).
 */
export function curlPrelude(settings: S3Settings, deadlineSeconds: number): Command {
  return sh`
umask 077
command -v curl >/dev/null 2>&1 || { echo no-curl; exit 0; }
w=$(mktemp -d) || exit 1
trap 'rm -rf "$w" "$t"' EXIT
trap 'exit 1' HUP INT TERM
t= ca= rc=0 http=000
end=$(($(date +%s) + ${deadlineSeconds}))
${settings.endpointCa === undefined ? sh`:` : sh`printf '%s' ${settings.endpointCa} >"$w/ca.pem" && ca="$w/ca.pem" || exit 1`}
: >"$w/answer" && : >"$w/stderr" || exit 1
request() {
  config=$1; shift
  left=$((end - $(date +%s)))
  [ "$left" -gt 0 ] || { rc=28 http=000; echo 'curl: (28) the deadline of the transfer is over' >"$w/stderr"; return 1; }
  set -- -q -g -sS --http1.1 -K - --connect-timeout 15 --max-time "$left" --speed-limit 1 --speed-time 30 -w '%{http_code}' "$@"
  [ -z "$ca" ] || set -- "$@" --cacert "$ca"
  http=$(printf '%s\n' "$config" | curl "$@" 2>"$w/stderr")
  rc=$?
  case $rc:$http in 0:2??) return 0 ;; *) return 1 ;; esac
}
may_pass() {
  case $http in 408|429|5??) return 0 ;; 3??|4??) return 1 ;; esac
  case $rc in 5|6|7|16|18|28|35|52|55|56) return 0 ;; *) return 1 ;; esac
}
send() {
  tries=0
  until request "$@" -o "$w/answer"; do
    tries=$((tries + 1))
    { [ "$tries" -lt 4 ] && may_pass && [ $((end - $(date +%s))) -gt $((1 << tries)) ]; } || return 1
    sleep $((1 << tries))
  done
}
report() {
  code=$(head -c 8192 "$w/answer" | tr -d '\n' | sed -n 's/.*<Code>\([A-Za-z0-9.]*\)<\/Code>.*/\1/p')
  printf 'failed %s %s %s\n%s\n' "$rc" "$http" "\${code:--}" "$(tail -n 1 "$w/stderr")"
  exit 0
}`;
}

/** Reads what `report` printed; undefined when the output has no failure. */
export function curlFailure(stdout: string): (S3Failure & { readonly exit: number }) | undefined {
  const [, exit, http, code, said = ""] = /^failed (\d+) (\d+) (\S+)\n(.*)$/m.exec(stdout) ?? [];
  if (exit === undefined || http === undefined) return undefined;
  const status = Number(http) === 0 ? undefined : Number(http);
  const number = Number(exit);
  return {
    exit: number,
    code: code === "-" ? undefined : code,
    status,
    // A store may answer and hang up before it has read everything: then its answer counts.
    ...(status !== undefined && status >= 300
      ? {}
      : { network: said.replace(/^curl: \(\d+\) /, "curl: ") || `curl: exit ${number}` }),
    tls: TLS_EXITS.has(number),
  };
}

const TLS_EXITS = new Set([35, 51, 53, 54, 58, 59, 60, 64, 66, 77, 80, 82, 83, 90, 91]);

function configWord(value: string): string {
  return `"${value.replace(/[\\"]/g, "\\$&").replace(/[\r\n]/g, "")}"`;
}

/** A presigned URL may be shown in part, too: its query and its signature are as secret as the whole. */
function secretsOf(url: string): string[] {
  const { search, searchParams } = new URL(url);
  const parts = ["X-Amz-Signature", "X-Amz-Security-Token"].map((name) => searchParams.get(name));
  return [url, search.slice(1), ...parts.filter((part) => part !== null)];
}
