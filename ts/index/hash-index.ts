import { addon } from '../bindings/addon.js';
import type { NativeHashTable } from '../bindings/hash-table.js';
import { CairnError } from '../common/errors.js';
import type { Index, IndexCapabilities, IndexChunk, IndexHandles } from './index.js';
import type { KeyHash } from './key-hash.js';

// The layout of native/index/hash_table.h; the constructor compares what the addon was built with.
const DIRECTORY_OFFSET = 4096;
const SEGMENTS_OFFSET = DIRECTORY_OFFSET + 16 * 2 ** 18;
const SEGMENT_ENTRIES_MAX = 8192 + 256 - 1;
/** Of native/base/status.h. */
const CODE_NO_SPACE = 2;
const CODE_CORRUPTION = 4;
const CODE_INVALID = 7;
const LAYOUT = [
  DIRECTORY_OFFSET,
  SEGMENTS_OFFSET,
  SEGMENT_ENTRIES_MAX,
  CODE_NO_SPACE,
  CODE_CORRUPTION,
  CODE_INVALID,
];
/** Words of the header: three doubles, then integers. */
const SIZE = 0;
const MEMORY_BYTES = 1;
const NEXT = 2;
const SHIFT = 6;
/** A group header and a full segment. */
const CHUNK_BYTES_MAX = 16 + 16 * SEGMENT_ENTRIES_MAX;
const HANDLE_END = 2 ** 48;
/** XOR with it turns an unsigned comparison into a signed one. */
const SIGN = 0x80000000 | 0;
/**
 * Moves of more words than this go through copyWithin, which costs a call. At 1 M keys, lowest of four
 * rounds on a busy machine: put 173 ns and delete 109; copyWithin alone 178 and 145, the loop alone
 * 232 and 122. Limits of 32 and 128 differ from 64 by less than the noise.
 */
const LOOP_WORDS_MAX = 64;

export interface HashIndexOptions {
  /** 16 bytes: the key of the store's hash. */
  readonly hashKey: Uint8Array;
  /**
   * For tests: ANDed to d and h only where they pick a place, so that keys collide in place but stay
   * distinct. Ones followed by zeros; 0 puts all keys in one place (at most 8447 of them).
   */
  readonly placementMask?: number;
  /** For tests: ANDed to all that is compared, so that distinct keys become equal entries. */
  readonly identityMask?: number;
}

/**
 * DRAM_PET_HASH: a hash table in memory that TypeScript and the addon both read and write
 * (native/index/hash_table.h has the layout and its reasons). Single keys are found, put and deleted
 * here, with no call into the addon; growth, batches, export and import are native.
 *
 * An entry is four words: h, d, handle bits 0..31, handle bits 32..47 << 16 | low half of x. All
 * zeros is empty. Entries lie in ascending unsigned (h, d, x) order from their home on, and the last
 * entry of a segment's place is always empty: every scan ends there at the latest.
 */
export class HashIndex implements Index {
  readonly capabilities: IndexCapabilities = {
    ordered: false,
    persistent: false,
    chunkBytesMax: CHUNK_BYTES_MAX,
    handlesPerStepMax: SEGMENT_ENTRIES_MAX,
  };
  /** For native components that look keys up themselves: UnwrapHashTable. */
  readonly native: NativeHashTable;

  private readonly placementMask: number;
  private readonly identityMask: number;
  private numbers: Float64Array;
  private control: Int32Array;
  /** Per slot: region, base (in words), span of homes, segment. */
  private directory: Int32Array;
  /** Per segment: count, limit, capacity, depth. */
  private segments: Int32Array;
  private regions: Int32Array[] = [];
  private closed = false;

  /** @throws CairnError CAIRN_INVALID_ARGUMENT, CAIRN_NO_SPACE, CAIRN_INCOMPATIBLE. */
  constructor(options: HashIndexOptions) {
    const { hashKey, placementMask = -1, identityMask = -1 } = options;
    const native = addon().NativeHashTable;
    if (LAYOUT.some((size, i) => native.layout[i] !== size)) {
      throw new CairnError('CAIRN_INCOMPATIBLE', 'the addon is of another version: rebuild it');
    }
    if (hashKey.length !== 16) {
      throw new CairnError('CAIRN_INVALID_ARGUMENT', `hashKey: ${hashKey.length} bytes, not 16`);
    }
    // Entries are ordered by h but placed by h & mask: the orders agree only for leading ones.
    const inverted = ~placementMask >>> 0;
    if ((inverted & (inverted + 1)) !== 0) {
      throw new CairnError('CAIRN_INVALID_ARGUMENT', 'placementMask: not ones followed by zeros');
    }
    this.placementMask = placementMask | 0;
    this.identityMask = identityMask | 0;
    try {
      this.native = new native(hashKey, this.placementMask >>> 0, this.identityMask >>> 0);
    } catch (cause) {
      throw new CairnError('CAIRN_NO_SPACE', 'no memory for an index', {
        operation: 'open',
        cause,
      });
    }
    const memory = this.native.control();
    this.numbers = new Float64Array(memory, 0, 4);
    this.control = new Int32Array(memory, 0, 16);
    this.directory = new Int32Array(
      memory,
      DIRECTORY_OFFSET,
      (SEGMENTS_OFFSET - DIRECTORY_OFFSET) / 4,
    );
    this.segments = new Int32Array(memory, SEGMENTS_OFFSET);
  }

  get size(): number {
    this.checkOpen();
    return this.numbers[SIZE]!;
  }

  get memoryBytes(): number {
    this.checkOpen();
    return this.numbers[MEMORY_BYTES]!;
  }

  get(hash: KeyHash): number {
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

  put(hash: KeyHash, handle: number): number {
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

  delete(hash: KeyHash): number {
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

  compareAndSwap(hash: KeyHash, expected: number, handle: number): boolean {
    if (this.closed) throw closedError();
    checkHandle(handle);
    if (this.get(hash) !== expected) return false;
    this.put(hash, handle);
    return true;
  }

  batchGet(keys: BigUint64Array, handles: Float64Array): number {
    this.checkOpen();
    checkLength('handles', handles.length, keys.length);
    return this.native.batchGet(keys, handles);
  }

  bulkPut(keys: BigUint64Array, handles: Float64Array, old: Float64Array): void {
    this.checkOpen();
    checkLength('handles', handles.length, keys.length);
    checkLength('old', old.length, keys.length);
    check('bulk put', this.native.bulkPut(keys, handles, old));
  }

  exportChunk(cursor: number, out: Uint8Array): IndexChunk {
    this.checkOpen();
    const bytes = check('export index', this.native.exportChunk(cursor, out));
    return { bytes, next: this.numbers[NEXT]! };
  }

  importChunk(bytes: Uint8Array): void {
    this.checkOpen();
    check('import index', this.native.importChunk(bytes));
  }

  handlesFrom(cursor: number, out: Float64Array): IndexHandles {
    this.checkOpen();
    const count = check('iterate index', this.native.handlesFrom(cursor, out));
    return { count, next: this.numbers[NEXT]! };
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    // Views keep their memory mapped: let go of all of them.
    this.numbers = new Float64Array(0);
    this.control = new Int32Array(0);
    this.directory = new Int32Array(0);
    this.segments = new Int32Array(0);
    this.regions = [];
    this.native.close();
  }

  private checkOpen(): void {
    if (this.closed) throw closedError();
  }

  /** Where the slot of d begins in the directory. */
  private slotOf(d: number): number {
    return ((d & this.placementMask) >>> this.control[SHIFT]!) << 2;
  }

  private viewOf(slot: number): Int32Array {
    const region = this.directory[slot]!;
    return this.regions[region] ?? this.mapRegion(region);
  }

  /** Native code adds regions whenever it splits; they are wrapped when first met. */
  private mapRegion(region: number): Int32Array {
    for (let i = this.regions.length; i <= region; i++) {
      this.regions.push(new Int32Array(this.native.region(i)));
    }
    return this.regions[region]!;
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
    check('put', this.native.makeRoom(d, h));
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

function isEmpty(view: Int32Array, at: number): boolean {
  return view[at + 2]! === 0 && view[at + 3]! >>> 16 === 0;
}

/** Also true for an empty entry when all three are 0: then the handle is 0. */
function isEntry(view: Int32Array, at: number, d: number, h: number, x: number): boolean {
  return view[at]! === h && view[at + 1]! === d && (view[at + 3]! & 0xffff) === x;
}

function handleAt(view: Int32Array, at: number): number {
  return (view[at + 3]! >>> 16) * 0x100000000 + (view[at + 2]! >>> 0);
}

function setHandle(view: Int32Array, at: number, handle: number, x: number): void {
  view[at + 2] = handle | 0;
  view[at + 3] = (Math.floor(handle / 0x100000000) << 16) | x;
}

function checkHandle(handle: number): void {
  if (!(handle > 0 && handle < HANDLE_END)) {
    throw new CairnError('CAIRN_INVALID_ARGUMENT', `handle ${handle}: not within 1 to 2^48 - 1`);
  }
}

function checkLength(name: string, length: number, wanted: number): void {
  if (length >= wanted) return;
  throw new CairnError('CAIRN_INVALID_ARGUMENT', `${name}: ${length} places for ${wanted} keys`);
}

function closedError(): CairnError {
  return new CairnError('CAIRN_CLOSED', 'the index is closed');
}

/** @param result an amount, 0 for done, or the negative of a native status code. */
function check(operation: string, result: number): number {
  if (result >= 0) return result;
  switch (-result) {
    case CODE_NO_SPACE:
      throw new CairnError('CAIRN_NO_SPACE', `${operation}: no room in the index`, { operation });
    case CODE_CORRUPTION:
      throw new CairnError('CAIRN_CORRUPTION', `${operation}: not an index chunk`, { operation });
    case CODE_INVALID:
      throw new CairnError(
        'CAIRN_INVALID_ARGUMENT',
        `${operation}: not a cursor of this index, no room in the output, or not a handle`,
        { operation },
      );
    default:
      throw new Error(`cairn: assertion failed: ${operation} answered ${result}`);
  }
}
