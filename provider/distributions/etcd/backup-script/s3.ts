import { shellText } from "./shell-text";

/** Upload, proof and pruning in S3. */
export const s3: string = shellText`# ---- S3 ----------------------------------------------------------------------------------------------------------

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

`;
