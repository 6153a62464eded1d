import type { NativeHashTable } from './hash-table.js';
/**
 * Slots in memory (native/binding/memory_slots_binding.cc). A failure is a negative errno; arguments
 * of the wrong type or size are -EINVAL, a closed object -EBADF.
 */
export interface NativeMemorySlots {
  /** Copies the record into a fresh slot. @returns its handle, or -ENOSPC, -E2BIG. */
  place(key: Uint8Array, keyLength: number, value: Uint8Array, sequence: number): number;
  /** @returns rows placed; -ENOSPC when not even one was. */
  placeRows(
    keys: BigUint64Array,
    rows: Uint8Array,
    rowBytes: number,
    from: number,
    count: number,
    sequence: number,
    handles: Float64Array,
  ): number;
  /** Frees `handles[from]` to `handles[to - 1]`, which are live. */
  free(handles: Float64Array, from: number, to: number): number;
  /**
   * The first `bytes` of the slots `index * regionBytes` and on: the offset of a handle's record is
   * its offset in all regions. Undefined before a slot there was handed out, where the runtime has no
   * external buffers, and for more bytes than a region has.
   */
  region(index: number, bytes: number): ArrayBuffer | undefined;
  /** A copy of the whole record, or -EBADMSG when the handle is not live. */
  record(handle: number): Buffer | number;
  /**
   * @param source the handles, or the table that has them.
   * @returns how many entries of `missing` are filled, or -errno.
   */
  gather(
    source: Float64Array | NativeHashTable,
    keys: BigUint64Array,
    rows: Uint8Array,
    rowBytes: number,
    missing: Uint32Array,
  ): number;
  /** `result` takes bytes written, the first index not copied and the bytes that one needs. */
  exportRecords(
    handles: Float64Array,
    from: number,
    to: number,
    out: Uint8Array,
    result: Float64Array,
  ): number;
  /** May the records that the checkpoint with this stamp names be adopted? Without: no. */
  matchPool(stamp: Uint8Array | undefined): boolean;
  /** `stamp`: 16 random bytes. */
  beginCheckpoint(stamp: Uint8Array): number;
  endCheckpoint(): number;
  /**
   * Takes over records of the pool file, each checked.
   *
   * @returns how many of `handles[from]` to `handles[to - 1]` were looked at, at least one; those
   *   that do not check are negative afterwards, and their places are held until they are freed.
   */
  adopt(handles: Float64Array, from: number, to: number): number;
  /** Gives back the memory of the pool file that nothing is in. */
  finishRestore(): void;
  stats(): NativeMemorySlotsStats;
  /** Views of regions stay valid. May be called again. */
  close(): void;
}

export interface NativeMemorySlotsStats {
  readonly capacityBytes: number;
  readonly allocatedBytes: number;
  readonly reservedBytes: number;
  readonly liveSlots: number;
}

export interface NativeMemorySlotsOptions {
  /** Of slots handed out; 0: what the system grants. */
  readonly capacityBytes: number;
  /** Value sizes to fit slots to; larger values use the default classes. */
  readonly sizeClasses?: readonly number[] | undefined;
  /** A name of `value.dram_allocator.type`. @default CONCURRENT_SLAB_MEMORY_POOL */
  readonly allocator?: string | undefined;
  /** The file that the slots lie in. */
  readonly pool?: { readonly path: string; readonly storeId: Uint8Array } | undefined;
}

export interface NativeMemorySlotsConstructor {
  new (options: NativeMemorySlotsOptions): NativeMemorySlots;
  readonly regionBytes: number;
  readonly recordHeaderBytes: number;
}
