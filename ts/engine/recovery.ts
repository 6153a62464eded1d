import { CairnError, isCairnError, type OnDamage } from '../common/errors.js';
import { copyBytes } from '../common/units.js';
import { INDEX_CURSOR_END } from '../index/index.js';
import { CheckpointReader } from '../log/checkpoint.js';
import { RECORD_DELETE, RECORD_PUT, RECORD_PUT_PART } from '../log/log.js';
import type { RecordBatch } from '../log/record-batch.js';
import { ChunkKind } from './checkpointer.js';
import type { ValuePool } from '../value-store/value-store.js';
import { usingHandle } from './page-room.js';
import type { StoreParts } from './parts.js';
import { Slicer } from './slicer.js';
import { stepOf } from './walk.js';

/** Slots marked without a look at the clock: each may be a cache miss, so up to a quarter of a millisecond. */
const HANDLES_PER_STEP = 512;

/** Changes that replay makes between one look at the index's room and the next. */
const CHANGES_AT_ONCE = 2048;

/** What there is before the log has been read. */
type RecoveredParts = Omit<StoreParts, 'log' | 'reserve'>;

export interface RecoveryReport {
  readonly records: number;
  readonly milliseconds: number;
  /** The log ended in a write that a crash cut off. */
  readonly tornTail: boolean;
}

/** Loads the checkpoint in force and replays the log since; see docs/DURABILITY.md "Opening". */
export async function recover(
  parts: RecoveredParts,
  replay: (apply: (batch: RecordBatch) => void | Promise<void>) => Promise<ReplayEnd>,
  onDamage?: OnDamage,
): Promise<RecoveryReport> {
  const began = performance.now();
  const slicer = new Slicer(parts);
  const { pages } = parts.index;
  const { persistent } = parts.values.capabilities;
  pages?.onReplaced((old) => {
    if (!persistent) parts.values.discard(old);
  });
  await loadCheckpoint(parts, slicer, onDamage);
  await pages?.adopted();
  const replayed = new ReplayedLog(parts);
  const end = await replay((batch) => {
    replayed.apply(batch);
    return roomForMore(parts);
  });
  await pages?.settle();
  if (persistent) await restoreSlots(parts, slicer, onDamage);
  else parts.values.finishRestore();
  return {
    records: end.records,
    milliseconds: performance.now() - began,
    tornTail: end.tornTail,
  };
}

/** Before more is put. Without space what changes stays in memory: opening must not fail for that. */
function roomForMore({ index: { pages } }: RecoveredParts): Promise<void> | undefined {
  if (pages === undefined || pages.admits(CHANGES_AT_ONCE, false)) return undefined;
  return pages.whenAdmitted(CHANGES_AT_ONCE, false).catch((error: unknown) => {
    if (!isCairnError(error, 'CAIRN_NO_SPACE')) throw error;
  });
}

export interface ReplayEnd {
  readonly records: number;
  readonly tornTail: boolean;
}

async function loadCheckpoint(
  parts: RecoveredParts,
  slicer: Slicer,
  onDamage: OnDamage | undefined,
): Promise<void> {
  const { manifest, fileSet, index, values } = parts;
  const { pool } = values;
  const { checkpointId, checkpointBytes, checkpointCrc, startSequence, storeId } = manifest.current;
  if (checkpointId === 0) {
    pool?.match(undefined);
    return;
  }
  const expected = { bytes: checkpointBytes, crc: checkpointCrc, startSequence };
  const reader = new CheckpointReader(fileSet, { storeId, id: checkpointId }, expected);
  if (onDamage !== undefined) {
    await salvageCheckpoint(parts, reader, onDamage);
    return;
  }
  const records = new RecordStream(parts);
  /** Undefined until the first chunk tells; whether the pool holds what the index entries name. */
  let adopting: boolean | undefined;
  let adopted = false;
  for await (const chunk of reader) {
    const stamp = chunk.kind === ChunkKind.poolStamp ? chunk.payload : undefined;
    adopting ??= pool?.match(stamp) ?? false;
    switch (chunk.kind) {
      case ChunkKind.poolStamp:
        break;
      case ChunkKind.indexEntries:
        // Without the pool that they are of, they name nothing.
        if (values.capabilities.persistent || adopting) index.importChunk(chunk.payload);
        break;
      case ChunkKind.indexPages:
        if (index.pages === undefined) throw damagedCheckpoint('is of another type of index');
        await index.pages.adopt(chunk.payload);
        break;
      case ChunkKind.records:
        if (adopting && !adopted) {
          adopted = true;
          if ((await adoptSlots(parts, slicer)) === 0) return;
        }
        await records.add(chunk.payload, slicer);
        break;
      default:
        throw damagedCheckpoint(`has a chunk of unknown kind ${chunk.kind}`);
    }
    await slicer.pause();
  }
  // A checkpoint without chunks is that of an empty store.
  if (adopting === undefined) pool?.match(undefined);
  if (adopting === true && !adopted) await adoptSlots(parts, slicer);
  records.end();
}

/** What is left of a damaged checkpoint; without a pool, which would be written to. */
async function salvageCheckpoint(
  parts: RecoveredParts,
  reader: CheckpointReader,
  onDamage: OnDamage,
): Promise<void> {
  const { index, values } = parts;
  const slicer = new Slicer(parts);
  const records = new RecordStream(parts);
  let inStep = true;
  for await (const { kind, payload, gap } of reader.salvage(onDamage)) {
    // Records run on from chunk to chunk, and nothing says where the next one begins.
    if (gap) inStep = false;
    if (kind === ChunkKind.indexEntries && values.capabilities.persistent) {
      index.importChunk(payload);
    } else if (kind === ChunkKind.indexPages) await index.pages?.adopt(payload);
    else if (kind === ChunkKind.records && inStep) await records.add(payload, slicer);
    await slicer.pause();
  }
}

/** Takes over the records of the pool that the index names. @returns how many are lost. */
async function adoptSlots(parts: RecoveredParts, slicer: Slicer): Promise<number> {
  const { index } = parts;
  const pool = parts.values.pool as ValuePool;
  const handles = new Float64Array(index.capabilities.handlesPerStepMax);
  for (let cursor = 0; cursor < INDEX_CURSOR_END;) {
    const { count, next } = await stepOf(index, cursor, handles);
    cursor = next;
    for (let from = 0; from < count;) {
      from = pool.adopt(handles, from, Math.min(from + HANDLES_PER_STEP, count));
      await slicer.pause();
    }
  }
  return pool.lost;
}

/** Records of a store in memory, as ValueStore.exportRecords wrote them, cut into chunks anywhere. */
class RecordStream {
  readonly #parts: RecoveredParts;
  #rest: Buffer = Buffer.alloc(0);
  /** Until the index's room is looked at again: on a full device each look is a try to reserve some. */
  #changesLeft = 0;

  constructor(parts: RecoveredParts) {
    this.#parts = parts;
  }

  async add(chunk: Uint8Array, slicer: Slicer): Promise<void> {
    const bytes = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at + 16 <= bytes.length) {
      const keyLength = bytes.readUInt32LE(at);
      const valueLength = bytes.readUInt32LE(at + 4);
      const keyAt = at + 16;
      const valueAt = keyAt + keyLength;
      if (keyLength === 0) throw damagedCheckpoint('has a record without a key');
      if (valueAt + valueLength > bytes.length) break;
      const key = bytes.subarray(keyAt, valueAt);
      const value = bytes.subarray(valueAt, valueAt + valueLength);
      const there = this.#isThere(key);
      // Without a promise per record where the index is in memory.
      if (!(typeof there === 'boolean' ? there : await there)) {
        placeInMemory(this.#parts, key, value, bytes.readDoubleLE(at + 8));
      }
      at = valueAt + valueLength;
      if (--this.#changesLeft <= 0) {
        this.#changesLeft = CHANGES_AT_ONCE;
        await roomForMore(this.#parts);
      }
      await slicer.pause();
    }
    this.#rest = bytes.subarray(at);
  }

  /** Found in the pool: only what is lost there is taken from the checkpoint. */
  #isThere(key: Uint8Array): boolean | Promise<boolean> {
    const { pool } = this.#parts.values;
    if (pool === undefined) return false;
    return usingHandle(
      this.#parts,
      key,
      key.length,
      (handle) => handle !== 0 && !pool.isLost(handle),
    );
  }

  end(): void {
    if (this.#rest.length > 0) throw damagedCheckpoint('ends inside a record');
  }
}

function placeInMemory(
  parts: RecoveredParts,
  key: Uint8Array,
  value: Uint8Array,
  sequence: number,
): void {
  const { keys, index, values } = parts;
  const handle = values.place(key, key.length, value, sequence);
  keys.encodeStored(key, key.length);
  const old = (index.pages ?? index).put(keys.hash, handle);
  if (old !== 0) values.discard(old);
}

/** Applies records in the order of the log. */
class ReplayedLog {
  readonly #parts: RecoveredParts;
  /** Of the value that the next record completes. */
  #valueParts: Uint8Array[] = [];

  constructor(parts: RecoveredParts) {
    this.#parts = parts;
  }

  apply(batch: RecordBatch): void {
    const { keys, index, values } = this.#parts;
    const { persistent } = values.capabilities;
    for (let at = 0; at < batch.count; at++) {
      const key = batch.key(at);
      const kind = batch.kind(at);
      if (kind === RECORD_PUT_PART) {
        this.#valueParts.push(copyBytes(batch.value(at)));
      } else if (kind === RECORD_DELETE) {
        keys.encodeStored(key, key.length);
        const old =
          index.pages === undefined ? index.delete(keys.hash) : index.pages.put(keys.hash, 0);
        if (old !== 0 && !persistent) values.discard(old);
      } else if (!persistent) {
        placeInMemory(this.#parts, key, this.#value(batch.value(at)), batch.sequence(at));
      } else {
        const handle = batch.handle(at);
        if (kind === RECORD_PUT) {
          const value = this.#value(batch.value(at));
          values.rewrite(handle, key, key.length, value, batch.sequence(at));
        } else {
          values.rewritten?.(handle);
        }
        keys.encodeStored(key, key.length);
        (index.pages ?? index).put(keys.hash, handle);
      }
    }
  }

  #value(last: Uint8Array): Uint8Array {
    if (this.#valueParts.length === 0) return last;
    const value = Buffer.concat([...this.#valueParts, last]);
    this.#valueParts = [];
    return value;
  }
}

/** The index says which slots are in use; there is no second source of truth. */
async function restoreSlots(
  parts: RecoveredParts,
  slicer: Slicer,
  onDamage: OnDamage | undefined,
): Promise<void> {
  const { index, values } = parts;
  const handles = new Float64Array(index.capabilities.handlesPerStepMax);
  for (let cursor = 0; cursor < INDEX_CURSOR_END;) {
    const { count, next } = await stepOf(index, cursor, handles);
    cursor = next;
    for (let from = 0; from < count; from += HANDLES_PER_STEP) {
      const part = handles.subarray(from, Math.min(from + HANDLES_PER_STEP, count));
      try {
        values.restore(part, part.length);
      } catch (error) {
        // Slots behind the end of the file: found again, one by one, when their records are read.
        if (onDamage === undefined) throw error;
      }
      await slicer.pause();
    }
  }
  values.finishRestore();
}

function damagedCheckpoint(what: string): CairnError {
  return new CairnError('CAIRN_CORRUPTION', `the checkpoint ${what}`, { operation: 'open' });
}
