/** Buckets passed before their memory is given back; then at least as many as are left. */
const PASSED_MIN = 1024;

/** Buckets to be read, each with the d of a key of it; first in first out. */
export class LoadQueue {
  #buckets: number[] = [];
  #ds: number[] = [];
  #head = 0;

  get length(): number {
    return this.#buckets.length - this.#head;
  }

  /** Of the first one, as {@link d}; only while {@link length} is above 0. */
  get bucket(): number {
    return this.#buckets[this.#head]!;
  }

  get d(): number {
    return this.#ds[this.#head]!;
  }

  push(bucket: number, d: number): void {
    this.#buckets.push(bucket);
    this.#ds.push(d);
  }

  /** The first one goes. */
  shift(): void {
    this.#head++;
    if (this.length > 0 && (this.#head < PASSED_MIN || this.#head < this.length)) return;
    this.#buckets = this.#buckets.slice(this.#head);
    this.#ds = this.#ds.slice(this.#head);
    this.#head = 0;
  }
}
