import { DEPTH_MAX } from './index-page.js';

/** {@link BucketTable.slot} of a bucket that is not in memory. */
export const NOT_LOADED = -1;

/**
 * The directory of SSD_EXTENDIBLE_HASH and what is known of each bucket without its page: 19 B per
 * bucket and 4 to 8 B of directory, which is 0.2 B per key.
 */
export class BucketTable {
  /** Buckets so far; they are numbered from 0 and never go. */
  count = 0;
  /** Page of the index file that holds its newest image; 0: none yet. */
  page = new Uint32Array(16);
  /** Write number of that image. */
  writeNumber = new Float64Array(16);
  /** Entries in that image. */
  entries = new Uint16Array(16);
  depth = new Uint8Array(16);
  /** Slot of the cache. */
  slot = new Int32Array(16).fill(NOT_LOADED);
  /** Those that were split since that image, or have none. */
  readonly split = new Set<number>();

  #directory = new Uint32Array(2);
  /** Of d, down to the index in the directory. At least one bit, because >>> 32 is >>> 0. */
  #shift = 31;

  get memoryBytes(): number {
    return this.#directory.byteLength + this.page.length * 19;
  }

  bucketOf(d: number): number {
    return this.#directory[d >>> this.#shift]!;
  }

  /** The bits of d that all keys of its bucket have, as a signed integer. */
  prefixOf(d: number): number {
    return d & maskOf(this.depth[this.bucketOf(d)]!);
  }

  clear(): void {
    this.count = 0;
    this.slot.fill(NOT_LOADED);
    this.split.clear();
  }

  add(depth: number): number {
    if (this.count === this.page.length) this.#grow();
    const bucket = this.count++;
    this.depth[bucket] = depth;
    return bucket;
  }

  /** @returns the new bucket, with the keys that have the next bit set. */
  splitAt(d: number): number {
    const bucket = this.bucketOf(d);
    const depth = this.depth[bucket]!;
    if (depth === 32 - this.#shift) this.#double();
    const other = this.add(depth + 1);
    this.depth[bucket] = depth + 1;
    const begin = ((d & maskOf(depth)) | (1 << (31 - depth))) >>> this.#shift;
    this.#directory.fill(other, begin, begin + 2 ** (32 - this.#shift - depth - 1));
    this.split.add(bucket);
    this.split.add(other);
    return other;
  }

  /**
   * Takes buckets in the order of their prefixes, depths already set.
   *
   * @returns false when they do not cover every d exactly once.
   */
  adopt(): boolean {
    const depth = Math.max(1, ...this.#depths());
    if (depth > DEPTH_MAX) return false;
    this.#shift = 32 - depth;
    this.#directory = new Uint32Array(2 ** depth);
    let begin = 0;
    for (let bucket = 0; bucket < this.count; bucket++) {
      const size = 2 ** (depth - this.depth[bucket]!);
      if (begin % size !== 0 || begin + size > this.#directory.length) return false;
      this.#directory.fill(bucket, begin, begin + size);
      begin += size;
    }
    return begin === this.#directory.length;
  }

  /** Calls `each` with every bucket, in the order of their prefixes. */
  forEach(each: (bucket: number) => void): void {
    const depth = 32 - this.#shift;
    for (let at = 0; at < this.#directory.length;) {
      const bucket = this.#directory[at]!;
      each(bucket);
      at += 2 ** (depth - this.depth[bucket]!);
    }
  }

  #depths(): Set<number> {
    return new Set(this.depth.subarray(0, this.count));
  }

  #double(): void {
    const old = this.#directory;
    const directory = new Uint32Array(old.length * 2);
    for (let at = 0; at < old.length; at++) {
      directory[2 * at] = old[at]!;
      directory[2 * at + 1] = old[at]!;
    }
    this.#directory = directory;
    this.#shift--;
  }

  #grow(): void {
    // By a half: what is unused is as little as doubling would leave on average at its worst.
    const length = Math.ceil(this.page.length * 1.5);
    this.page = grown(this.page, new Uint32Array(length));
    this.writeNumber = grown(this.writeNumber, new Float64Array(length));
    this.entries = grown(this.entries, new Uint16Array(length));
    this.depth = grown(this.depth, new Uint8Array(length));
    this.slot = grown(this.slot, new Int32Array(length).fill(NOT_LOADED));
  }
}

export function maskOf(depth: number): number {
  return depth === 0 ? 0 : -1 << (32 - depth);
}

function grown<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}
