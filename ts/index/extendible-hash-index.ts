import { checkHandle, closedError } from './checks.js';
import {
  BUCKET_DEPTH_MAX,
  BUCKET_ENTRIES,
  BUCKETS_PER_REGION,
  DirectoryIndex,
  SHIFT,
  SIZE,
  type DirectoryIndexOptions,
} from './directory-index.js';
import { handleAt, isEmpty, isEntry, setHandle } from './hash-entry.js';
import type { KeyHash } from './key-hash.js';

/** Words of a bucket, which is a page: count, limit, depth, 0, then the entries. */
const BUCKET_WORDS = 1024;
const BUCKET_BITS = Math.log2(BUCKETS_PER_REGION);
const COUNT = 0;
const LIMIT = 1;
const FIRST_ENTRY = 4;
const ENTRIES_WORDS = BUCKET_ENTRIES * 4;

export interface ExtendibleHashIndexOptions extends DirectoryIndexOptions {
  /** Slots of the directory at first, each with a bucket of its own: rounded up to a power of two. */
  readonly initialCapacity?: number;
}

/**
 * DRAM_EXTENDIBLE_HASH: a directory of bucket numbers by the top bits of d, and buckets of a page in
 * flat memory (native/index/extendible_hash.h). Entries lie from their home on in any order, the
 * first behind the last; one is always empty, so that every scan ends.
 */
export class ExtendibleHashIndex extends DirectoryIndex {
  /** @throws CairnError CAIRN_INVALID_ARGUMENT, CAIRN_NO_SPACE, CAIRN_INCOMPATIBLE. */
  constructor(options: ExtendibleHashIndexOptions) {
    const depth = Math.ceil(Math.log2(options.initialCapacity ?? 1));
    super(options, Math.min(Math.max(depth, 1), BUCKET_DEPTH_MAX));
  }

  override get(hash: KeyHash): number {
    if (this.closed) throw closedError();
    const mask = this.identityMask;
    const d = hash[0]! & mask;
    const h = hash[1]! & mask;
    const x = hash[3]! & mask & 0xffff;
    const bucket = this.bucketOf(d);
    const view = this.viewOf(bucket);
    const begin = entriesOf(bucket);
    for (let at = begin + this.homeOf(h), end = begin + ENTRIES_WORDS; ;) {
      const entry = view[at]!;
      if (entry === h) {
        const high = view[at + 3]!;
        const low = view[at + 2]!;
        // An empty entry looks like (0, 0, 0) with handle 0, which is the right answer too.
        if (view[at + 1]! === d && (high & 0xffff) === x) {
          return (high >>> 16) * 0x100000000 + (low >>> 0);
        }
      }
      if (entry === 0 && isEmpty(view, at)) return 0;
      at += 4;
      if (at === end) at = begin;
    }
  }

  override put(hash: KeyHash, handle: number): number {
    if (this.closed) throw closedError();
    checkHandle(handle);
    const mask = this.identityMask;
    const d = hash[0]! & mask;
    const h = hash[1]! & mask;
    const x = hash[3]! & mask & 0xffff;
    let bucket = this.bucketOf(d);
    let view = this.viewOf(bucket);
    let at = this.seek(view, entriesOf(bucket), d, h, x);
    const old = handleAt(view, at);
    if (old === 0) {
      const header = headerOf(bucket);
      if (view[header + COUNT]! >= view[header + LIMIT]!) {
        this.checkGrowth('put', this.native.makeRoom(d, h));
        bucket = this.bucketOf(d);
        view = this.viewOf(bucket);
        at = this.seek(view, entriesOf(bucket), d, h, x);
      }
      view[at] = h;
      view[at + 1] = d;
      view[headerOf(bucket) + COUNT]!++;
      this.numbers[SIZE]!++;
    }
    setHandle(view, at, handle, x);
    return old;
  }

  override delete(hash: KeyHash): number {
    if (this.closed) throw closedError();
    const mask = this.identityMask;
    const d = hash[0]! & mask;
    const h = hash[1]! & mask;
    const x = hash[3]! & mask & 0xffff;
    const bucket = this.bucketOf(d);
    const view = this.viewOf(bucket);
    const begin = entriesOf(bucket);
    const at = this.seek(view, begin, d, h, x);
    const old = handleAt(view, at);
    if (old === 0) return 0;
    this.closeGap(view, begin, at);
    view[headerOf(bucket) + COUNT]!--;
    this.numbers[SIZE]!--;
    return old;
  }

  private bucketOf(d: number): number {
    return this.directory[(d & this.placementMask) >>> this.control[SHIFT]!]!;
  }

  private viewOf(bucket: number): Int32Array {
    const region = bucket >>> BUCKET_BITS;
    return this.regions[region] ?? this.mapRegion(region);
  }

  /** In words from the first entry on. */
  private homeOf(h: number): number {
    return (Math.imul((h & this.placementMask) >>> 16, BUCKET_ENTRIES) >>> 16) << 2;
  }

  /** The entry of these words, or the empty one where it belongs. */
  private seek(view: Int32Array, begin: number, d: number, h: number, x: number): number {
    const end = begin + ENTRIES_WORDS;
    for (let at = begin + this.homeOf(h); ;) {
      if (isEntry(view, at, d, h, x) || isEmpty(view, at)) return at;
      at += 4;
      if (at === end) at = begin;
    }
  }

  /** Takes the entry at `gap` out; entries behind it that may lie nearer to their home move up. */
  private closeGap(view: Int32Array, begin: number, gap: number): void {
    for (let at = gap; ;) {
      at += 4;
      if (at === begin + ENTRIES_WORDS) at = begin;
      if (isEmpty(view, at)) break;
      const home = begin + this.homeOf(view[at]!);
      if (distance(home, at) < distance(gap, at)) continue;
      view.copyWithin(gap, at, at + 4);
      gap = at;
    }
    view.fill(0, gap, gap + 4);
  }
}

function headerOf(bucket: number): number {
  return (bucket & (BUCKETS_PER_REGION - 1)) * BUCKET_WORDS;
}

function entriesOf(bucket: number): number {
  return headerOf(bucket) + FIRST_ENTRY;
}

/** Words from one place of a bucket forward to another. */
function distance(from: number, to: number): number {
  return to >= from ? to - from : to - from + ENTRIES_WORDS;
}
