import { createHash } from "node:crypto";

/** A file with the shape of a snapshot: pages, and the SHA-256 of them at the end. What the pages say is not etcd's; `text` stands among it. */
export function snapshotBytes(pages: number, seed = "pages", text = ""): Buffer {
  const page = createHash("sha512").update(seed).digest();
  const body = Buffer.alloc(pages * 512, page);
  body.write(text, 100);
  return Buffer.concat([body, createHash("sha256").update(body).digest()]);
}
