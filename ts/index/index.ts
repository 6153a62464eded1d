import type { NativeHashTable } from '../bindings/hash-table.js';
import type { CairnError } from '../common/errors.js';
import type { KeyHash } from './key-hash.js';

/** The cursor behind the last entry: {@link Index.exportChunk}, {@link Index.handlesFrom}. */
export const INDEX_CURSOR_END = 2 ** 32;

export interface IndexCapabilities {
  /** Keys can be walked in their own order. */
  readonly ordered: boolean;
  /**
   * Entries survive the process in a file of the index: a checkpoint carries what
   * {@link IndexPages.checkpoint} gives. If not, checkpoints and the log carry the entries.
   */
  readonly persistent: boolean;
  /** `out` of {@link Index.exportChunk} never has to be longer than this. */
  readonly chunkBytesMax: number;
  /** `out` of {@link Index.handlesFrom} never has to be longer than this. */
  readonly handlesPerStepMax: number;
  /**
   * Entries are told apart by d, h and the low 16 bits of x. A record of a key with another hash,
   * where an entry leads, is then taken for damage; without this its key is taken for absent.
   */
  readonly comparesWholeHash?: boolean;
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

/** Answer of {@link IndexPages.get} when the entry has to be read from the device. */
export const UNREAD = -1;

/** Traffic and size of an index on the device, since open unless said otherwise. */
export interface IndexPagesStats {
  readonly deviceReads: number;
  readonly deviceReadBytes: number;
  readonly deviceWrites: number;
  readonly deviceWriteBytes: number;
  /** Now. */
  readonly fileBytes: number;
  /** Pages that hold entries, now. */
  readonly pages: number;
  /** Of these in memory. */
  readonly cachedPages: number;
  /** Changes that wait for their page. */
  readonly pendingChanges: number;
}

/**
 * What an index has whose entries are not all in memory. The methods of {@link Index} itself block
 * the thread when they have to read; these never do, but for those whose name says so.
 *
 * A change to a page that is not in memory waits beside it and counts at once. What it replaced is
 * known when the page is: see {@link onReplaced}.
 */
export interface IndexPages {
  /** @returns the handle, 0 when absent, or {@link UNREAD}. */
  get(hash: KeyHash): number;
  /**
   * Inserts or replaces; 0 deletes.
   *
   * @returns the old handle; 0 when there was none, or when it is not known yet.
   */
  put(hash: KeyHash, handle: number): number;
  /** As {@link Index.bulkPut}; `old` takes what {@link put} returns. */
  putRows(keys: BigUint64Array, handles: Float64Array, old: Float64Array): void;
  /** Called with each handle that a change replaced, when that was not known at the time. */
  onReplaced(callback: (handle: number) => void): void;

  /**
   * Brings the page of a key into memory.
   *
   * @param d the first word of its hash.
   * @param done runs when it is there and before it may go again: within the call if it is there
   *   already, else within a completion, and then it must not throw.
   */
  load(d: number, done: (error?: CairnError) => void): void;
  /**
   * As {@link load}, blocking: the page is there until the next call that may read or change one.
   * Callbacks of others run meanwhile. @throws CairnError.
   */
  loadSync(d: number): void;
  /**
   * Brings the pages of many keys into memory, read at the same time, and keeps them there until the
   * returned function is called. @param ds at most {@link pinsMax}.
   */
  pin(ds: Int32Array): Promise<() => void>;
  readonly pinsMax: number;

  /**
   * May `count` changes be made now, with regard to memory and to space for the pages?
   *
   * @param urgent they make room: they may take what is kept for such.
   */
  admits(count: number, urgent: boolean): boolean;
  /** Resolves when they may. @throws CairnError CAIRN_NO_SPACE: a checkpoint may free some. */
  whenAdmitted(count: number, urgent: boolean): Promise<void>;
  admitSync(count: number, urgent: boolean): void;
  /** Keeps the space for changes that were allowed until the returned function is called. */
  hold(count: number): () => void;
  /** A checkpoint would free pages of the file. */
  readonly waitsForCheckpoint: boolean;

  /** As {@link Index.handlesFrom}. */
  handlesFrom(cursor: number, out: Float64Array): Promise<IndexHandles>;
  /** As {@link Index.exportChunk}. */
  exportChunk(cursor: number, out: Uint8Array): Promise<IndexChunk>;
  /** The cursor behind the page at `cursor`, for one that cannot be read. */
  cursorBehind(cursor: number): number;

  /**
   * At open, before anything is put: pieces of what {@link checkpoint} gave, in order.
   *
   * @throws CairnError CAIRN_CORRUPTION, CAIRN_INCOMPATIBLE, CAIRN_IO.
   */
  adopt(piece: Uint8Array): Promise<void>;
  /** After the last one. @throws CairnError CAIRN_CORRUPTION, CAIRN_NO_SPACE, CAIRN_IO. */
  adopted(): Promise<void>;
  /** Resolves when no change of those made so far waits for its page. */
  settle(): Promise<void>;
  /**
   * Writes the pages that changed. Everything that was put before the call is in what it gives, in
   * pieces for a checkpoint; later changes may be. The pages are durable when it resolves.
   */
  checkpoint(): Promise<Uint8Array[]>;
  /** What {@link checkpoint} gave last is in force: the pages of earlier ones can be used again. */
  checkpointInForce(): void;
  /** Keeps the pages of the checkpoint in force until the returned function is called. */
  holdForCopy(): () => void;
  /**
   * The entries in the pages that a held checkpoint names, for {@link Index.importChunk}.
   *
   * @returns takes the pieces of {@link checkpoint} in order, each of which gives chunks.
   * @throws CairnError CAIRN_CORRUPTION, CAIRN_IO.
   */
  copyEntries(): (piece: Uint8Array) => AsyncIterable<Uint8Array>;
  /** Upper bound on the bytes that {@link checkpoint} gives. */
  readonly checkpointBytes: number;

  /** Called once, when a failed write ends writing for good. */
  onFailure(callback: (cause: CairnError) => void): void;
  /** As {@link Index.size}, where keys of changes that wait for their pages count as new ones. */
  readonly size: number;
  stats(): IndexPagesStats;
}

/**
 * Key hash -> handle. A handle is an integer, 0 < handle < 2^48; 0 means absent. What an index
 * compares is a hash: a caller that must be sure compares the key in the record.
 *
 * One thread. After {@link close} every method throws CAIRN_CLOSED.
 */
export interface Index {
  readonly capabilities: IndexCapabilities;
  /** Only where entries may be on the device. */
  readonly pages?: IndexPages;
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
