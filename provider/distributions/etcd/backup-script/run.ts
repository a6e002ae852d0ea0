import { shellText } from "./shell-text";

/** The order of one run. */
export const run: string = shellText`# ---- a run -------------------------------------------------------------------------------------------------------

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
`;
