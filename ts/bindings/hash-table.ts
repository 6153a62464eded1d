/**
 * The native reader of the tables in memory (native/binding/hash_table_binding.cc). A failure is the
 * negative of a code of native/base/status.h. Wrong types of arguments throw a TypeError.
 */
export interface NativeHashTable {
  /** The header: see ts/index/directory-index.ts. Call once. */
  control(): ArrayBuffer;
  /** Call once, and again when the header says that it moved. */
  directory(): ArrayBuffer;
  /** Of DRAM_PET_HASH. Call once, and again when the header says that they moved. */
  segments(): ArrayBuffer;
  /** The memory of some segments or buckets. Call once per region. */
  region(index: number): ArrayBuffer;
  /** Grows the part of d until it takes one more entry at h. @returns 0, or -code. */
  makeRoom(d: number, h: number): number;
  /** @returns hits. */
  batchGet(keys: BigUint64Array, handles: Float64Array): number;
  /** @returns 0, or -code. */
  bulkPut(keys: BigUint64Array, handles: Float64Array, old: Float64Array): number;
  /** @returns bytes written, or -code. The next cursor is in the header. */
  exportChunk(cursor: number, out: Uint8Array): number;
  /** @returns 0, or -code. */
  importChunk(bytes: Uint8Array): number;
  /** @returns handles written, or -code. The next cursor is in the header. */
  handlesFrom(cursor: number, out: Float64Array): number;
  /** Lets go of the memory; views that are left keep theirs. May be called again. */
  close(): void;
}

export interface NativeHashTableConstructor {
  /** @param initialDepth 0: DRAM_PET_HASH; else DRAM_EXTENDIBLE_HASH with 2^initialDepth buckets. */
  new (
    hashKey: Uint8Array,
    placementMask: number,
    identityMask: number,
    initialDepth: number,
  ): NativeHashTable;
  /** What both readers must agree on: LAYOUT in ts/index/directory-index.ts. */
  readonly layout: readonly number[];
}
