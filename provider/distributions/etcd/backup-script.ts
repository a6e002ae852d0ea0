/**
 * What a server runs to take one scheduled snapshot: POSIX sh, nothing in it depends on the cluster.
 * It reads its settings and its secrets from files (see backupFiles) and leaves a status (see backup-status).
 */
export const backupScript: string = String.raw`#!/bin/sh
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

# ---- signing requests (AWS Signature Version 4) ------------------------------------------------------------------

hex() { printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n'; }

# Sets 'octets': the bytes of hexadecimal $1, each xor $2, as a format for printf. Arithmetic starts no process.
spell_octets() {
  hex_rest=$1 octets=''
  while [ -n "$hex_rest" ]; do
    hex_tail=$\{hex_rest#??}
    byte=$((0x$\{hex_rest%"$hex_tail"} ^ $2))
    octets="$octets\\$((byte / 64))$((byte / 8 % 8))$((byte % 8))"
    hex_rest=$hex_tail
  done
}

# Sets 'hmac_hex': HMAC-SHA256 of the text $2 with the key whose hexadecimal form is $1.
# The formats below hold octal escapes only; printf is the shell's own, so the key becomes no process's argument.
# shellcheck disable=SC2059
hmac() {
  hmac_key=$1
  if [ "$\{#hmac_key}" -gt 128 ]; then
    spell_octets "$hmac_key" 0
    hmac_key=$(printf "$octets" | sha256sum)
    hmac_key=$\{hmac_key%% *}
  fi
  while [ "$\{#hmac_key}" -lt 128 ]; do hmac_key="$\{hmac_key}00"; done
  spell_octets "$hmac_key" 54
  hmac_hex=$(printf "$octets%s" "$2" | sha256sum)
  spell_octets "$hmac_key" 92
  hmac_outer=$octets
  spell_octets "$\{hmac_hex%% *}" 0
  hmac_hex=$(printf "$hmac_outer$octets" | sha256sum)
  hmac_hex=$\{hmac_hex%% *}
}

# Sets 'encoded': $1 percent-encoded as signatures want it; a slash stays when $2 is "path".
# shellcheck disable=SC2059
encode() {
  hex_rest=$(hex "$1" | tr 'a-f' 'A-F') encoded=''
  while [ -n "$hex_rest" ]; do
    hex_tail=$\{hex_rest#??}
    byte=$\{hex_rest%"$hex_tail"}
    case "$byte$2" in
      2D* | 2E* | 5F* | 7E* | 3[0-9]* | 4[1-9A-F]* | 5[0-9A]* | 6[1-9A-F]* | 7[0-9A]* | 2Fpath)
        byte=$((0x$byte))
        encoded="$encoded\\$((byte / 64))$((byte / 8 % 8))$((byte % 8))"
        ;;
      *) encoded="$encoded%%$byte" ;;
    esac
    hex_rest=$hex_tail
  done
  encoded=$(printf "$encoded")
}

# Sets 'authorization'. The header $7 ('name:value', or empty) sorts between host and x-amz-content-sha256.
# An upload carries its hash as the object's own metadata too: not every S3 keeps checksums.
sign() { # method, host, encoded path, query, hash of the body, time as 20260102T030405Z, checksum header
  names='host' headers="host:$2$nl"
  if [ -n "$7" ]; then names="$names;$\{7%%:*}" headers="$headers$7$nl"; fi
  names="$names;x-amz-content-sha256;x-amz-date"
  headers="$\{headers}x-amz-content-sha256:$5$\{nl}x-amz-date:$6$nl"
  if [ "$1" = PUT ]; then names="$names;x-amz-meta-sha256" headers="$\{headers}x-amz-meta-sha256:$5$nl"; fi
  if [ -n "$session_token" ]; then
    names="$names;x-amz-security-token" headers="$\{headers}x-amz-security-token:$session_token$nl"
  fi
  scope="$\{6%%T*}/$s3_region/s3/aws4_request"
  request_hash=$(printf '%s' "$1$nl$3$nl$4$nl$headers$nl$names$nl$5" | sha256sum)
  hmac "$(hex "AWS4$secret_access_key")" "$\{6%%T*}"
  hmac "$hmac_hex" "$s3_region"
  hmac "$hmac_hex" s3
  hmac "$hmac_hex" aws4_request
  hmac "$hmac_hex" "AWS4-HMAC-SHA256$nl$6$nl$scope$nl$\{request_hash%% *}"
  authorization="AWS4-HMAC-SHA256 Credential=$access_key_id/$scope, SignedHeaders=$names, Signature=$hmac_hex"
}

# ---- requests ----------------------------------------------------------------------------------------------------

# One line of curl's configuration.
setting() { printf '%s = "%s"\n' "$1" "$(printf '%s' "$2" | tr -d '\r\n' | sed 's/[\\"]/\\&/g')"; }

# curl with its configuration on stdin. Leaves the answer in the files code, head, body and complaint.
curl_with() { # seconds
  timeout -k 5 $(($1 + 10)) curl -q -K - >"$work/code" 2>"$work/complaint" 9>&-
}

# Sets 'http' after curl ended with $1. A refusal sent before the whole body was taken is an answer too.
read_answer() {
  http=$(tr -cd '0-9' <"$work/code" | tail -c 3)
  [ "$1" -eq 0 ] || [ "$\{http:-0}" -ge 300 ] || http=''
  http=$\{http:-000}
}

common_settings() { # url, seconds
  setting url "$1"
  setting max-time "$2"
  setting output "$work/body"
  setting dump-header "$work/head"
  # shellcheck disable=SC1083 # curl's own braces
  setting write-out %{http_code}
  printf 'connect-timeout = 10\nsilent\nshow-error\ngloboff\npath-as-is\n'
}

# One signed request.
s3_request() { # method, key (without bucket), query, hash of the body, file to send, checksum header, seconds
  read_keys
  now=$(date -u +%Y%m%dT%H%M%SZ)
  case "$s3_scheme$s3_host" in
    https*:443) host=$\{s3_host%:443} ;;
    http[!s]*:80) host=$\{s3_host%:80} ;;
    *) host=$s3_host ;;
  esac
  encode "$2" path
  url_path="/$encoded"
  if [ "$s3_style" = dns ]; then
    host="$s3_bucket.$host"
  else
    encode "$s3_bucket" path
    url_path="/$encoded$url_path"
  fi
  sign "$1" "$host" "$url_path" "$3" "$4" "$now" "$6"
  : >"$work/body"
  : >"$work/head"
  {
    common_settings "$s3_scheme://$host$url_path$\{3:+?$3}" "$7"
    setting header "Host: $host"
    setting header "x-amz-date: $now"
    setting header "x-amz-content-sha256: $4"
    [ -z "$6" ] || setting header "$\{6%%:*}: $\{6#*:}"
    [ -z "$session_token" ] || setting header "x-amz-security-token: $session_token"
    setting header "Authorization: $authorization"
    case $1 in
      PUT)
        setting header "x-amz-meta-sha256: $4"
        setting upload-file "$5"
        ;;
      HEAD) echo head ;;
      GET) ;;
      *) setting request "$1" ;;
    esac
    [ -z "$s3_ca_file" ] || setting cacert "$s3_ca_file"
    [ -z "$s3_skip_tls_verify" ] || echo insecure
    if [ -n "$s3_proxy" ]; then
      setting proxy "$s3_proxy"
      setting noproxy ''
    fi
  } | curl_with "$7"
  read_answer $?
}

# The same, asked again when S3 is not reachable or busy.
s3() {
  for pause in 2 4 0; do
    s3_request "$@"
    case $http in
      000 | 429 | 5*) sleep "$pause" ;;
      *) return ;;
    esac
  done
}

# What S3 said, for people.
s3_answer() {
  if [ "$http" = 000 ]; then
    # curl explains some errors at length after the line that names them.
    grep '^curl: (' "$work/complaint" >"$work/said" || cp "$work/complaint" "$work/said"
    said=$(last_line "$work/said")
    printf 'cannot reach S3 at %s: %s' "$s3_host" "$\{said:-no answer}"
    return
  fi
  code=$(head -c 65536 "$work/body" | tr '\n<' ' \n' | sed -n 's/^Code>//p' | head -n 1 | tr -cd '\040-\176' | cut -c 1-100)
  said=$(head -c 65536 "$work/body" | tr '\n<' ' \n' | sed -n 's/^Message>//p' | head -n 1 | tr -cd '\040-\176' | cut -c 1-200)
  printf 'S3 answered %s%s%s' "$http" "$\{code:+ $code}" "$\{said:+: $said}"
}

# ---- who we are in S3 --------------------------------------------------------------------------------------------

# The machine's role, through version 2 of the instance metadata service.
metadata() { # method, path, header
  : >"$work/body"
  {
    common_settings "http://169.254.169.254/latest/$2" 10
    setting request "$1"
    setting header "$3"
    setting noproxy '*'
  } | curl_with 10
  read_answer $?
  [ "$http" = 200 ]
}

json_field() { tr -d '\r\n' <"$work/body" | sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p' | sed 's:\\/:/:g'; }

read_role_keys() {
  metadata PUT api/token 'X-aws-ec2-metadata-token-ttl-seconds: 300' ||
    fail "no S3 keys are set, and this machine has no role: its metadata service answers $http to a token request"
  token=$(head -c 4096 "$work/body" | tr -d '\r\n')
  metadata GET meta-data/iam/security-credentials/ "X-aws-ec2-metadata-token: $token" ||
    fail "no S3 keys are set, and this machine has no role: its metadata service answers $http"
  role=$(head -n 1 "$work/body" | tr -cd 'A-Za-z0-9+=,.@_-')
  metadata GET "meta-data/iam/security-credentials/$role" "X-aws-ec2-metadata-token: $token" ||
    fail "the metadata service answers $http for the keys of role $role"
  access_key_id=$(json_field AccessKeyId)
  secret_access_key=$(json_field SecretAccessKey)
  session_token=$(json_field Token)
  expires=$(json_field Expiration)
  rm -f "$work/body"
  if [ -z "$access_key_id" ] || [ -z "$secret_access_key" ]; then
    fail "the metadata service gives no keys for role $role"
  fi
  if [ -n "$expires" ] && [ "$(printf '%s' "$expires" | tr -cd '0-9' | cut -c 1-14)" -le "$(date -u +%Y%m%d%H%M%S)" ]; then
    fail "the metadata service gives expired keys for role $role: they ended at $expires"
  fi
}

# A role's next keys are there five minutes before the old ones end: keys younger than that are good for a request.
read_keys() {
  [ $(($(date +%s) - keys_read_at)) -ge 240 ] || return 0
  was=$step step='credentials'
  if [ -z "$s3_keys" ]; then
    read_role_keys
  else
    [ -r "$s3_keys" ] || fail "cannot read the S3 keys in $s3_keys"
    # shellcheck disable=SC1090
    . "$s3_keys"
    if [ -z "$access_key_id" ] || [ -z "$secret_access_key" ]; then fail "there are no S3 keys in $s3_keys"; fi
  fi
  keys_read_at=$(date +%s) step=$was
}

# ---- etcd --------------------------------------------------------------------------------------------------------

# etcdctl with everything that is needed to reach this member. Its password goes to stdin.
ask_etcd() { # seconds, words …
  seconds=$1
  shift
  [ -z "$key" ] || set -- --key "$key" "$@"
  [ -z "$cert" ] || set -- --cert "$cert" "$@"
  [ -z "$cacert" ] || set -- --cacert "$cacert" "$@"
  if [ -n "$username" ]; then
    password=$(cat "$password_file") || fail "cannot read etcd's password in $password_file"
    printf '%s\n' "$password" |
      timeout -k 5 "$seconds" "$etcdctl" --endpoints "$endpoint" --user "$username" "$@" >"$work/said" 2>"$work/complaint"
  else
    timeout -k 5 "$seconds" "$etcdctl" --endpoints "$endpoint" "$@" >"$work/said" 2>"$work/complaint" </dev/null
  fi
}

etcd_problem() { # exit code
  if grep -qi 'no space left' "$work/complaint"; then
    printf 'no space left in %s' "$directory"
  elif [ "$1" -eq 124 ] || [ "$1" -eq 137 ]; then
    printf 'etcdctl did not end in time'
  elif [ "$1" -eq 143 ]; then
    printf 'stopped by a signal'
  else
    said=$(last_line "$work/complaint")
    printf 'etcdctl ended with %s: %s' "$1" "$\{said:-it said nothing}"
  fi
}

inspect_member() {
  step='inspect'
  ask_etcd 25 --dial-timeout 10s --command-timeout 15s endpoint status -w json ||
    fail "cannot ask etcd at $endpoint: $(etcd_problem $?)"
  revision=$(sed -n 's/.*"revision":\([0-9]*\).*/\1/p' "$work/said" | head -n 1)
  [ -n "$revision" ] || fail "etcdctl gave no status of $endpoint"
  if grep -q '"isLearner":true' "$work/said"; then
    step='learner'
    echo "this member is a learner: another member saves"
    end 0
  fi
}

# ---- the snapshot ------------------------------------------------------------------------------------------------

# The names of our own files among those on stdin, newest last: exactly '<before><digits><after>'.
own_names() { # before, after, as basic regular expressions
  sed -n "s/^\($1\([0-9]\{9,12\}\)$2\)\$/\2 \1/p" | sort -n | sed 's/^[0-9]* //'
}

as_pattern() { printf '%s' "$1" | sed 's/[.[\*^$]/\\&/g'; }

# All but the last $1 lines of stdin.
all_but_last() {
  lines=$(cat)
  total=$(printf '%s' "$lines" | grep -c '')
  [ "$total" -le "$1" ] || printf '%s\n' "$lines" | head -n $((total - $1))
}

save() {
  step='save'
  mkdir -p "$directory" || fail "cannot make $directory"
  # What a killed run left. Nobody else writes such names, and we hold the lock.
  find "$directory" -maxdepth 1 -type f -name ".$snapshot_name-$server-*.db.part*" -exec rm -f {} +
  file_name="$snapshot_name-$server-$(date +%s).db"
  part="$directory/.$file_name.part"
  ask_etcd "$save_timeout" snapshot save "$part" || fail "$(etcd_problem $?)"
}

verify() {
  step='verify'
  size=$(($(wc -c <"$part")))
  if [ "$size" -lt 512 ] || [ $((size % 512)) -ne 32 ]; then
    fail "the saved file is not whole: $size bytes, without a SHA-256 trailer"
  fi
  wanted=$(tail -c 32 "$part" | od -An -v -tx1 | tr -d ' \n')
  found=$(head -c $((size - 32)) "$part" | timeout -k 5 "$save_timeout" sha256sum)
  [ "$\{found%% *}" = "$wanted" ] || fail 'the saved file is corrupt: its SHA-256 trailer does not fit'
  digest=$(timeout -k 5 "$save_timeout" sha256sum <"$part")
  digest=$\{digest%% *}
  timeout -k 5 120 sync "$part" 2>/dev/null || timeout -k 5 120 sync
  mv "$part" "$directory/$file_name" || fail "cannot rename $part into place"
  part=''
  saved_at=$(utc)
  echo "saved $directory/$file_name, $size bytes"
}

prune_local() {
  step='prune'
  own=$(as_pattern "$snapshot_name-$server-")
  for old in $(find "$directory" -maxdepth 1 -type f | sed 's:.*/::' | own_names "$own" '\.db' | all_but_last "$retention"); do
    rm -f "$directory/$old" || fail "cannot remove $directory/$old"
    echo "pruned $directory/$old"
  done
}

# ---- S3 ----------------------------------------------------------------------------------------------------------

# shellcheck disable=SC2059 # octal escapes only
upload() {
  step='upload'
  command -v curl >/dev/null || fail 'curl is not installed on this server; the snapshot is kept here'
  [ "$size" -le 5368709120 ] || fail "the snapshot has $size bytes; S3 takes at most 5 GiB in one upload; it is kept here"
  spell_octets "$digest" 0
  checksum=$(printf "$octets" | base64)
  object="$\{s3_folder:+$s3_folder/}$file_name"
  s3 PUT "$object" '' "$digest" "$directory/$file_name" "x-amz-checksum-sha256:$checksum" "$s3_timeout"
  [ "$http" = 200 ] || fail "$(s3_answer); the snapshot is kept here"
}

confirm() {
  step='confirm'
  s3 HEAD "$object" '' "$empty_hash" '' 'x-amz-checksum-mode:ENABLED' 60
  [ "$http" != 404 ] || fail 'S3 took the snapshot but does not have it; it is kept here'
  [ "$http" = 200 ] || fail "$(s3_answer) when asked for the uploaded snapshot; it is kept here"
  stored=$(header content-length)
  [ "$stored" = "$size" ] || fail "S3 has $\{stored:-an unknown number of} bytes of the snapshot's $size; it is kept here"
  stored=$(header x-amz-checksum-sha256)
  [ -z "$stored" ] || [ "$stored" = "$checksum" ] || fail "what S3 has is not the snapshot: its SHA-256 is another; it is kept here"
  s3_ok='true'
  echo "uploaded s3://$s3_bucket/$object"
}

# The value of a header of the last answer (a proxy's own answer comes before it).
header() { tr -d '\r' <"$work/head" | grep -i "^$1:" | tail -n 1 | sed 's/^[^:]*: *//; s/ *$//'; }

# Only objects directly in our folder whose names are exactly those this script gives, of any server.
prune_s3() {
  step='prune-s3'
  : >"$work/names"
  encode "$\{s3_folder:+$s3_folder/}$snapshot_name-" ''
  list_query="list-type=2&max-keys=1000&prefix=$encoded"
  next='' page=0
  while :; do
    # Parameters are signed in the order of their names.
    s3 GET '' "$\{next:+continuation-token=$next&}delimiter=%2F&$list_query" "$empty_hash" '' '' 60
    [ "$http" = 200 ] || fail "the snapshot is uploaded, but S3 cannot be listed: $(s3_answer)"
    tr '\n<' ' \n' <"$work/body" >"$work/tags"
    grep -q '^ListBucketResult' "$work/tags" || fail "the snapshot is uploaded, but S3's list is not a list"
    sed -n 's/^Key>//p' "$work/tags" | sed 's/&lt;/</g; s/&gt;/>/g; s/&quot;/"/g; s/&#34;/"/g; s/&apos;/'"'"'/g; s/&#39;/'"'"'/g; s/&amp;/\&/g' >"$work/keys"
    while IFS= read -r found; do
      case $found in
        "$\{s3_folder:+$s3_folder/}"*) printf '%s\n' "$\{found#"$\{s3_folder:+$s3_folder/}"}" >>"$work/names" ;;
      esac
    done <"$work/keys"
    grep -q '^IsTruncated>true' "$work/tags" || break
    next=$(sed -n 's/^NextContinuationToken>//p' "$work/tags" | head -n 1 | sed 's/&amp;/\&/g')
    page=$((page + 1))
    if [ -z "$next" ] || [ "$page" -ge 1000 ]; then fail "the snapshot is uploaded, but S3's list does not end"; fi
    encode "$next" ''
    next=$encoded
  done
  grep -qxF "$file_name" "$work/names" || fail "the snapshot is uploaded, but S3's list does not name it"
  for old in $(own_names "$(as_pattern "$snapshot_name-")[A-Za-z0-9._-]*-" '\.db' <"$work/names" | all_but_last "$s3_retention"); do
    s3 DELETE "$\{s3_folder:+$s3_folder/}$old" '' "$empty_hash" '' '' 60
    case $http in
      200 | 204 | 404) echo "pruned s3://$s3_bucket/$\{s3_folder:+$s3_folder/}$old" ;;
      *) fail "the snapshot is uploaded, but $old cannot be deleted from S3: $(s3_answer)" ;;
    esac
  done
}

# ---- a run -------------------------------------------------------------------------------------------------------

main() {
  settings=$\{1:-}
  [ -r "$settings" ] || { echo "usage: sh save.sh <settings file>" >&2; exit 64; }
  # shellcheck disable=SC1090
  . "$settings"
  for name in flock timeout sha256sum od base64 find; do
    command -v "$name" >/dev/null || { echo "$name is not installed on this server" >&2; exit 1; }
  done
  mkdir -p "$state" && exec 9>"$state/save.lock" || exit 1
  flock -n 9 || { echo 'another run is in progress' >&2; exit 75; }
  started_at=$(utc)
  last_success_at=$(sed -n 's/.*"lastSuccessAt": *"\([^"]*\)".*/\1/p' "$state/status.json" 2>/dev/null)
  trap 'fail "ended unexpectedly"' EXIT
  trap 'fail "stopped by a signal"' HUP INT TERM
  find "$state" -maxdepth 1 -type d -name '.work.*' -exec rm -rf {} +
  work=$(mktemp -d "$state/.work.XXXXXX") || fail "cannot write to $state"
  empty_hash=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
  inspect_member
  save
  verify
  prune_local
  if [ -n "$s3_bucket" ]; then
    upload
    confirm
  fi
  last_success_at=$saved_at
  [ -z "$s3_bucket" ] || prune_s3
  step='done'
  end 0
}

main "$@"
`.replaceAll("$\\{", "${"); // a template cannot hold the shell's own dollar-brace in plain sight
