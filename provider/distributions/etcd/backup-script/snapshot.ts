import { shellText } from "./shell-text";

/** Saving, checking and pruning on the server itself. */
export const snapshot: string = shellText`# ---- etcd --------------------------------------------------------------------------------------------------------

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

`;
