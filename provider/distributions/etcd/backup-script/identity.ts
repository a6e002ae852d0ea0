import { shellText } from "./shell-text";

/** Whose keys sign: a file's, or those of the machine's role. */
export const identity: string = shellText`# ---- who we are in S3 --------------------------------------------------------------------------------------------

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

`;
