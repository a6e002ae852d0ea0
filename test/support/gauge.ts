/** Counts what goes on at the same time. */
export class Gauge {
  private now = 0;
  /** The highest number so far, since the last `reset`. */
  most = 0;

  enter(): void {
    this.now += 1;
    this.most = Math.max(this.most, this.now);
  }

  leave(): void {
    this.now -= 1;
  }

  reset(): void {
    this.most = this.now;
  }
}
