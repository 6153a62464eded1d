/**
 * The native reader of the hash index (native/binding/hash_table_binding.cc). A failure is the
 * negative of a code of native/base/status.h. Wrong types of arguments throw a TypeError.
 */
export interface NativeHashTable {
  /** Header, directory and segment descriptions: see ts/index/hash-index.ts. Call once. */
  control(): ArrayBuffer;
  /** The memory of some segments. Call once per region. */
  region(index: number): ArrayBuffer;
  /** Grows the segment of d until it takes one more entry at h. @returns 0, or -code. */
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
  new (hashKey: Uint8Array, placementMask: number, identityMask: number): NativeHashTable;
  /** What both readers must agree on: LAYOUT in ts/index/hash-index.ts. */
  readonly layout: readonly number[];
}
