import { BackupError } from "../errors";
import type { S3Settings, SnapshotFile } from "../model";
import type { ByteSource } from "../snapshot-file/byte-source";
import { readVerifiedFile } from "../snapshot-file/verified-file";
import { readZip } from "../snapshot-file/zip";
import type { HostReader } from "../transport/host";
import { s3Bucket, unlessMissing } from "./s3-bucket";
import { download } from "./s3-download";
import { headObject, type ObjectHead, readObject } from "./s3-object";
import { type UploadLimits, upload } from "./s3-upload";
import { checkedName, isUnfinished, namesThere } from "./snapshot-name";
import type { SnapshotStore } from "./store";

export interface S3StoreOptions extends UploadLimits {
  /** Names asked for at a time. @default 1000 */
  readonly pageSize?: number;
  /** Deadline of one transfer. @default 300 000 */
  readonly timeoutMs?: number;
}

/**
 * The snapshots in a folder of a bucket. What is between a server and S3 flows directly, by presigned URLs; `server` is
 * the one whose role signs when the settings have neither keys nor a profile.
 */
export function s3Store(
  settings: S3Settings,
  folder: string,
  server: HostReader | undefined,
  options: S3StoreOptions = {},
): SnapshotStore {
  const bucket = s3Bucket(settings, server);
  const prefix = folder === "" ? "" : `${folder}/`;
  const timeoutMs = options.timeoutMs ?? 300_000;
  const keyOf = (name: string): string => prefix + checkedName(name);
  const entry = (name: string, sizeBytes: number, takenAt: Date | undefined): SnapshotFile => ({
    name,
    location: { kind: "s3", bucket: settings.bucket, key: keyOf(name) },
    sizeBytes,
    takenAt: (takenAt ?? new Date(0)).toISOString(),
  });
  const described = (name: string, { sizeBytes, modifiedAt, metadata }: ObjectHead): SnapshotFile => ({
    ...entry(name, sizeBytes, modifiedAt),
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
  });
  const zipAt = (name: string, sizeBytes: number): ByteSource => ({
    title: `s3://${settings.bucket}/${keyOf(name)}`,
    sizeBytes,
    read: (offset, length) => readObject(bucket, keyOf(name), offset, length),
  });

  const store: SnapshotStore = {
    title: `s3://${settings.bucket}/${prefix}`.replace(/\/$/, ""),
    locate: (name) => ({ kind: "s3", bucket: settings.bucket, key: keyOf(name) }),

    async stat(name) {
      const head = await unlessMissing(headObject(bucket, keyOf(name)));
      if (head === undefined) return undefined;
      if (name.endsWith(".zip")) await readZip(zipAt(name, head.sizeBytes), name);
      const fault = faultOf(name, head.sizeBytes);
      if (fault === undefined) return described(name, head);
      throw new BackupError(
        "SNAPSHOT_CORRUPT",
        `s3://${settings.bucket}/${keyOf(name)} is not a whole snapshot: ${fault}`,
        {
          hint: "Name another snapshot.",
        },
      );
    },

    async list() {
      const files: SnapshotFile[] = [];
      let token: string | undefined;
      do {
        const page = await bucket.ask({
          action: "s3:ListBucket",
          send: (sdk, client) =>
            client.send(
              new sdk.ListObjectsV2Command({
                Bucket: settings.bucket,
                Prefix: prefix,
                Delimiter: "/",
                MaxKeys: options.pageSize ?? 1000,
                ContinuationToken: token,
              }),
            ),
        });
        for (const { Key = "", Size = 0, LastModified } of page.Contents ?? []) {
          const name = Key.slice(prefix.length);
          // Consoles make "folders" out of objects that are named like them.
          if (name !== "" && !name.includes("/") && !isUnfinished(name)) files.push(entry(name, Size, LastModified));
        }
        token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      } while (token !== undefined);
      return files.sort((a, b) => b.takenAt.localeCompare(a.takenAt) || b.name.localeCompare(a.name));
    },

    async put(host, path, name, { metadata } = {}) {
      const key = keyOf(name);
      const { sizeBytes, sha256 } = await readVerifiedFile(host, path, name);
      const deadlineMs = Date.now() + timeoutMs;
      await upload(bucket, host, { path, key, sizeBytes, sha256, metadata, deadlineMs }, options);
      const head = await unlessMissing(headObject(bucket, key));
      if (head?.sizeBytes === sizeBytes && head.sha256 === sha256) return described(name, head);
      const there =
        head === undefined ? "is not there" : `has ${head.sizeBytes} bytes of ${sizeBytes}, or another checksum`;
      throw new BackupError("SNAPSHOT_FAILED", `s3://${settings.bucket}/${key} ${there}, although S3 took it`, {
        host: host.name,
        hint: `The snapshot itself is safe on the server: ${path}`,
      });
    },

    async fetch(host, name, path) {
      const key = keyOf(name);
      const { sizeBytes, etag, sha256 } = await namingOthers(name, headObject(bucket, key));
      const fault = faultOf(name, sizeBytes);
      if (fault !== undefined) {
        throw new BackupError("SNAPSHOT_CORRUPT", `s3://${settings.bucket}/${key} is not a whole snapshot: ${fault}`);
      }
      await download(bucket, host, { key, path, sizeBytes, etag, sha256, timeoutMs });
    },

    async delete(name) {
      const key = keyOf(name);
      await unlessMissing(
        bucket.ask({
          action: "s3:DeleteObject",
          key,
          send: (sdk, client) => client.send(new sdk.DeleteObjectCommand({ Bucket: settings.bucket, Key: key })),
        }),
      );
    },

    async readRange(name, offset, length) {
      const key = keyOf(name);
      const { sizeBytes } = await namingOthers(name, headObject(bucket, key));
      if (length <= 0 || offset >= sizeBytes) return new Uint8Array();
      return readObject(bucket, key, offset, Math.min(length, sizeBytes - offset));
    },
  };
  return store;

  async function namingOthers<T>(name: string, request: Promise<T>): Promise<T> {
    const found = await unlessMissing(request);
    if (found !== undefined) return found;
    const names = (await store.list()).map((file) => file.name);
    throw new BackupError("SNAPSHOT_NOT_FOUND", `no snapshot named ${name} in ${store.title}`, {
      hint: namesThere(names),
    });
  }
}

/** What the size alone says against a snapshot. */
function faultOf(name: string, sizeBytes: number): string | undefined {
  if (sizeBytes === 0) return "it is empty";
  if (name.endsWith(".zip") || sizeBytes % 512 === 32) return undefined;
  return "it has no SHA-256 trailer (it is cut off, or not a snapshot)";
}
