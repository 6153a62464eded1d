import { addon } from '../bindings/addon.js';
import type { FileId, FileSet } from '../bindings/file-set.js';
import { CairnError, isCairnError, type OnDamage } from '../common/errors.js';
import { alignUp, PAGE_BYTES } from '../common/units.js';
import { CHUNK_PAYLOAD_MAX, layout } from './layout.js';

export { CHUNK_PAYLOAD_MAX } from './layout.js';

/** Chunks on their way at once, and so buffers of a writer. */
const WRITES_IN_FLIGHT = 4;
/** Holds the largest chunk; more at once would hold the event loop while the kernel maps it. */
const WINDOW_BYTES = CHUNK_PAYLOAD_MAX + 2 * PAGE_BYTES;
const OTHER_VERSION = 2;

const NAME = /^checkpoint-([0-9a-f]{1,14})$/;

export function checkpointFileName(id: number): string {
  return `checkpoint-${id.toString(16)}`;
}

/** The id in the name of a checkpoint file; undefined for other names. */
export function checkpointFileId(name: string): number | undefined {
  const digits = NAME.exec(name)?.[1];
  if (digits === undefined) return undefined;
  const id = Number.parseInt(digits, 16);
  return checkpointFileName(id) === name ? id : undefined;
}

export interface CheckpointPlace {
  readonly storeId: Uint8Array;
  /** From 1; never reused. */
  readonly id: number;
}

/** What the manifest says about a checkpoint. */
export interface CheckpointSummary {
  readonly id: number;
  readonly startSequence: number;
  /** Of the file. */
  readonly bytes: number;
  /** crc of its trailer. */
  readonly crc: number;
  readonly entries: number;
}

/**
 * Writes `checkpoint-<id>`: begin, add for each chunk, finish. The file counts only once the
 * manifest names it; {@link abandon} or a crash leaves one that checkpoint-reserve.ts takes over.
 */
export class CheckpointWriter {
  private readonly free: Uint8Array[] = [];
  private readonly writes = new Set<Promise<void>>();
  private failure: Error | undefined;
  private offset = PAGE_BYTES;
  private chunks = 0;
  private entries = 0;
  private payloadBytes = 0;
  private buffers = 0;
  private readonly headerBytes = layout().codec.chunkHeaderBytes;

  private constructor(
    private readonly files: FileSet,
    private readonly file: FileId,
    private readonly place: CheckpointPlace,
    private readonly startSequence: number,
  ) {}

  /** @param startSequence the checkpoint will hold every record up to here. */
  static async begin(
    files: FileSet,
    place: CheckpointPlace,
    startSequence: number,
  ): Promise<CheckpointWriter> {
    const file = await files.open(checkpointFileName(place.id), 2);
    const writer = new CheckpointWriter(files, file, place, startSequence);
    try {
      // Written over what is there: what a file still holds of another checkpoint does not check.
      const page = files.allocate(PAGE_BYTES);
      addon().encodeCheckpointHeader(place.storeId, place.id, 0, startSequence, page);
      await files.write(file, 0, page, { sync: false });
      return writer;
    } catch (error) {
      await writer.abandon();
      throw error;
    }
  }

  /** Bytes so far. */
  get bytes(): number {
    return this.offset;
  }

  /**
   * Copies the payload; resolves when the next one may be added.
   *
   * @param kind docs/FORMAT.md "Checkpoint" lists them.
   * @param payload 1 byte to 1 MiB.
   * @param entries how many the payload holds; summed up in the trailer.
   */
  async add(kind: number, payload: Uint8Array, entries: number): Promise<void> {
    const size = alignUp(this.headerBytes + payload.length, PAGE_BYTES);
    const buffer = await this.takeBuffer(size);
    const pages = buffer.subarray(0, size);
    const { storeId, id } = this.place;
    if (payload.length <= CHUNK_PAYLOAD_MAX) pages.set(payload, this.headerBytes);
    const index = this.chunks;
    const { length } = payload;
    if (
      !addon().sealCheckpointChunk(storeId, id, this.offset, kind, index, entries, length, pages)
    ) {
      this.free.push(buffer);
      throw new CairnError('CAIRN_INVALID_ARGUMENT', `checkpoint: a chunk of ${length} bytes`, {
        operation: 'checkpoint',
      });
    }
    const write = this.files
      .write(this.file, this.offset, pages, { sync: false })
      .catch((error: unknown) => void (this.failure ??= error as Error))
      .finally(() => {
        this.writes.delete(write);
        this.free.push(buffer);
      });
    this.writes.add(write);
    this.offset += size;
    this.chunks++;
    this.entries += entries;
    this.payloadBytes += length;
    if (this.writes.size >= WRITES_IN_FLIGHT) await Promise.race(this.writes);
    if (this.failure !== undefined) throw this.failure;
  }

  /** Everything is durable when it resolves, the name too. */
  async finish(): Promise<CheckpointSummary> {
    await Promise.all(this.writes);
    if (this.failure !== undefined) throw this.failure;
    const { storeId, id } = this.place;
    const page = this.files.allocate(PAGE_BYTES);
    const crc = addon().encodeCheckpointTrailer(
      storeId,
      id,
      this.offset,
      this.chunks,
      this.entries,
      this.payloadBytes,
      page,
    );
    await this.files.write(this.file, this.offset, page, { sync: false });
    await this.files.sync(this.file);
    await this.files.syncDirectory();
    this.files.close(this.file);
    const bytes = this.offset + PAGE_BYTES;
    return { id, startSequence: this.startSequence, bytes, crc, entries: this.entries };
  }

  /** Leaves the unfinished file when nothing is on its way there any more. */
  async abandon(): Promise<void> {
    await Promise.all(this.writes);
    this.files.close(this.file);
  }

  /** Of at least `size` bytes; external memory is dear to the collector, so no more than that. */
  private async takeBuffer(size: number): Promise<Uint8Array> {
    for (;;) {
      const buffer = this.free.pop();
      if (buffer !== undefined && buffer.length >= size) return buffer;
      if (buffer !== undefined || this.buffers < WRITES_IN_FLIGHT) {
        if (buffer === undefined) this.buffers++;
        return this.files.allocate(size);
      }
      await Promise.race(this.writes);
    }
  }
}

export interface CheckpointChunk {
  readonly kind: number;
  readonly entries: number;
  /** A view; valid as long as it is referenced. */
  readonly payload: Uint8Array;
}

/**
 * Reads a checkpoint that the manifest names, chunk by chunk, with the next window on its way while
 * the caller works on this one.
 *
 * @throws CairnError CAIRN_CORRUPTION with file and offset, CAIRN_INCOMPATIBLE, CAIRN_IO.
 */
export class CheckpointReader {
  private readonly name: string;
  private readonly out = new Float64Array(5);
  private readonly headerBytes = layout().codec.chunkHeaderBytes;

  constructor(
    private readonly files: FileSet,
    private readonly place: CheckpointPlace,
    private readonly expected: Pick<CheckpointSummary, 'bytes' | 'crc' | 'startSequence'>,
  ) {
    this.name = checkpointFileName(place.id);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<CheckpointChunk, void, void> {
    const file = await this.open();
    try {
      const totals = await this.readEnds(file);
      const counted = { chunks: 0, entries: 0, payloadBytes: 0 };
      for await (const chunk of this.chunks(file)) {
        counted.chunks++;
        counted.entries += chunk.entries;
        counted.payloadBytes += chunk.payload.length;
        yield chunk;
      }
      const matches =
        counted.chunks === totals.chunks &&
        counted.entries === totals.entries &&
        counted.payloadBytes === totals.payloadBytes;
      if (!matches) throw this.damaged(this.expected.bytes - PAGE_BYTES);
    } finally {
      this.files.close(file);
    }
  }

  /**
   * The chunks that check, whatever is between them; `gap` says that something may be missing before
   * one. A chunk begins at a page and is bound to its place, so that the next one can be looked for.
   */
  async *salvage(
    onDamage: OnDamage,
  ): AsyncGenerator<CheckpointChunk & { readonly gap: boolean }, void, void> {
    const file = await this.openFile().catch((error: unknown) => this.take(error, onDamage));
    if (file === undefined) return;
    try {
      await this.readEnds(file).catch((error: unknown) => this.take(error, onDamage));
      const end = Math.min(this.expected.bytes - PAGE_BYTES, this.files.sizeOf(file));
      let damaged = false;
      let index = 0;
      for (let offset = PAGE_BYTES; offset < end;) {
        const chunk = await this.tryChunk(file, offset, end).catch((error: unknown) => {
          if (!damaged) this.take(error, onDamage);
          return undefined;
        });
        if (chunk === undefined) {
          damaged = true;
          offset += PAGE_BYTES;
          continue;
        }
        yield { ...chunk, gap: damaged || chunk.index !== index };
        damaged = false;
        index = chunk.index + 1;
        offset += chunk.bytes;
      }
      if (end < this.expected.bytes - PAGE_BYTES && !damaged) onDamage(this.damaged(end));
    } finally {
      this.files.close(file);
    }
  }

  private async tryChunk(
    file: FileId,
    offset: number,
    end: number,
  ): Promise<CheckpointChunk & { readonly index: number; readonly bytes: number }> {
    const { storeId, id } = this.place;
    const header = await this.files.read(file, offset, PAGE_BYTES);
    this.check(addon().decodeCheckpointChunk(storeId, id, offset, header, true, this.out), offset);
    const [, index = 0, , , bytes = 0] = this.out;
    if (bytes > WINDOW_BYTES || offset + bytes > end) throw this.damaged(offset);
    const chunk = this.chunk(await this.files.read(file, offset, bytes), offset, index);
    return { ...chunk, index, bytes };
  }

  private take(error: unknown, onDamage: OnDamage): undefined {
    if (!isCairnError(error, 'CAIRN_CORRUPTION')) throw error;
    onDamage(error);
  }

  /** The manifest names it, so that it is there or the store is damaged. */
  private async openFile(): Promise<FileId> {
    try {
      return await this.files.open(this.name, 0);
    } catch (error) {
      if (!isCairnError(error, 'CAIRN_NOT_FOUND')) throw error;
      const details = { operation: 'recover', file: this.name, offset: 0, cause: error };
      throw new CairnError('CAIRN_CORRUPTION', `opening ${this.name}: it is gone`, details);
    }
  }

  private async open(): Promise<FileId> {
    const file = await this.openFile();
    const { bytes } = this.expected;
    if (bytes >= 2 * PAGE_BYTES && bytes % PAGE_BYTES === 0 && this.files.sizeOf(file) >= bytes) {
      return file;
    }
    this.files.close(file);
    throw this.damaged(0);
  }

  private async readEnds(
    file: FileId,
  ): Promise<{ chunks: number; entries: number; payloadBytes: number }> {
    const { storeId, id } = this.place;
    const { out } = this;
    const header = await this.files.read(file, 0, PAGE_BYTES);
    this.check(addon().decodeCheckpointHeader(storeId, id, 0, header, out), 0);
    if (out[0] !== this.expected.startSequence) throw this.damaged(0);
    const end = this.expected.bytes - PAGE_BYTES;
    const trailer = await this.files.read(file, end, PAGE_BYTES);
    this.check(addon().decodeCheckpointTrailer(storeId, id, end, trailer, out), end);
    const [chunks = 0, entries = 0, payloadBytes = 0, crc = 0] = out;
    if (crc !== this.expected.crc) throw this.damaged(end);
    return { chunks, entries, payloadBytes };
  }

  private async *chunks(file: FileId): AsyncGenerator<CheckpointChunk, void, void> {
    const end = this.expected.bytes - PAGE_BYTES;
    let start = PAGE_BYTES;
    let index = 0;
    let window = this.window(file, start, end);
    // A generator that is left early leaves a read behind, whose failure is nobody's business.
    window.catch(() => undefined);
    while (start < end) {
      const bytes = await window;
      const offsets = this.wholeChunks(bytes, start);
      const next = offsets.pop() as number;
      if (next < end) {
        window = this.window(file, next, end);
        window.catch(() => undefined);
      }
      for (const offset of offsets) {
        yield this.chunk(bytes.subarray(offset - start), offset, index++);
      }
      start = next;
    }
  }

  private window(file: FileId, start: number, end: number): Promise<Uint8Array> {
    if (start >= end) return Promise.resolve(new Uint8Array(0));
    return this.files.read(file, start, Math.min(WINDOW_BYTES, end - start));
  }

  /** Offsets in the file of the chunks that lie in the window whole, and where the next begins. */
  private wholeChunks(bytes: Uint8Array, start: number): number[] {
    const { storeId, id } = this.place;
    const offsets: number[] = [];
    let at = 0;
    while (at < bytes.length) {
      const header = bytes.subarray(at, at + PAGE_BYTES);
      const offset = start + at;
      this.check(
        addon().decodeCheckpointChunk(storeId, id, offset, header, true, this.out),
        offset,
      );
      const size = this.out[4] as number;
      if (at + size > bytes.length) break;
      offsets.push(offset);
      at += size;
    }
    // The window holds the largest chunk, so a first one that does not fit lies about its size.
    if (offsets.length === 0) throw this.damaged(start);
    offsets.push(start + at);
    return offsets;
  }

  private chunk(bytes: Uint8Array, offset: number, index: number): CheckpointChunk {
    const { storeId, id } = this.place;
    const { out } = this;
    this.check(addon().decodeCheckpointChunk(storeId, id, offset, bytes, false, out), offset);
    const [kind = 0, foundIndex = 0, entries = 0, payloadBytes = 0] = out;
    if (foundIndex !== index) throw this.damaged(offset);
    const from = this.headerBytes;
    return { kind, entries, payload: bytes.subarray(from, from + payloadBytes) };
  }

  private check(result: number, offset: number): void {
    if (result === 0) return;
    if (result === OTHER_VERSION) {
      throw new CairnError('CAIRN_INCOMPATIBLE', `reading ${this.name}: another version's format`, {
        operation: 'recover',
        file: this.name,
        offset,
      });
    }
    throw this.damaged(offset);
  }

  private damaged(offset: number): CairnError {
    return new CairnError(
      'CAIRN_CORRUPTION',
      `reading ${this.name}: it does not check at offset ${offset}`,
      { operation: 'recover', file: this.name, offset },
    );
  }
}
