import type { S3Bucket } from "./s3-bucket";

/** What S3 says of an object. */
export interface ObjectHead {
  readonly sizeBytes: number;
  readonly modifiedAt: Date | undefined;
  readonly etag: string | undefined;
  /** Of the whole object, in hex, where an upload of ours wrote it. */
  readonly sha256: string | undefined;
  /** What else its uploader wrote on it: names in lower case. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Rejects with SNAPSHOT_NOT_FOUND only when the bucket is there and the object is not. */
export async function headObject(bucket: S3Bucket, key: string): Promise<ObjectHead> {
  const { bucket: Bucket } = bucket.settings;
  const head = await bucket.ask({
    action: "s3:GetObject",
    key,
    send: async (sdk, client) => {
      try {
        return await client.send(new sdk.HeadObjectCommand({ Bucket, Key: key }));
      } catch (error) {
        if (!(error instanceof sdk.S3ServiceException)) throw error;
        // The answer to a HEAD has no body that says why. The same question as a GET has.
        await client.send(new sdk.GetObjectCommand({ Bucket, Key: key, Range: "bytes=0-0" }));
        throw error;
      }
    },
  });
  const { sha256, ...metadata } = head.Metadata ?? {};
  return { sizeBytes: head.ContentLength ?? 0, modifiedAt: head.LastModified, etag: head.ETag, sha256, metadata };
}

/** Bytes of an object; fewer only where it ends. At least one has to be there. */
export async function readObject(bucket: S3Bucket, key: string, offset: number, length: number): Promise<Uint8Array> {
  const { bucket: Bucket } = bucket.settings;
  return bucket.ask({
    action: "s3:GetObject",
    key,
    send: async (sdk, client) => {
      const Range = `bytes=${offset}-${offset + length - 1}`;
      const { Body } = await client.send(new sdk.GetObjectCommand({ Bucket, Key: key, Range }));
      return (await Body?.transformToByteArray()) ?? new Uint8Array();
    },
  });
}
