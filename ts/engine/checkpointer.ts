import { CairnError, isCairnError } from '../common/errors.js';
import { INDEX_CURSOR_END } from '../index/index.js';
import {
  CheckpointWriter,
  checkpointFileName,
  CHUNK_PAYLOAD_MAX,
  type CheckpointSummary,
} from '../log/checkpoint.js';
import type { StoreParts } from './parts.js';
import { stepOf } from './walk.js';

/** Bytes of index or values handed to the device at a time. */
const CHUNK_BYTES = 128 * 1024;

/**
 * Of an entry of DRAM_PET_HASH at most: 16, and the rest for groups that are half full and end inside
 * a page. Of other indexes the last checkpoint tells.
 */
const ENTRY_BYTES = 18.5;
/** Header, trailer and the ends of pages. */
const CHECKPOINT_BYTES_MIN = 64 * 1024;

/**
 * Looked up before they are written. Each piece ends with its page: where many keys were deleted, a
 * step through an index on the device finds few records, and pages for each step would come to more
 * than {@link Checkpointer} keeps free.
 */
const RECORDS_PER_PIECE = 2048;

/** What a chunk of a checkpoint holds; the numbers are on disk. docs/FORMAT.md "Checkpoint". */
export const ChunkKind = { indexEntries: 1, records: 2, poolStamp: 3, indexPages: 4 } as const;

/** What the checkpointer needs to know of the writers. */
export interface WriterView {
  readonly sequence: number;
  readonly batchOpen: boolean;
  readonly failure: CairnError | undefined;
  /** Writes stop for good. */
  fail(cause: CairnError): void;
  /** Resolves when a batch ends: not by the queue of writes, where some may wait for a checkpoint. */
  batchEnd(): Promise<void>;
}

/**
 * Writes the index out in the background, so that the log before it can go.
 *
 * The picture is fuzzy: writers go on, and an entry may be newer than the start. That is right
 * because the log from the start on is kept and replayed over it, and the checkpoint comes into
 * force only when the log is durable up to the last entry it can hold.
 */
export class Checkpointer {
  readonly #parts: StoreParts;
  readonly #writers: WriterView;
  readonly #inForce: () => void;
  #running: Promise<unknown> | undefined;
  #lastId: number;
  #sequence: number;
  #count = 0;
  #bytes: number;
  /** `log.liveBytes` when one failed; until the log has grown another would fail as well. */
  #failedAt: number | undefined;
  #heldSegmentId = -1;
  #entryBytes = ENTRY_BYTES;
  /** Files of checkpoints that somebody reads, with how many do. */
  readonly #held = new Map<number, number>();

  /** @param inForce called after each one. */
  constructor(parts: StoreParts, writers: WriterView, inForce: () => void) {
    this.#inForce = inForce;
    this.#parts = parts;
    this.#writers = writers;
    const { checkpointId, startSequence, checkpointBytes } = parts.manifest.current;
    this.#lastId = checkpointId;
    this.#sequence = startSequence;
    this.#bytes = checkpointBytes;
  }

  get stats(): { readonly count: number; readonly bytes: number; readonly sequence: number } {
    return { count: this.#count, bytes: this.#bytes, sequence: this.#sequence };
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  /** Records were written since the last checkpoint. */
  get stale(): boolean {
    return this.#writers.sequence > this.#sequence;
  }

  /**
   * Starts one in the background when the log since the last has grown enough.
   *
   * @param waiting somebody waits for the room that it makes, or for its failure.
   */
  maybe(waiting = false): void {
    if (this.#running !== undefined || this.#writers.failure !== undefined) return;
    const { log } = this.#parts;
    if (log.liveBytes < this.#threshold() && !log.reserveUsed) return;
    if (!waiting && this.#failedAt !== undefined && log.liveBytes <= this.#failedAt) return;
    this.run().catch(() => undefined);
  }

  /** One that begins after the call; joins none that runs already. */
  run(): Promise<void> {
    return this.#alone(() => this.#tryWrite());
  }

  /**
   * Runs one, then `take` before the next can begin: until that resolves no segment of the log since
   * the checkpoint is recycled, and no slot that the checkpoint names.
   */
  snapshot<T>(take: () => Promise<T>): Promise<T> {
    return this.#alone(async () => {
      await this.#tryWrite();
      return take();
    });
  }

  /** Keeps the file of the checkpoint in force until the returned function is called. */
  hold(): () => void {
    const { checkpointId: id } = this.#parts.manifest.current;
    this.#held.set(id, (this.#held.get(id) ?? 0) + 1);
    return () => {
      const left = (this.#held.get(id) ?? 0) - 1;
      if (left > 0) return void this.#held.set(id, left);
      this.#held.delete(id);
      if (id !== 0 && id !== this.#parts.manifest.current.checkpointId) void this.#remove(id);
    };
  }

  /** One that stays is taken over by the next open. */
  async #remove(id: number): Promise<void> {
    await this.#parts.fileSet.remove(checkpointFileName(id)).catch(() => undefined);
  }

  async #alone<T>(task: () => Promise<T>): Promise<T> {
    while (this.#running !== undefined) await this.#running.catch(() => undefined);
    const running = task();
    this.#running = running;
    try {
      return await running;
    } finally {
      if (this.#running === running) this.#running = undefined;
      // Who came meanwhile began none; this one may have freed nothing of what was written since.
      if (this.#parts.log.hasRoomWaiters && this.stale) this.maybe(true);
    }
  }

  async #tryWrite(): Promise<void> {
    try {
      await this.#write();
      this.#failedAt = undefined;
    } catch (error) {
      this.#failedAt = this.#parts.log.liveBytes;
      // The business of all who wait for the room that it would have made, whoever began it; who comes
      // from here on begins another.
      this.#running = undefined;
      this.#parts.log.starve(error);
      throw error;
    }
  }

  /** Waits for the one that runs. */
  async settle(): Promise<void> {
    await this.#running?.catch(() => undefined);
  }

  /** When the log has begun a segment: what a checkpoint may need from here on. */
  onProgress(): void {
    const { segmentId } = this.#parts.log;
    if (segmentId === this.#heldSegmentId) return;
    this.#heldSegmentId = segmentId;
    void this.holdSpace();
  }

  /** Sees to the space for the next checkpoint; without it the log takes only what makes room. */
  async holdSpace(): Promise<void> {
    const { log, reserve } = this.#parts;
    try {
      await reserve?.hold(this.#bytesNeeded());
      this.#onHeld();
    } catch (error) {
      // Of another failure the checkpoint itself will tell.
      if (!isCairnError(error, 'CAIRN_NO_SPACE')) return;
      log.setShort(
        new CairnError(
          'CAIRN_NO_SPACE',
          'there is no space for the checkpoint that this write would make necessary: delete, or ' +
            'free space on the device',
          { operation: 'write', file: error.file, cause: error },
        ),
      );
    }
  }

  /** As {@link holdSpace}, blocking; what fails is as it was. */
  holdSpaceSync(): void {
    try {
      this.#parts.reserve?.holdSync(this.#bytesNeeded());
      this.#onHeld();
    } catch (error) {
      if (!isCairnError(error)) throw error;
    }
  }

  #onHeld(): void {
    if (this.#parts.log.short === undefined) return;
    this.#failedAt = undefined;
    this.#parts.log.setShort(undefined);
  }

  /** Of a checkpoint after the segment that the log has begun and the one behind it. */
  #bytesNeeded(): number {
    const { index, values, log } = this.#parts;
    // A put takes 40 bytes of the log at least, and at most ENTRY_BYTES of a checkpoint.
    if (index.pages !== undefined && values.capabilities.persistent) {
      return CHECKPOINT_BYTES_MIN + 1.1 * index.pages.checkpointBytes;
    }
    if (values.capabilities.persistent) {
      return CHECKPOINT_BYTES_MIN + index.size * this.#entryBytes + log.segmentBytes;
    }
    // Records take less there than in their slots and in the log.
    return CHECKPOINT_BYTES_MIN + values.stats().allocatedBytes * 1.02 + 2 * log.segmentBytes;
  }

  /**
   * Half of the log's room: the other half takes what is written meanwhile. Where checkpoints carry
   * the values, at least half of what they would write, so that rewriting costs at most twice.
   */
  #threshold(): number {
    const { log, values } = this.#parts;
    const half = log.capacityBytes / 2;
    return values.capabilities.persistent
      ? half
      : Math.min(Math.max(half, this.#bytes / 2), log.capacityBytes * 0.75);
  }

  async #write(): Promise<void> {
    const { log, values, manifest, reserve, index } = this.#parts;
    // What earlier changes replaced is known then, and free when this one is in force.
    await index.pages?.settle();
    while (this.#writers.batchOpen) await this.#writers.batchEnd();
    if (this.#writers.failure !== undefined) throw this.#writers.failure;
    const startSequence = this.#writers.sequence;
    const firstSegmentId = log.rotate();
    values.onDurable(log.durableSequence);
    values.onCheckpointBegin();
    await values.flush();
    // Also when the one before failed: an id is never reused.
    const id = ++this.#lastId;
    const written = await this.#writeFile(id, startSequence);
    const previous = manifest.current.checkpointId;
    try {
      await manifest.write({
        checkpointId: id,
        checkpointBytes: written.bytes,
        checkpointCrc: written.crc,
        startSequence,
        firstSegmentId,
        durableSequence: log.durableSequence,
        clean: false,
      });
    } catch (error) {
      // The manifest on disk may name either checkpoint now: both stay, and nothing is reused.
      this.#writers.fail(error as CairnError);
      throw error;
    }
    this.#sequence = startSequence;
    this.#bytes = written.bytes;
    this.#measure(written.bytes - CHECKPOINT_BYTES_MIN);
    this.#count++;
    log.release(firstSegmentId);
    values.onCheckpointEnd();
    index.pages?.checkpointInForce();
    this.#inForce();
    // A file that is read goes when it has been; until then its space is taken twice.
    await reserve?.put(this.#held.has(previous) ? undefined : previous);
    await this.holdSpace();
  }

  /** What an entry takes, where the index is in memory. */
  #measure(entriesBytes: number): void {
    const { index } = this.#parts;
    if (index.pages !== undefined || index.size === 0) return;
    this.#entryBytes = Math.max(ENTRY_BYTES, (1.1 * entriesBytes) / index.size);
  }

  async #writeFile(id: number, startSequence: number): Promise<CheckpointSummary> {
    const { manifest, fileSet, reserve } = this.#parts;
    const { storeId } = manifest.current;
    try {
      await reserve?.take(id);
      const writer = await CheckpointWriter.begin(fileSet, { storeId, id }, startSequence);
      return await this.#fill(writer);
    } catch (error) {
      await reserve?.put(id);
      throw error;
    }
  }

  /** The whole picture, durable. */
  async #fill(writer: CheckpointWriter): Promise<CheckpointSummary> {
    const { log, values } = this.#parts;
    try {
      // A pool that is found again needs no more than the first two of the three.
      if (values.pool !== undefined) await writer.add(ChunkKind.poolStamp, values.pool.stamp, 0);
      if (values.capabilities.persistent || values.pool !== undefined) {
        await this.#exportIndex(writer);
      }
      if (!values.capabilities.persistent) await this.#exportRecords(writer);
      // Entries put since the start may be in the picture: their records must not be lost.
      await log.sync();
      return await writer.finish();
    } catch (error) {
      await writer.abandon();
      throw error;
    }
  }

  async #exportIndex(writer: CheckpointWriter): Promise<void> {
    const { index } = this.#parts;
    if (index.pages !== undefined && index.capabilities.persistent) {
      for (const piece of await index.pages.checkpoint()) {
        await writer.add(ChunkKind.indexPages, piece, 0);
      }
      return;
    }
    const chunk = new Uint8Array(Math.max(CHUNK_BYTES, index.capabilities.chunkBytesMax));
    for (let cursor = 0; cursor < INDEX_CURSOR_END;) {
      const { bytes, next } = await (index.pages ?? index).exportChunk(cursor, chunk);
      cursor = next;
      if (bytes > 0) await writer.add(ChunkKind.indexEntries, chunk.subarray(0, bytes), 0);
    }
  }

  async #exportRecords(writer: CheckpointWriter): Promise<void> {
    const { index, values } = this.#parts;
    const handles = new Float64Array(RECORDS_PER_PIECE + index.capabilities.handlesPerStepMax);
    let chunk = new Uint8Array(CHUNK_BYTES);
    for (let cursor = 0; cursor < INDEX_CURSOR_END;) {
      // Before the handles are looked up, which may take a read.
      const unpin = values.pin();
      try {
        let count = 0;
        while (cursor < INDEX_CURSOR_END && count < RECORDS_PER_PIECE) {
          const step = await stepOf(index, cursor, handles.subarray(count));
          count += step.count;
          cursor = step.next;
        }
        for (let from = 0; from < count;) {
          const part = values.exportRecords!(handles, from, count, chunk);
          if (part.bytes === 0) chunk = new Uint8Array(part.needs);
          else await this.#addRecords(writer, chunk.subarray(0, part.bytes), part.next - from);
          from = part.next;
        }
      } finally {
        unpin();
      }
    }
  }

  /** Records follow each other as one stream of bytes: a long one goes on in the next chunk. */
  async #addRecords(writer: CheckpointWriter, bytes: Uint8Array, count: number): Promise<void> {
    for (let at = 0; at < bytes.length; at += CHUNK_PAYLOAD_MAX) {
      const last = at + CHUNK_PAYLOAD_MAX >= bytes.length;
      const part = bytes.subarray(at, at + CHUNK_PAYLOAD_MAX);
      await writer.add(ChunkKind.records, part, last ? count : 0);
    }
  }
}
