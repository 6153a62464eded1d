import { checkHandle, closedError } from './checks.js';
import {
  DirectoryIndex,
  SEGMENT_ENTRIES_MAX,
  SHIFT,
  SIZE,
  type DirectoryIndexOptions,
} from './directory-index.js';
import { handleAt, isEmpty, isEntry, setHandle } from './hash-entry.js';
import type { KeyHash } from './key-hash.js';

/** XOR with it turns an unsigned comparison into a signed one. */
const SIGN = 0x80000000 | 0;
/**
 * Moves of more words than this go through copyWithin, which costs a call. At 1 M keys, lowest of four
 * rounds on a busy machine: put 173 ns and delete 109; copyWithin alone 178 and 145, the loop alone
 * 232 and 122. Limits of 32 and 128 differ from 64 by less than the noise.
 */
const LOOP_WORDS_MAX = 64;

/**
 * DRAM_PET_HASH: a hash table in memory that TypeScript and the addon both read and write
 * (native/index/hash_table.h has the layout and its reasons).
 *
 * Entries lie in ascending unsigned (h, d, x) order from their home on, and the last entry of a
 * segment's place is always empty: every scan ends there at the latest. A slot of the directory is
 * four words: region, base (in words), span of homes, segment.
 */
export class HashIndex extends DirectoryIndex {
  /** @throws CairnError CAIRN_INVALID_ARGUMENT, CAIRN_NO_SPACE, CAIRN_INCOMPATIBLE. */
  constructor(options: DirectoryIndexOptions) {
    super(options, 0);
  }

  override get(hash: KeyHash): number {
    if (this.closed) throw closedError();
    const mask = this.identityMask;
    const d = hash[0]! & mask;
    const h = hash[1]! & mask;
    const x = hash[3]! & mask & 0xffff;
    const slot = this.slotOf(d);
    const view = this.viewOf(slot);
    let at = this.homeOf(slot, h);
    const ordered = h ^ SIGN;
    // Its own loop and not seek(): a miss needs no exact place, and a hit only one comparison per
    // entry before it.
    for (;;) {
      const entry = view[at]!;
      if (entry === h) {
        const high = view[at + 3]!;
        const low = view[at + 2]!;
        if (view[at + 1]! === d && (high & 0xffff) === x) {
          // An empty entry looks like (0, 0, 0) with handle 0, which is the right answer too.
          return (high >>> 16) * 0x100000000 + (low >>> 0);
        }
        if (low === 0 && high >>> 16 === 0) return 0;
      } else if ((entry ^ SIGN) > ordered) {
        return 0;
      } else if (entry === 0 && view[at + 2]! === 0 && view[at + 3]! >>> 16 === 0) {
        return 0;
      }
      at += 4;
    }
  }

  override put(hash: KeyHash, handle: number): number {
    if (this.closed) throw closedError();
    checkHandle(handle);
    const mask = this.identityMask;
    const d = hash[0]! & mask;
    const h = hash[1]! & mask;
    const x = hash[3]! & mask & 0xffff;
    const slot = this.slotOf(d);
    const view = this.viewOf(slot);
    const at = seek(view, this.homeOf(slot, h), d, h, x);
    if (isEntry(view, at, d, h, x)) {
      const old = handleAt(view, at);
      if (old !== 0) {
        setHandle(view, at, handle, x);
        return old;
      }
    }
    this.insert(slot, at, d, h, x, handle);
    return 0;
  }

  override delete(hash: KeyHash): number {
    if (this.closed) throw closedError();
    const mask = this.identityMask;
    const d = hash[0]! & mask;
    const h = hash[1]! & mask;
    const x = hash[3]! & mask & 0xffff;
    const slot = this.slotOf(d);
    const view = this.viewOf(slot);
    const at = seek(view, this.homeOf(slot, h), d, h, x);
    if (!isEntry(view, at, d, h, x)) return 0;
    const old = handleAt(view, at);
    if (old !== 0) this.remove(slot, at);
    return old;
  }

  /** Where the slot of d begins in the directory. */
  private slotOf(d: number): number {
    return ((d & this.placementMask) >>> this.control[SHIFT]!) << 2;
  }

  private viewOf(slot: number): Int32Array {
    const region = this.directory[slot]!;
    return this.regions[region] ?? this.mapRegion(region);
  }

  private homeOf(slot: number, h: number): number {
    const home = Math.imul((h & this.placementMask) >>> 14, this.directory[slot + 2]!) >>> 18;
    return this.directory[slot + 1]! + (home << 2);
  }

  /** Inserts an entry that is absent and belongs at `at`. */
  private insert(slot: number, at: number, d: number, h: number, x: number, handle: number): void {
    const view = this.viewOf(slot);
    const segment = this.directory[slot + 3]! << 2;
    const last = this.directory[slot + 1]! + SEGMENT_ENTRIES_MAX * 4;
    let gap = at;
    while (!isEmpty(view, gap)) gap += 4;
    if (this.segments[segment]! >= this.segments[segment + 1]! || gap === last) {
      this.growAndInsert(d, h, x, handle);
      return;
    }
    if (gap - at <= LOOP_WORDS_MAX) {
      for (let i = gap - 1; i >= at; i--) view[i + 4] = view[i]!;
    } else {
      view.copyWithin(at + 4, at, gap);
    }
    view[at] = h;
    view[at + 1] = d;
    setHandle(view, at, handle, x);
    this.segments[segment]!++;
    this.numbers[SIZE]!++;
  }

  private growAndInsert(d: number, h: number, x: number, handle: number): void {
    this.checkGrowth('put', this.native.makeRoom(d, h));
    const slot = this.slotOf(d);
    const at = seek(this.viewOf(slot), this.homeOf(slot, h), d, h, x);
    this.insert(slot, at, d, h, x, handle);
  }

  /** Whatever follows without a gap and is not at its home moves one back. */
  private remove(slot: number, at: number): void {
    const view = this.viewOf(slot);
    const mask = this.placementMask;
    const base = this.directory[slot + 1]!;
    const span = this.directory[slot + 2]!;
    let end = at + 4;
    while (!isEmpty(view, end)) {
      const home = Math.imul((view[end]! & mask) >>> 14, span) >>> 18;
      if (base + (home << 2) === end) break;
      end += 4;
    }
    if (end - at <= LOOP_WORDS_MAX) {
      for (let i = at + 4; i < end; i++) view[i - 4] = view[i]!;
    } else {
      view.copyWithin(at, at + 4, end);
    }
    view[end - 4] = 0;
    view[end - 3] = 0;
    view[end - 2] = 0;
    view[end - 1] = 0;
    this.segments[this.directory[slot + 3]! << 2]!--;
    this.numbers[SIZE]!--;
  }
}

/** The first entry from `at` on that is empty or not before (h, d, x). */
function seek(view: Int32Array, at: number, d: number, h: number, x: number): number {
  const ordered = h ^ SIGN;
  for (;;) {
    const entry = view[at]!;
    if ((entry ^ SIGN) >= ordered) {
      if (entry !== h || isEmpty(view, at)) return at;
      const entryD = view[at + 1]! ^ SIGN;
      if (entryD > (d ^ SIGN)) return at;
      if (entryD === (d ^ SIGN) && (view[at + 3]! & 0xffff) >= x) return at;
    } else if (entry === 0 && isEmpty(view, at)) {
      return at;
    }
    at += 4;
  }
}
