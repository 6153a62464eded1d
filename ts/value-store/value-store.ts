import type { NativeHashTable } from '../bindings/hash-table.js';
import type { TierStats } from '../bindings/slot-file.js';
import type { CairnError } from '../common/errors.js';
import type { RecordMover } from './record-mover.js';

/**
 * Where values live. A value store places a record (key, value, sequence) and names the place by a
 * handle: an integer, 0 < handle < 2^48 (native/alloc/allocator.h). The index maps a key to a handle;
 * the record itself carries the key, so that every read is checked against the key that was asked for.
 *
 * One thread; methods without a promise never wait for a device.
 */
export type Handle = number;

/** Answer of {@link ValueStore.readNow} when the record has to come from the device. */
export const PENDING: unique symbol = Symbol('pending');
export type Pending = typeof PENDING;

export interface ValueStoreCapabilities {
  /** Records survive the process by themselves; if not, checkpoints carry them (see `exportRecords`). */
  readonly persistent: boolean;
  /** All values are in memory: {@link ValueStore.gather} answers within the call. */
  readonly resident: boolean;
  /** Largest value, in bytes. */
  readonly valueBytesMax: number;
  /** Values up to this many bytes ride in the log; longer ones go to their slot first. */
  readonly inlineBytesMax: number;
}

export interface StoredRecord {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly sequence: number;
}

/** Space and traffic of a value store; all bytes and counts since open unless said otherwise. */
export interface ValueStoreStats {
  readonly capacityBytes: number;
  /** Now in cells that hold or may hold records. */
  readonly allocatedBytes: number;
  /** Now reserved from the medium. */
  readonly reservedBytes: number;
  readonly liveSlots: number;
  /** Now in slots whose records are wanted. */
  readonly liveBytes: number;
  /** Now in slots that were replaced and wait for a checkpoint or for readers. */
  readonly waitingBytes: number;
  /** Part of `allocatedBytes` that holds no wanted record; the rest of it is the utilization. */
  readonly garbageRatio: number;
  /** Moved by compaction: bytes of records, and cells that were emptied or are about to be. */
  readonly movedBytes: number;
  readonly compactedCells: number;
  /** Given back to the file system. */
  readonly punchedBytes: number;
  readonly deviceReads: number;
  readonly deviceReadBytes: number;
  readonly deviceWrites: number;
  readonly deviceWriteBytes: number;
  /** Reads answered from pages not yet written, or from the page cache. */
  readonly memoryHits: number;
  /** Now held in memory: pages to be written, cache, or all the values. */
  readonly memoryBytes: number;
  /** Of stores in memory whose slots lie in a file. */
  readonly pool?: PoolStats | undefined;
  /** Of stores that keep copies in memory of what is asked for most. */
  readonly tier?: TierStats | undefined;
  /** Of SSD_BUDDY. */
  readonly blocks?: BlockStats | undefined;
}

export type { TierStats };

/** Free space of a buddy system below the end of what was ever in use. */
export interface BlockStats {
  readonly freeBytes: number;
  readonly largestFreeBytes: number;
  /** Part of `freeBytes` outside the largest free block: 0 is one block. */
  readonly fragmentation: number;
}

export interface PoolStats {
  readonly file: string;
  /** Records that were found again in it at open. */
  readonly adopted: number;
  /** Records that should have been there and did not check: the checkpoint gave them instead. */
  readonly dropped: number;
}

/** The pool file of a store in memory: a new process finds the records of the last one there. */
export interface ValuePool {
  /** Goes into the checkpoint that begins; another one for each. */
  readonly stamp: Uint8Array;
  /**
   * At open, before anything is placed: does the pool hold the slots that the checkpoint with this
   * stamp names? When not it is empty.
   */
  match(stamp: Uint8Array | undefined): boolean;
  /**
   * Takes over the records at some of `handles[from..count)`, each of them checked.
   *
   * @returns the first index that was not looked at.
   */
  adopt(handles: Float64Array, from: number, count: number): number;
  /** The index still names a record there that did not check, until it is discarded. */
  isLost(handle: Handle): boolean;
  /** How many are lost. */
  readonly lost: number;
}

/**
 * Keeps the records that are live at the time of the call as they are in their file, while a copy of
 * the file is made from its start on.
 */
export interface CopyHold {
  /** The file of the records (docs/FORMAT.md "Slot record"), each at the offset that its handle names. */
  readonly name: string;
  readonly bytes: number;
  /** The copy has everything before `offset`: it may be written again. */
  passed(offset: number): void;
  /** May be called again. */
  release(): void;
}

export interface ValueStore {
  readonly capabilities: ValueStoreCapabilities;
  /** Retired slots are held back only by the checkpoint in force: another one frees them. */
  readonly waitsForCheckpoint: boolean;
  /** Stores in which records can be moved together, so that space comes back. */
  readonly mover?: RecordMover;

  /**
   * Copies the record into a fresh place. The caller's buffers are free when it returns.
   *
   * @param key the first `keyLength` bytes are the key.
   * @param through the log will carry the handle only: {@link flush} before it is appended.
   * @returns the handle, or 0 when too much waits to be written: call again after {@link whenRoom}.
   * @throws CairnError CAIRN_NO_SPACE, CAIRN_TOO_LARGE, CAIRN_IO.
   */
  place(
    key: Uint8Array,
    keyLength: number,
    value: Uint8Array,
    sequence: number,
    through?: boolean,
  ): Handle;
  /** Resolves when {@link place} may succeed again. */
  whenRoom(): Promise<void>;
  /**
   * Places a record longer than `inlineBytesMax`: copied before the call returns, written when the
   * promise resolves, durable after {@link syncData}.
   */
  placeLarge(
    key: Uint8Array,
    keyLength: number,
    value: Uint8Array,
    sequence: number,
  ): Promise<Handle>;
  /** {@link placeLarge} and {@link syncData} in one, blocking until the record is durable. */
  placeLargeSync(key: Uint8Array, keyLength: number, value: Uint8Array, sequence: number): Handle;
  /**
   * Places rows `from` to `from + count` of a u64 store, as {@link place} does with `through`.
   *
   * @param handles takes the handles, from index 0.
   * @returns rows placed; fewer than `count` when too much waits to be written.
   */
  placeRows(
    keys: BigUint64Array,
    rows: Uint8Array,
    rowBytes: number,
    from: number,
    count: number,
    sequence: number,
    handles: Float64Array,
  ): number;
  /**
   * A record of another key than its handle was looked up for is damaged from now on, unless both keys
   * have one hash: the index compares all of it. Without this, or without the method, a read then
   * answers undefined.
   *
   * @param hashKey 16 bytes.
   */
  expectKeys?(hashKey: Uint8Array, keyType: 'bytes' | 'u64'): void;
  /** Makes every record written so far durable. A failure is final for the store's writes. */
  syncData(): Promise<void>;
  /**
   * Called once, when a failure ends writing for good: a failed sync, or a write that the device
   * refuses. What is on disk is unknown then; reads go on.
   */
  onFailure(callback: (cause: CairnError) => void): void;
  /** Writes out every placed record and makes them durable; later records go to other cells. */
  flush(): Promise<void>;

  /** The value, `undefined` when the record is of another key, or PENDING. */
  readNow(handle: Handle, key: Uint8Array, keyLength: number): Buffer | undefined | Pending;
  /**
   * As {@link readNow}, from the device.
   *
   * @param settled is called with the value before the promise resolves.
   * @throws CairnError CAIRN_CORRUPTION, CAIRN_IO.
   */
  read(
    handle: Handle,
    key: Uint8Array,
    keyLength: number,
    settled?: (value: Buffer | undefined) => void,
  ): Promise<Buffer | undefined>;
  readSync(handle: Handle, key: Uint8Array, keyLength: number): Buffer | undefined;
  /**
   * The whole record, whatever its key, for iteration and verify: at once when it is in memory.
   *
   * @throws CairnError of a record in memory that is damaged; of another one the promise rejects.
   */
  readRecord(handle: Handle): StoredRecord | Promise<StoredRecord>;
  /**
   * Copies the values of u64 keys into rows of `rowBytes`; a missing or shorter or longer one leaves
   * zeros and its index in `missing`.
   *
   * @param handles 0 where the key is absent.
   * @returns how many entries of `missing` are filled (ascending).
   */
  gather(
    handles: Float64Array,
    keys: BigUint64Array,
    rows: Uint8Array,
    rowBytes: number,
    missing: Uint32Array,
  ): number | Promise<number>;

  /**
   * {@link gather} of the handles that `table` has for the keys, looked up while rows are copied.
   * Only of resident stores.
   *
   * @returns how many entries of `missing` are filled (ascending).
   */
  gatherBy?(
    table: NativeHashTable,
    keys: BigUint64Array,
    rows: Uint8Array,
    rowBytes: number,
    missing: Uint32Array,
  ): number;

  /** The record at `handle` was replaced or deleted by the log record `sequence`. */
  retire(handle: Handle, sequence: number): void;
  /** The record at `handle` never reached the log: only readers are waited for. */
  discard(handle: Handle): void;
  /** Log records up to `sequence` are durable. */
  onDurable(sequence: number): void;
  /** A checkpoint begins to read the index: what is retired from now on waits for the next one. */
  onCheckpointBegin(): void;
  /** That checkpoint is in force. */
  onCheckpointEnd(): void;
  /** Keeps what is live now readable at its handle until the returned function is called. */
  pin(): () => void;
  /**
   * Persistent stores; one hold at a time. A store without it has no backups. Called when a
   * checkpoint has just come into force.
   */
  holdForCopy?(): CopyHold;

  /**
   * At open, in the order of the log: it carries this record, whose cell may not be on disk.
   * Persistent stores only.
   *
   * @throws CairnError CAIRN_CORRUPTION when the record cannot be there.
   */
  rewrite(
    handle: Handle,
    key: Uint8Array,
    keyLength: number,
    value: Uint8Array,
    sequence: number,
  ): void;
  /**
   * At open, in the order of the log: a record is at `handle`, and the log does not carry it. What
   * {@link rewrite} put into its cell before is of an earlier use. Persistent stores only.
   */
  rewritten?(handle: Handle): void;
  /** At open, after the log: the index names these. @throws CairnError CAIRN_CORRUPTION. */
  restore(handles: Float64Array, count: number): void;
  /** At open, after the last {@link restore}, and when the log has been replayed. */
  finishRestore(): void;

  /**
   * Stores that are not persistent: copies the records named by `handles[from..count)` into `out`
   * as {u32 key length, u32 value length, f64 sequence, key, value}, as many as fit.
   *
   * @returns bytes written and the first index that was not copied; `bytes` 0 and `next === from`
   *   when `out` is too small for that record: `needs` says how many bytes it takes.
   */
  exportRecords?(
    handles: Float64Array,
    from: number,
    count: number,
    out: Uint8Array,
  ): { readonly bytes: number; readonly next: number; readonly needs: number };

  /** Only of stores in memory whose slots lie in a file. */
  readonly pool?: ValuePool | undefined;

  stats(): ValueStoreStats;
  close(): Promise<void>;
}
