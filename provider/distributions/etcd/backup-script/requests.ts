import { shellText } from "./shell-text";

/** Requests to S3, sent by curl with its configuration on stdin. */
export const requests: string = shellText`# ---- requests ----------------------------------------------------------------------------------------------------

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

`;
