import { BackupError } from "../errors";
import type { Host } from "../transport/host";
import { type Command, script, sh } from "../transport/shell";
import { curlConfig, curlFailure, curlPrelude } from "./curl";
import type { S3Bucket } from "./s3-bucket";

/** Where one PUT ends and parts begin. */
export interface UploadLimits {
  /** @default 1 GiB */
  readonly singlePutBytes?: number;
  /** A multiple of 1 MiB. @default 64 MiB, more where S3's 10 000 parts would not do */
  readonly partBytes?: number;
}

export interface Upload {
  readonly path: string;
  readonly key: string;
  readonly sizeBytes: number;
  /** Of the whole file, in hex. */
  readonly sha256: string;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly deadlineMs: number;
}

/** Sends a file of the server to S3, from there. What S3 then has is for the caller to ask. */
export async function upload(bucket: S3Bucket, host: Host, file: Upload, limits: UploadLimits = {}): Promise<void> {
  if (file.sizeBytes <= (limits.singlePutBytes ?? 1024 * MIB)) await putWhole(bucket, host, file);
  else await putInParts(bucket, host, file, limits.partBytes ?? defaultPartBytes(file.sizeBytes));
}

const MIB = 1024 * 1024;
/** As many as one script sends: each batch is one round trip. */
const BATCH = 16;

function defaultPartBytes(sizeBytes: number): number {
  return Math.max(64 * MIB, Math.ceil(sizeBytes / 10_000 / MIB) * MIB);
}

async function putWhole(bucket: S3Bucket, host: Host, file: Upload): Promise<void> {
  const checksum = Buffer.from(file.sha256, "hex").toString("base64");
  const { seconds } = timeLeft(file);
  const url = await bucket.presign(
    (sdk) =>
      new sdk.PutObjectCommand({
        Bucket: bucket.settings.bucket,
        Key: file.key,
        Metadata: metadataOf(file),
        ChecksumSHA256: checksum,
      }),
    seconds + 60,
  );
  // S3 compares the body with the checksum itself, and a bucket with Object Lock wants one.
  const headers: Record<string, string> = { "content-type": contentType(file), "x-amz-checksum-sha256": checksum };
  for (const [name, value] of Object.entries(metadataOf(file))) headers[`x-amz-meta-${name}`] = value;
  const config = curlConfig(bucket.settings, url, headers);
  await runUpload(bucket, host, file, sh`send ${config} --upload-file ${file.path} || report`);
}

/** Names in lower case, as S3 gives them back. */
function metadataOf({ sha256, metadata }: Upload): Record<string, string> {
  const others = Object.entries(metadata ?? {}).map(([name, value]) => [name.toLowerCase(), value] as const);
  return { ...Object.fromEntries(others), sha256 };
}

function contentType({ key }: Upload): string {
  return key.endsWith(".zip") ? "application/zip" : "application/octet-stream";
}

async function putInParts(bucket: S3Bucket, host: Host, file: Upload, partBytes: number): Promise<void> {
  const at = { Bucket: bucket.settings.bucket, Key: file.key };
  const about = { action: "s3:PutObject", key: file.key };
  const { UploadId } = await bucket.ask({
    ...about,
    send: (sdk, client) =>
      client.send(
        new sdk.CreateMultipartUploadCommand({ ...at, Metadata: metadataOf(file), ContentType: contentType(file) }),
      ),
  });
  if (UploadId === undefined) throw bucket.errorFor(about.action, file.key, { network: "no upload id in the answer" });
  try {
    const count = Math.ceil(file.sizeBytes / partBytes);
    const Parts: { PartNumber: number; ETag: string }[] = [];
    for (let first = 1; first <= count; first += BATCH) {
      const numbers = Array.from({ length: Math.min(BATCH, count - first + 1) }, (_, index) => first + index);
      Parts.push(...(await putParts(bucket, host, file, UploadId, numbers, partBytes)));
    }
    await bucket.ask({
      ...about,
      send: (sdk, client) =>
        client.send(new sdk.CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts } })),
    });
  } catch (error) {
    await abort(bucket, file.key, UploadId, error);
    throw error;
  }
}

async function putParts(
  bucket: S3Bucket,
  host: Host,
  file: Upload,
  UploadId: string,
  numbers: readonly number[],
  partBytes: number,
): Promise<{ PartNumber: number; ETag: string }[]> {
  const { seconds } = timeLeft(file);
  const lines: Command[] = [];
  for (const PartNumber of numbers) {
    const at = { Bucket: bucket.settings.bucket, Key: file.key, UploadId, PartNumber };
    const url = await bucket.presign((sdk) => new sdk.UploadPartCommand(at), seconds + 60);
    const length = Math.min(partBytes, file.sizeBytes - (PartNumber - 1) * partBytes);
    lines.push(sh`part ${PartNumber} ${length} ${curlConfig(bucket.settings, url, {})}`);
  }
  const body = script(partFunction(file.path, partBytes), ...lines);
  const stdout = await runUpload(bucket, host, file, body);
  return numbers.map((PartNumber) => {
    const ETag = new RegExp(`^part ${PartNumber} (\\S+)$`, "m").exec(stdout)?.[1];
    if (ETag !== undefined) return { PartNumber, ETag };
    throw bucket.errorFor("s3:PutObject", file.key, { network: `no ETag for part ${PartNumber}` }, host.name);
  });
}

/** `part NUMBER LENGTH CONFIG`. A part is a file of its own for a moment: curl can then send it again. */
function partFunction(path: string, partBytes: number): Command {
  return sh`part() {
  dd if=${path} of="$w/part" bs=1048576 skip=$((($1 - 1) * ${partBytes / MIB})) count=${partBytes / MIB} 2>"$w/stderr" || { cat "$w/stderr" >&2; exit 1; }
  [ "$(wc -c <"$w/part")" -eq "$2" ] || { echo changed; exit 0; }
  send "$3" -D "$w/headers" --upload-file "$w/part" || report
  printf 'part %s %s\n' "$1" "$(tr -d '\r' <"$w/headers" | sed -n 's/^[Ee][Tt][Aa][Gg]: *//p' | tail -n 1)"
}`;
}

async function runUpload(bucket: S3Bucket, host: Host, file: Upload, body: Command): Promise<string> {
  const { seconds } = timeLeft(file);
  const command = script(
    sh`( : upload ${file.path}`,
    curlPrelude(bucket.settings, seconds),
    body,
    sh`echo sent
)`,
  );
  const { stdout } = await host.run(command, { timeoutMs: (seconds + 60) * 1000 });
  if (stdout.trimEnd().endsWith("sent")) return stdout;
  if (stdout.trim() === "no-curl") throw curlMissing(host.name);
  if (stdout.trimEnd().endsWith("changed")) {
    throw new BackupError("SNAPSHOT_FAILED", `${file.path} changed while it was uploaded`, { host: host.name });
  }
  const failure = curlFailure(stdout) ?? { network: "no answer from curl" };
  throw bucket.errorFor("s3:PutObject", file.key, failure, host.name);
}

async function abort(bucket: S3Bucket, key: string, UploadId: string, because: unknown): Promise<void> {
  try {
    await bucket.ask({
      action: "s3:AbortMultipartUpload",
      key,
      send: (sdk, client) =>
        client.send(new sdk.AbortMultipartUploadCommand({ Bucket: bucket.settings.bucket, Key: key, UploadId })),
    });
  } catch (error) {
    if (!(because instanceof BackupError) || !(error instanceof BackupError)) throw error;
    throw new BackupError(because.code, `${because.message}\nIts parts could not be removed either`, {
      hint: error.message,
      cause: because,
    });
  }
}

/** The refusal of a server without curl, with the remedy. */
export function curlMissing(host: string): BackupError {
  return new BackupError(
    "TOOL_MISSING",
    "curl is not installed, and this server sends to S3 and fetches from it with curl",
    {
      host,
      hint: "Install it there: apt-get install curl, dnf install curl, or zypper install curl.",
    },
  );
}

function timeLeft({ deadlineMs }: Upload): { seconds: number } {
  return { seconds: Math.max(1, Math.ceil((deadlineMs - Date.now()) / 1000)) };
}
