import type { NativeIo } from './addon.js';

/** The values file of a store: allocator, writer, reader and retire queue (native/value/). */
export interface NativeSlotFile {
  /** Numbers of the file, by `stateSlots`; `consumedReads` is written by the reader's user. */
  readonly state: Float64Array;
  /** The page cache; a read that ended posts the offset of its record in here. */
  readonly arena: ArrayBuffer;
  /** @returns the handle, 0 to come back after a post, or -errno. */
  place(
    lane: 0 | 1,
    key: Uint8Array,
    keyLength: number,
    value: Uint8Array,
    sequence: number,
  ): number;
  /** @returns the handle or -errno; the end of the write is posted to `token`. */
  placeLarge(
    key: Uint8Array,
    keyLength: number,
    value: Uint8Array,
    sequence: number,
    token: number,
  ): number;
  /** @returns rows placed, or -errno when none was. */
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
   * @param keyLength 0: whatever the key; copies in the tier do not answer then.
   * @param token -1: looks in memory only.
   * @returns the record's offset in the arena, or `tierBase` and its offset in the tier, or the
   *   record; undefined: of another key; null: on the device, the answer is posted to `token`; a
   *   negative number: -errno.
   */
  get(
    handle: number,
    key: Uint8Array,
    keyLength: number,
    token: number,
  ): number | Buffer | undefined | null;
  /** The record of a posted result of `takeBase` or more. */
  take(id: number): Buffer;
  /** `count` pairs of a handle and the sequence of the record that replaced it. */
  retireAll(pairs: Float64Array, count: number): void;
  discard(handle: number): void;
  onDurable(sequence: number): void;
  onCheckpointBegin(): void;
  onCheckpointEnd(): void;
  pin(): number;
  unpin(ticket: number): void;
  /** Slots that reach into the range are not used again; `begin === end` ends that. */
  holdRange(begin: number, end: number): void;
  /** Reserves the first space; a post follows. */
  reserveAhead(): void;
  /** @returns the newest run; everything placed is in runs up to it. */
  seal(): number;
  rewrite(
    handle: number,
    key: Uint8Array,
    keyLength: number,
    value: Uint8Array,
    sequence: number,
  ): number;
  forget(handle: number): void;
  /** @returns `count`, or the index of the first handle that no slot can have. */
  restore(handles: Float64Array, count: number): number;
  finishRestore(readOnly: boolean): void;
  /** @returns cells of the lot; 0: none, and nothing is posted. */
  moveStart(wholeGroup: boolean, liveBytesMax: number, token: number): number;
  /** Entries of {f64 handle, u32 key bytes, u32 slot bytes, key, zeros to a multiple of 8}. */
  moveRecords(cell: number): Buffer;
  /** @returns as {@link place}. */
  movePlace(cell: number, index: number): number;
  moveSeal(): void;
  moveEnd(failed: boolean): void;
  /**
   * Copies the rows that have a copy in the tier.
   *
   * @returns how many entries of `rest` are filled with the numbers of the other rows, ascending; or
   *   -errno.
   */
  gatherTier(
    handles: Float64Array,
    keys: BigUint64Array,
    rows: Uint8Array,
    rowBytes: number,
    rest: Uint32Array,
  ): number;
  /**
   * From now on a record of another key is damaged (-EBADMSG) unless both keys have one hash.
   *
   * @param u64 the keys are u64, whose hashes are all different.
   */
  expectKeys(hashKey: Uint8Array, u64: boolean): void;
  /** As NativeMemorySlots.region. */
  tierRegion(index: number, bytes: number): ArrayBuffer | undefined;
  /** Undefined without a tier. */
  tierStats(): TierStats | undefined;
  updateState(): void;
  close(): void;
}

/** The copies in memory of a `TIERED_VALUE_STORE`. */
export interface TierStats {
  readonly capacityBytes: number;
  /** Now taken by copies, with the tables that find them; at most `capacityBytes`. */
  readonly memoryBytes: number;
  /** Now in slots that hold a copy. */
  readonly recordBytes: number;
  readonly records: number;
  /** Gets that a copy answered. */
  readonly hits: number;
  /** Gets of present keys that none answered. */
  readonly misses: number;
  /** Copies made of what was read. */
  readonly promotions: number;
  /** Copies that went for others. */
  readonly demotions: number;
}

/** Copies in memory of what is asked for most (native/value/memory_tier.h). */
export interface NativeTierOptions {
  readonly capacityBytes: number;
  /** Above 0, at most 1: written records get a copy while less than this part is in use. */
  readonly highWatermarkRatio: number;
  /** A name of `value.dram_allocator.type`. */
  readonly allocator: string;
  readonly sizeClasses?: readonly number[] | undefined;
}

export interface NativeSlotFileOptions {
  readonly file: number;
  readonly storeId: Uint8Array;
  /** Of the file's header: which classes its handles number. */
  readonly classTable: number;
  readonly sizeClasses?: readonly number[] | undefined;
  /** SSD_BUDDY: cells are multiples of it. */
  readonly blockBytes: number;
  readonly capacityBytes: number;
  readonly cacheBytes: number;
  readonly runBytes: number;
  readonly dirtyBytesMax: number;
  readonly reserveBytesMax: number;
  readonly token: number;
  readonly tier?: NativeTierOptions | undefined;
}

export interface NativeSlotFileConstructor {
  new (io: NativeIo, options: NativeSlotFileOptions): NativeSlotFile;
  readonly stateSlots: Readonly<Record<string, number>>;
  readonly takeBase: number;
  readonly tierBase: number;
  readonly recordHeaderBytes: number;
  readonly valueBytesMax: number;
  /** For new files of SSD_SLAB; every one up to it is of SSD_SLAB too. */
  readonly slabClassTable: number;
  /** Of the files of SSD_BUDDY. */
  readonly buddyClassTable: number;
}
