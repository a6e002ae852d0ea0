import { shellText } from "./shell-text";

/** AWS Signature Version 4, by sha256sum and the shell's own printf. */
export const signing: string = shellText`# ---- signing requests (AWS Signature Version 4) ------------------------------------------------------------------

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

`;
