/** Output that counts only from a marker line on: what stands before comes from sudo or a login shell's start-up files. */
export class MarkedOutput {
  private readonly marker: Buffer;
  private before = Buffer.alloc(0);
  isReady = false;

  constructor(marker: string) {
    this.marker = Buffer.from(`${marker}\n`);
  }

  /** Takes what came and returns the part that counts. */
  add(chunk: Buffer): Buffer {
    if (this.isReady) return chunk;
    this.before = Buffer.concat([this.before, chunk]);
    const at = this.before.indexOf(this.marker);
    if (at === -1) {
      this.before = this.before.subarray(-PREAMBLE_KEPT);
      return Buffer.alloc(0);
    }
    this.isReady = true;
    const counts = this.before.subarray(at + this.marker.length);
    this.before = this.before.subarray(0, at);
    return counts;
  }

  /** What stood before the marker, or all there is while it has not come. */
  get preamble(): string {
    return this.before.toString("utf8");
  }
}

const PREAMBLE_KEPT = 64 * 1024;
