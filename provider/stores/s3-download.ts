import { dirname } from "node:path";
import { BackupError } from "../errors";
import type { Host } from "../transport/host";
import { digestFunction } from "../snapshot-file/verify-script";
import { type Command, script, sh } from "../transport/shell";
import { curlConfig, curlFailure, curlPrelude } from "./curl";
import type { S3Bucket } from "./s3-bucket";
import { curlMissing } from "./s3-upload";

export interface Download {
  readonly key: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly etag: string | undefined;
  /** Of the whole object, in hex, where the object says so. */
  readonly sha256: string | undefined;
  readonly timeoutMs: number;
}

/** Fetches an object to a file of the server, from there: whole and 0600, or not at all. A transfer that breaks goes on where it broke. */
export async function download(bucket: S3Bucket, host: Host, object: Download): Promise<void> {
  const seconds = Math.ceil(object.timeoutMs / 1000);
  const match = object.etag === undefined ? {} : { IfMatch: object.etag };
  const url = await bucket.presign(
    (sdk) => new sdk.GetObjectCommand({ Bucket: bucket.settings.bucket, Key: object.key, ...match }),
    seconds + 60,
  );
  const config = curlConfig(bucket.settings, url, object.etag === undefined ? {} : { "If-Match": object.etag });
  const prelude = curlPrelude(bucket.settings, seconds);
  const command = script(sh`( : fetch to ${object.path}`, prelude, fetchScript(object, config), sh`)`);
  const { stdout } = await host.run(command, { timeoutMs: (seconds + 60) * 1000 });
  const outcome = stdout.trim();
  if (outcome === "fetched") return;
  if (outcome === "no-curl") throw curlMissing(host.name);
  const failure = curlFailure(stdout);
  const location = `s3://${bucket.settings.bucket}/${object.key}`;
  if (outcome === "differs") {
    throw new BackupError("SNAPSHOT_CORRUPT", `${location} is not what was uploaded: its SHA-256 differs`, {
      host: host.name,
      hint: "Name another snapshot.",
    });
  }
  if (failure?.status === 412) {
    throw new BackupError("SNAPSHOT_CORRUPT", `${location} was replaced while it was fetched`, {
      host: host.name,
      hint: "Run again.",
    });
  }
  if (failure?.exit === 23) {
    throw new BackupError(
      "NO_SPACE",
      `${dirname(object.path)} cannot take the ${object.sizeBytes} bytes of ${location}`,
      {
        host: host.name,
        hint: "Look there with `df`, and make room.",
      },
    );
  }
  throw bucket.errorFor("s3:GetObject", object.key, failure ?? { network: "no answer from curl" }, host.name);
}

function fetchScript({ path, sizeBytes, sha256 }: Download, config: Command): Command {
  return sh`
d=${dirname(path)}
mkdir -p "$d" && t=$(mktemp "$d/.fetch.XXXXXX") || exit 1
config=${config}
fruitless=0
while have=$(wc -c <"$t") && [ "$have" -ne ${sizeBytes} ]; do
  if [ "$have" -gt ${sizeBytes} ]; then : >"$t"; have=0; fi
  request "$config" -f -C - -o "$t" && [ "$(wc -c <"$t")" -eq ${sizeBytes} ] && break
  # A store that does not continue a transfer begins it again.
  [ "$rc" -ne 33 ] || : >"$t"
  if [ "$(wc -c <"$t")" -gt "$have" ]; then fruitless=0; else fruitless=$((fruitless + 1)); fi
  if [ "$rc" -eq 0 ]; then rc=18; fi
  case $rc in 22|33) ;; *) may_pass || report ;; esac
  case $http in 408|429|5??) ;; 3??|4??)
    # The answer to the same question, to see what S3 says about it.
    failed=$rc status=$http
    request "$config" -r 0-2047 -o "$w/answer"
    rc=$failed http=$status
    report ;;
  esac
  { [ "$fruitless" -lt 5 ] && [ $((end - $(date +%s))) -gt $((1 << fruitless)) ]; } || report
  sleep $((1 << fruitless))
done
${
  sha256 === undefined
    ? sh`:`
    : sh`${digestFunction}
[ "$(digest <"$t")" = ${sha256} ] || { echo differs; exit 0; }`
}
{ sync "$t" 2>/dev/null || sync; } && mv -f "$t" ${path} && echo fetched`;
}
