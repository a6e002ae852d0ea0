/** Something that can be read in pieces: a file on a server, an object in a store, or bytes that are there. */
export interface ByteSource {
  /** What errors call it. */
  readonly title: string;
  /** The server that it lies on. */
  readonly host?: string | undefined;
  readonly sizeBytes: number;
  /** Gives fewer bytes than asked for only where it ends. */
  readonly read: (offset: number, length: number) => Promise<Uint8Array>;
}

export function sourceOf(title: string, bytes: Uint8Array): ByteSource {
  return {
    title,
    sizeBytes: bytes.length,
    read: (offset, length) => Promise.resolve(bytes.subarray(offset, offset + length)),
  };
}
