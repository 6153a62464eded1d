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

/** Reads for those who wait between two for changes and walks. */
const URGENT_IN_A_ROW = 3;

/**
 * What is read next: buckets that somebody waits for first. Half of the reads may be for changes that
 * wait and for walks, and every fourth is even when others wait: no checkpoint ends before those
 * changes have their pages.
 */
export class Loads {
  readonly #max: number;
  readonly #wanted: (bucket: number, d: number) => boolean;
  readonly #urgent = new LoadQueue();
  readonly #background = new LoadQueue();
  #reads = 0;
  #backgroundReads = 0;
  #urgentInARow = 0;

  /**
   * @param max reads at once.
   * @param wanted is it still waited for, and not being read?
   */
  constructor(max: number, wanted: (bucket: number, d: number) => boolean) {
    this.#max = max;
    this.#wanted = wanted;
  }

  /** On their way. */
  get reads(): number {
    return this.#reads;
  }

  push(bucket: number, d: number, background: boolean): void {
    (background ? this.#background : this.#urgent).push(bucket, d);
  }

  /** The queue whose first bucket is next; undefined: there is none, or enough are on their way. */
  next(): LoadQueue | undefined {
    if (this.#reads >= this.#max) return undefined;
    this.#skip(this.#urgent);
    this.#skip(this.#background);
    const othersWait = this.#urgent.length > 0;
    const isTurn = !othersWait || this.#urgentInARow >= URGENT_IN_A_ROW;
    const may = this.#background.length > 0 && this.#backgroundReads < this.#max / 2;
    if (may && isTurn) return this.#background;
    return othersWait ? this.#urgent : undefined;
  }

  /** The first of the queue is being read, until the returned function is called. */
  begin(queue: LoadQueue): () => void {
    queue.shift();
    const background = Number(queue === this.#background);
    this.#urgentInARow = background === 0 ? this.#urgentInARow + 1 : 0;
    this.#reads++;
    this.#backgroundReads += background;
    return () => {
      this.#reads--;
      this.#backgroundReads -= background;
    };
  }

  #skip(queue: LoadQueue): void {
    while (queue.length > 0 && !this.#wanted(queue.bucket, queue.d)) queue.shift();
  }
}
