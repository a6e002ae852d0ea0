import { createHash } from "node:crypto";

/** A file with the shape of a snapshot: pages, and the SHA-256 of them at the end. What the pages say is not etcd's. */
export function snapshotBytes(pages: number, seed = "pages"): Buffer {
  const page = createHash("sha512").update(seed).digest();
  const body = Buffer.alloc(pages * 512, page);
  return Buffer.concat([body, createHash("sha256").update(body).digest()]);
}
