import { addon } from '../bindings/addon.js';
import type { NativeHashTable } from '../bindings/hash-table.js';
import { CairnError } from '../common/errors.js';
import { checkHandle, checkLength, closedError } from './checks.js';
import type { Index, IndexCapabilities, IndexChunk, IndexHandles } from './index.js';
import type { KeyHash } from './key-hash.js';

// The layout of native/index/directory_table.h and its two tables; the constructor compares what the
// addon was built with.
/** DRAM_PET_HASH: hash_table.h. */
export const SEGMENT_ENTRIES_MAX = 8192 + 256 - 1;
/** DRAM_EXTENDIBLE_HASH: extendible_hash.h. */
export const BUCKET_ENTRIES = 255;
export const BUCKETS_PER_REGION = 1024;
export const BUCKET_DEPTH_MAX = 22;
/** Of native/base/status.h. */
const CODE_NO_SPACE = 2;
const CODE_CORRUPTION = 4;
const CODE_INVALID = 7;
const LAYOUT = [
  SEGMENT_ENTRIES_MAX,
  BUCKET_ENTRIES,
  BUCKETS_PER_REGION,
  BUCKET_DEPTH_MAX,
  CODE_NO_SPACE,
  CODE_CORRUPTION,
  CODE_INVALID,
];
/** Words of the header: three doubles, then integers. */
export const SIZE = 0;
const MEMORY_BYTES = 1;
const NEXT = 2;
export const SHIFT = 6;
const DIRECTORY_MOVES = 9;
const SEGMENTS_MOVES = 10;
/** A group header and a full segment, which is the largest part of either table. */
const CHUNK_BYTES_MAX = 16 + 16 * SEGMENT_ENTRIES_MAX;

const NONE = new Int32Array(0);

export interface DirectoryIndexOptions {
  /** 16 bytes: the key of the store's hash. */
  readonly hashKey: Uint8Array;
  /**
   * For tests: ANDed to d and h only where they pick a place, so that keys collide in place but stay
   * distinct. Ones followed by zeros; 0 puts all keys in one place.
   */
  readonly placementMask?: number;
  /** For tests: ANDed to all that is compared, so that distinct keys become equal entries. */
  readonly identityMask?: number;
}

/**
 * What the tables in memory that TypeScript and the addon both read and write have in common
 * (native/index/directory_table.h). Single keys are found, put and deleted by the subclasses, with no
 * call into the addon; growth, batches, export and import are native.
 */
export abstract class DirectoryIndex implements Index {
  readonly capabilities: IndexCapabilities;
  /** For native components that look keys up themselves: UnwrapHashTable. */
  readonly native: NativeHashTable;

  protected readonly placementMask: number;
  protected readonly identityMask: number;
  protected numbers: Float64Array;
  protected control: Int32Array;
  protected directory = NONE;
  /** Of DRAM_PET_HASH, per segment: count, limit, capacity, depth. */
  protected segments = NONE;
  protected regions: Int32Array[] = [];
  protected closed = false;
  /** How often directory and segments had moved when the views of them were made. */
  private moves: readonly [directory: number, segments: number] = [-1, 0];

  /** @param initialDepth 0: DRAM_PET_HASH, else of DRAM_EXTENDIBLE_HASH. */
  protected constructor(options: DirectoryIndexOptions, initialDepth: number) {
    const { hashKey, placementMask = -1, identityMask = -1 } = options;
    const native = addon().NativeHashTable;
    if (LAYOUT.some((size, i) => native.layout[i] !== size)) {
      throw new CairnError('CAIRN_INCOMPATIBLE', 'the addon is of another version: rebuild it');
    }
    if (hashKey.length !== 16) {
      throw new CairnError('CAIRN_INVALID_ARGUMENT', `hashKey: ${hashKey.length} bytes, not 16`);
    }
    // Parts split by the leading bits of d, and one table is ordered by h but placed by h & mask.
    const inverted = ~placementMask >>> 0;
    if ((inverted & (inverted + 1)) !== 0) {
      throw new CairnError('CAIRN_INVALID_ARGUMENT', 'placementMask: not ones followed by zeros');
    }
    this.placementMask = placementMask | 0;
    this.identityMask = identityMask | 0;
    this.capabilities = {
      ordered: false,
      persistent: false,
      chunkBytesMax: CHUNK_BYTES_MAX,
      handlesPerStepMax: SEGMENT_ENTRIES_MAX,
      comparesWholeHash: this.identityMask === -1,
    };
    const masks = [this.placementMask >>> 0, this.identityMask >>> 0] as const;
    try {
      this.native = new native(hashKey, ...masks, initialDepth);
    } catch (cause) {
      throw new CairnError('CAIRN_NO_SPACE', 'no memory for an index', {
        operation: 'open',
        cause,
      });
    }
    const memory = this.native.control();
    this.numbers = new Float64Array(memory, 0, 4);
    this.control = new Int32Array(memory, 0, 16);
    this.followMoves();
  }

  abstract get(hash: KeyHash): number;
  abstract put(hash: KeyHash, handle: number): number;
  abstract delete(hash: KeyHash): number;

  get size(): number {
    this.checkOpen();
    return this.numbers[SIZE]!;
  }

  get memoryBytes(): number {
    this.checkOpen();
    return this.numbers[MEMORY_BYTES]!;
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
    this.checkGrowth('bulk put', this.native.bulkPut(keys, handles, old));
  }

  exportChunk(cursor: number, out: Uint8Array): IndexChunk {
    this.checkOpen();
    const bytes = check('export index', this.native.exportChunk(cursor, out));
    return { bytes, next: this.numbers[NEXT]! };
  }

  importChunk(bytes: Uint8Array): void {
    this.checkOpen();
    this.checkGrowth('import index', this.native.importChunk(bytes));
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
    this.control = NONE;
    this.directory = NONE;
    this.segments = NONE;
    this.regions = [];
    this.native.close();
  }

  protected checkOpen(): void {
    if (this.closed) throw closedError();
  }

  /** As {@link check}, of a call that may have added parts, also when it failed in the end. */
  protected checkGrowth(operation: string, result: number): void {
    this.followMoves();
    check(operation, result);
  }

  private followMoves(): void {
    const [directoryMoves, segmentsMoves] = this.moves;
    this.moves = [this.control[DIRECTORY_MOVES]!, this.control[SEGMENTS_MOVES]!];
    if (this.moves[0] !== directoryMoves) this.directory = new Int32Array(this.native.directory());
    if (this.moves[1] !== segmentsMoves) this.segments = new Int32Array(this.native.segments());
  }

  /** Native code adds regions whenever it splits; they are wrapped when first met. */
  protected mapRegion(region: number): Int32Array {
    for (let i = this.regions.length; i <= region; i++) {
      this.regions.push(new Int32Array(this.native.region(i)));
    }
    return this.regions[region]!;
  }
}

/** @param result an amount, 0 for done, or the negative of a native status code. */
export function check(operation: string, result: number): number {
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
