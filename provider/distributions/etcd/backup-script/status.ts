import { shellText } from "./shell-text";

/** The head of the script, and what it says about a run. */
export const status: string = shellText`#!/bin/sh
# Saves one snapshot of etcd, checks it, uploads it, prunes what is beyond the retention, and writes status.json.
#
#   sh save.sh /etc/etcd-backup/<cluster>/settings
#
# Exit: 0 saved, or nothing to do on a learner; 1 failed (status.json says at which step); 75 another run is in progress.
# Secrets are read from files and go to other programs on stdin only: never an argument, never an environment.

set -u
umask 077
LC_ALL=C
export LC_ALL
nl='
'

# A value inherited from the environment would be passed on to every child: forget the names first.
unset cluster server state directory snapshot_name retention save_timeout \
  etcdctl endpoint cacert cert key username password_file \
  s3_bucket s3_folder s3_region s3_host s3_scheme s3_style s3_ca_file s3_skip_tls_verify s3_timeout s3_proxy \
  s3_retention s3_keys access_key_id secret_access_key session_token password \
  hmac_key hmac_hex octets encoded hex_rest hex_tail signing_key authorization token
for name in ENDPOINTS CACERT CERT KEY USER PASSWORD INSECURE_TRANSPORT INSECURE_SKIP_TLS_VERIFY COMMAND_TIMEOUT \
  DIAL_TIMEOUT KEEPALIVE_TIME KEEPALIVE_TIMEOUT WRITE_OUT DISCOVERY_SRV DEBUG HEX; do
  # etcdctl refuses a flag that is also given by the environment.
  unset "ETCDCTL_$name"
done
ETCDCTL_API=3
export ETCDCTL_API

cluster='' server='' state='' directory='' snapshot_name='' retention='' save_timeout=600
etcdctl='' endpoint='' cacert='' cert='' key='' username='' password_file=''
s3_bucket='' s3_folder='' s3_region='' s3_host='' s3_scheme='https' s3_style='path' s3_ca_file='' s3_skip_tls_verify=''
s3_timeout=300 s3_proxy='' s3_retention='' s3_keys=''
access_key_id='' secret_access_key='' session_token=''

step='settings' problem='' work='' part=''
started_at='' file_name='' size='' digest='' revision='' saved_at='' s3_ok='false' last_success_at=''
keys_read_at=0

# ---- what is said about a run ------------------------------------------------------------------------------------

utc() { date -u +%Y-%m-%dT%H:%M:%SZ; }

# A JSON string, or null when empty.
json() {
  if [ -z "$1" ]; then
    printf 'null'
  else
    printf '"%s"' "$(printf '%s' "$1" | tr -d '\000-\037\177' | sed 's/[\\"]/\\&/g')"
  fi
}

# What an external program said, as one line of plain text. Never more: programs quote garbage they were sent.
last_line() { tr -c '\n\040-\176' ' ' <"$1" | grep -v '^ *$' | tail -n 1 | cut -c 1-400; }

write_status() { # ok
  {
    printf '{\n'
    printf '  "version": 1,\n'
    printf '  "cluster": %s,\n' "$(json "$cluster")"
    printf '  "server": %s,\n' "$(json "$server")"
    printf '  "startedAt": %s,\n' "$(json "$started_at")"
    printf '  "finishedAt": %s,\n' "$(json "$(utc)")"
    printf '  "ok": %s,\n' "$1"
    printf '  "step": %s,\n' "$(json "$step")"
    printf '  "error": %s,\n' "$(json "$problem")"
    printf '  "fileName": %s,\n' "$(json "$file_name")"
    printf '  "sizeBytes": %s,\n' "$\{size:-null}"
    printf '  "sha256": %s,\n' "$(json "$digest")"
    printf '  "revisionAtLeast": %s,\n' "$\{revision:-null}"
    if [ -n "$s3_bucket" ] && [ -n "$file_name" ]; then
      printf '  "s3": { "bucket": %s, "key": %s, "ok": %s },\n' \
        "$(json "$s3_bucket")" "$(json "$\{s3_folder:+$s3_folder/}$file_name")" "$s3_ok"
    else
      printf '  "s3": null,\n'
    fi
    printf '  "lastSuccessAt": %s\n' "$(json "$last_success_at")"
    printf '}\n'
  } >"$state/.status.json.part" && mv -f "$state/.status.json.part" "$state/status.json"
}

clean_up() {
  [ -z "$part" ] || rm -f "$part" "$part.part"
  [ -z "$work" ] || rm -rf "$work"
}

end() { # exit code
  trap - EXIT HUP INT TERM
  clean_up
  ok='true'
  [ "$1" -eq 0 ] || ok='false'
  if [ -n "$started_at" ] && ! write_status "$ok"; then
    echo "cannot write $state/status.json" >&2
    [ "$1" -ne 0 ] || set -- 1
  fi
  exit "$1"
}

fail() { # what went wrong
  problem=$1
  echo "$step: $problem" >&2
  end 1
}

`;
