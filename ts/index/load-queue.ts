/** Buckets to be read, each with the d of a key of it; first in first out. */
export class LoadQueue {
  #items: number[] = [];
  #head = 0;

  /** Two for each bucket. */
  get length(): number {
    return this.#items.length - this.#head;
  }

  push(bucket: number, d: number): void {
    this.#items.push(bucket, d);
  }

  /** Bucket and d in turn; only while {@link length} is above 0. */
  shift(): number {
    const item = this.#items[this.#head++]!;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    }
    return item;
  }
}
