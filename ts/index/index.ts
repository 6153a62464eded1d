import type { NativeHashTable } from '../bindings/hash-table.js';
import type { KeyHash } from './key-hash.js';

/** The cursor behind the last entry: {@link Index.exportChunk}, {@link Index.handlesFrom}. */
export const INDEX_CURSOR_END = 2 ** 32;

export interface IndexCapabilities {
  /** Keys can be walked in their own order. */
  readonly ordered: boolean;
  /** Entries survive the process by themselves; if not, checkpoints and the log carry them. */
  readonly persistent: boolean;
  /** `out` of {@link Index.exportChunk} never has to be longer than this. */
  readonly chunkBytesMax: number;
  /** `out` of {@link Index.handlesFrom} never has to be longer than this. */
  readonly handlesPerStepMax: number;
}

export interface IndexChunk {
  /** Written to `out`. */
  readonly bytes: number;
  /** Cursor of the next call, {@link INDEX_CURSOR_END} when done. */
  readonly next: number;
}

export interface IndexHandles {
  /** Written to `out`. */
  readonly count: number;
  /** Cursor of the next call, {@link INDEX_CURSOR_END} when done. */
  readonly next: number;
}

/**
 * Key hash -> handle. A handle is an integer, 0 < handle < 2^48; 0 means absent. What an index
 * compares is a hash: a caller that must be sure compares the key in the record.
 *
 * One thread. After {@link close} every method throws CAIRN_CLOSED.
 */
export interface Index {
  readonly capabilities: IndexCapabilities;
  /** Keys present. */
  readonly size: number;
  /** Resident memory of the index. */
  readonly memoryBytes: number;
  /** A table in memory that native components can look keys of a u64 store up in by themselves. */
  readonly native?: NativeHashTable;

  /** @returns the handle, 0 when absent. */
  get(hash: KeyHash): number;
  /**
   * Inserts or replaces.
   *
   * @returns the old handle, 0 when the key is new.
   * @throws CairnError CAIRN_NO_SPACE: nothing was changed.
   */
  put(hash: KeyHash, handle: number): number;
  /** @returns the old handle, 0 when absent. */
  delete(hash: KeyHash): number;
  /**
   * Sets the handle if it is `expected`: for records that move. `expected` 0: only if absent.
   *
   * @returns was it set.
   * @throws CairnError CAIRN_NO_SPACE.
   */
  compareAndSwap(hash: KeyHash, expected: number, handle: number): boolean;

  /**
   * Looks up many keys of a u64 store: hashed and probed natively with prefetch.
   *
   * @param handles as long as `keys` or longer; 0 where the key is absent.
   * @returns how many are present.
   */
  batchGet(keys: BigUint64Array, handles: Float64Array): number;
  /**
   * Puts many keys of a u64 store, in order.
   *
   * @param old gets what {@link put} would return for each.
   * @throws CairnError CAIRN_INVALID_ARGUMENT for a bad handle, before anything is put;
   *   CAIRN_NO_SPACE after the keys before the one that did not fit.
   */
  bulkPut(keys: BigUint64Array, handles: Float64Array, old: Float64Array): void;

  /**
   * Writes entries for {@link importChunk}, from `cursor` on, as many as fit. A cursor is 0 or the
   * `next` of an earlier call; puts and deletes in between are allowed. An entry that is there from
   * the first call to the last is written exactly once.
   *
   * @throws CairnError CAIRN_INVALID_ARGUMENT when `out` is too short for one step.
   */
  exportChunk(cursor: number, out: Uint8Array): IndexChunk;
  /**
   * Adds the entries of one chunk; keys must not be present already.
   *
   * @throws CairnError CAIRN_CORRUPTION when the bytes cannot be what {@link exportChunk} wrote:
   *   then the index is of no more use. CAIRN_NO_SPACE.
   */
  importChunk(bytes: Uint8Array): void;
  /**
   * The handles of one part of the index. A key that is there throughout is seen exactly once,
   * whatever is put and deleted between the calls; `count` may be 0 before the end.
   *
   * @throws CairnError CAIRN_INVALID_ARGUMENT when `out` is too short or the cursor is not one.
   */
  handlesFrom(cursor: number, out: Float64Array): IndexHandles;

  /** Frees the memory. May be called again. */
  close(): void;
}
