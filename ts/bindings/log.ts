/**
 * The native log writer, the decoders of its segments and the codecs of manifest and checkpoint
 * (native/binding/log_binding.cc, log_codec_binding.cc). Arguments of a wrong type throw a TypeError.
 */

/** What the addon says about its own numbers: positions by name, sizes in bytes. */
export interface LogLayout {
  readonly state: readonly string[];
  readonly scan: readonly string[];
  readonly cursor: readonly string[];
  readonly row: readonly string[];
  readonly flagMore: number;
  readonly minSegmentBytes: number;
  readonly maxSegmentBytes: number;
  readonly maxKeyBytes: number;
  readonly groupHeaderBytes: number;
  readonly recordHeaderBytes: number;
}

export interface CodecLayout {
  readonly manifestRootBytes: number;
  readonly chunkHeaderBytes: number;
  readonly chunkPayloadMax: number;
}

export interface NativeLogWriterOptions {
  /** The NativeIo of the store. */
  readonly io: unknown;
  readonly storeId: Uint8Array;
  readonly segmentBytes: number;
  readonly maxGroupBytes: number;
  readonly maxPendingBytes: number;
  readonly nextSegmentId: number;
  readonly previousSequence: number;
  readonly firstSequence: number;
  /** Posted with 1 after each group and each sync, with -errno after the failure. */
  readonly token: number;
}

export interface NativeLogWriter {
  /** Slots by LogLayout.state; changes under the reader's eyes. */
  readonly state: Float64Array;
  /**
   * @param bits kind | flags << 8 | wantSync << 16 | urgent << 17.
   * @returns 1 appended, 0 no room, -1 failed, -2 closed, -3 too large, -4 invalid, -5 no memory.
   */
  append(
    bits: number,
    handle: number,
    key: Uint8Array,
    keyLength: number,
    value: Uint8Array | undefined,
    sequence: number,
  ): number;
  /**
   * Appends a PUT_REF record for each of the rows `from` to `from + count`, in ascending sequence.
   *
   * @param keys 8 bytes each.
   * @returns how many there was room for, or a code as {@link append}.
   */
  appendRows(
    keys: Uint8Array,
    from: number,
    count: number,
    handles: Float64Array,
    sequence: number,
  ): number;
  requestSync(): void;
  /** Starts what is pending without waiting for the end of the turn. */
  flush(): void;
  addSegment(fileId: number): void;
  rotate(): number;
  /** The last so many free segments are for urgent records; with fewer, no other is taken. */
  setReserve(segments: number): void;
  /** Cuts what is in the log of the batch that was begun. */
  abandonBatch(): void;
  releaseBefore(segmentId: number): void;
  close(): void;
}

export interface NativeLogWriterConstructor {
  new (options: NativeLogWriterOptions): NativeLogWriter;
}

/** One root of the manifest. */
export interface ManifestRoot {
  readonly storeId: Uint8Array;
  readonly hashKey: Uint8Array;
  readonly generation: number;
  readonly durableSequence: number;
  readonly checkpointId: number;
  readonly checkpointBytes: number;
  readonly checkpointCrc: number;
  readonly startSequence: number;
  readonly firstSegmentId: number;
  readonly clean: boolean;
  /** JSON text. */
  readonly config: string;
  readonly entries: readonly ManifestEntry[];
}

export interface ManifestEntry {
  /** 0 to 65535. */
  readonly type: number;
  /** A reader that does not know the type refuses the store. */
  readonly mandatory: boolean;
  readonly data: Uint8Array;
}

/** The part of the addon that belongs to the log. */
export interface LogAddon {
  readonly NativeLogWriter: NativeLogWriterConstructor;
  readonly logLayout: LogLayout;
  readonly codecLayout: CodecLayout;
  /** @returns true when the scan is finished. Slots of `scan` by LogLayout.scan. */
  logScan(storeId: Uint8Array, bytes: Uint8Array, maxBytes: number, scan: Float64Array): boolean;
  /**
   * @param out segment id, segment bytes, previous, first and durable sequence.
   * @returns 0 valid, 1 blank, 2 damaged, 3 another version.
   */
  logHeader(storeId: Uint8Array, page: Uint8Array, out: Float64Array): number;
  /** @returns rows filled, of LogLayout.row.length numbers each. */
  logDecode(
    storeId: Uint8Array,
    bytes: Uint8Array,
    afterSequence: number,
    cursor: Float64Array,
    rows: Float64Array,
  ): number;

  /** @returns false when configuration and entries do not fit. */
  encodeManifestRoot(manifest: ManifestRoot, rootIndex: 0 | 1, root: Uint8Array): boolean;
  /** @returns 1 damaged, 2 another version. */
  decodeManifestRoot(root: Uint8Array, rootIndex: 0 | 1): ManifestRoot | number;

  encodeCheckpointHeader(
    storeId: Uint8Array,
    id: number,
    offset: number,
    startSequence: number,
    page: Uint8Array,
  ): void;
  /** @returns 0 valid, 1 damaged, 2 another version. `out`: start sequence. */
  decodeCheckpointHeader(
    storeId: Uint8Array,
    id: number,
    offset: number,
    page: Uint8Array,
    out: Float64Array,
  ): number;
  /** The payload lies in `pages` from chunkHeaderBytes on. @returns false when sizes do not fit. */
  sealCheckpointChunk(
    storeId: Uint8Array,
    id: number,
    offset: number,
    kind: number,
    index: number,
    entries: number,
    payloadBytes: number,
    pages: Uint8Array,
  ): boolean;
  /** @returns 0 valid, 1 damaged. `out`: kind, index, entries, payload bytes, bytes in pages. */
  decodeCheckpointChunk(
    storeId: Uint8Array,
    id: number,
    offset: number,
    bytes: Uint8Array,
    headerOnly: boolean,
    out: Float64Array,
  ): number;
  /** @returns the crc that the manifest repeats. */
  encodeCheckpointTrailer(
    storeId: Uint8Array,
    id: number,
    offset: number,
    chunks: number,
    entries: number,
    payloadBytes: number,
    page: Uint8Array,
  ): number;
  /** @returns 0 valid, 1 damaged, 2 another version. `out`: chunks, entries, payload bytes, crc. */
  decodeCheckpointTrailer(
    storeId: Uint8Array,
    id: number,
    offset: number,
    page: Uint8Array,
    out: Float64Array,
  ): number;
}
