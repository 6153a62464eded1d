import { CairnError } from '../common/errors.js';
import { INDEX_CURSOR_END } from '../index/index.js';
import { CheckpointReader } from '../log/checkpoint.js';
import { LogKind, type LogBatch } from '../log/log.js';
import { ChunkKind } from './checkpointer.js';
import type { StoreParts } from './parts.js';

/** Time that recovery holds the event loop at a stretch. */
const SLICE_MS = 1;

export interface RecoveryReport {
  readonly records: number;
  readonly milliseconds: number;
  /** The log ended in a write that a crash cut off. */
  readonly tornTail: boolean;
  readonly lastSequence: number;
}

/** Gives the event loop a turn when a slice is over; a simulated disk has no other work. */
export class Slicer {
  readonly #yields: boolean;
  #began = performance.now();

  constructor(parts: { readonly fileSet: { readonly simulated: boolean } }) {
    this.#yields = !parts.fileSet.simulated;
  }

  async pause(): Promise<void> {
    if (!this.#yields || performance.now() - this.#began < SLICE_MS) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.#began = performance.now();
  }
}

/** Loads the checkpoint in force and replays the log since; see docs/DURABILITY.md "Opening". */
export async function recover(
  parts: Omit<StoreParts, 'log'>,
  replay: (apply: (batch: LogBatch) => void) => Promise<ReplayEnd>,
): Promise<RecoveryReport> {
  const began = performance.now();
  const slicer = new Slicer(parts);
  await loadCheckpoint(parts, slicer);
  const end = await replay((batch) => applyBatch(parts, batch));
  if (parts.values.capabilities.persistent) await restoreSlots(parts, slicer);
  return {
    records: end.records,
    milliseconds: performance.now() - began,
    tornTail: end.tornTail,
    lastSequence: end.lastSequence,
  };
}

export interface ReplayEnd {
  readonly records: number;
  readonly tornTail: boolean;
  readonly lastSequence: number;
}

async function loadCheckpoint(parts: Omit<StoreParts, 'log'>, slicer: Slicer): Promise<void> {
  const { manifest, fileSet, index } = parts;
  const { checkpoint, storeId } = manifest.current;
  if (checkpoint === undefined) return;
  const reader = await CheckpointReader.open(fileSet, { storeId, ...checkpoint });
  try {
    for await (const chunk of reader.chunks()) {
      if (chunk.kind === ChunkKind.indexEntries) index.importChunk(chunk.bytes);
      else if (chunk.kind === ChunkKind.records) await importRecords(parts, chunk.bytes, slicer);
      else throw damagedCheckpoint(`has a chunk of unknown kind ${chunk.kind}`);
      await slicer.pause();
    }
  } finally {
    reader.close();
  }
}

/** Records of a store in memory, as ValueStore.exportRecords wrote them. */
async function importRecords(
  parts: Omit<StoreParts, 'log'>,
  bytes: Uint8Array,
  slicer: Slicer,
): Promise<void> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; ) {
    if (at + 16 > bytes.length) throw damagedCheckpoint('ends inside a record');
    const keyLength = view.getUint32(at, true);
    const valueLength = view.getUint32(at + 4, true);
    const sequence = view.getFloat64(at + 8, true);
    const keyAt = at + 16;
    const end = keyAt + keyLength + valueLength;
    if (keyLength === 0 || end > bytes.length) throw damagedCheckpoint('ends inside a record');
    const key = bytes.subarray(keyAt, keyAt + keyLength);
    placeInMemory(parts, key, bytes.subarray(keyAt + keyLength, end), sequence);
    at = end;
    await slicer.pause();
  }
}

function placeInMemory(
  parts: Omit<StoreParts, 'log'>,
  key: Uint8Array,
  value: Uint8Array,
  sequence: number,
): void {
  const { keys, index, values } = parts;
  const handle = values.place(key, key.length, value, sequence);
  keys.encodeStored(key, key.length);
  const old = index.put(keys.hash, handle);
  if (old !== 0) values.discard(old);
}

function applyBatch(parts: Omit<StoreParts, 'log'>, batch: LogBatch): void {
  const { keys, index, values } = parts;
  const { persistent } = values.capabilities;
  for (const record of batch) {
    const { key, value, handle, sequence } = record;
    if (record.kind === LogKind.delete) {
      keys.encodeStored(key, key.length);
      const old = index.delete(keys.hash);
      if (old !== 0 && !persistent) values.discard(old);
    } else if (!persistent) {
      placeInMemory(parts, key, value, sequence);
    } else {
      if (record.kind === LogKind.put) values.rewrite(handle, key, key.length, value, sequence);
      keys.encodeStored(key, key.length);
      index.put(keys.hash, handle);
    }
  }
}

/** The index says which slots are in use; there is no second source of truth. */
async function restoreSlots(parts: Omit<StoreParts, 'log'>, slicer: Slicer): Promise<void> {
  const { index, values } = parts;
  const handles = new Float64Array(index.capabilities.handlesPerStepMax);
  for (let cursor = 0; cursor < INDEX_CURSOR_END; ) {
    const { count, next } = index.handlesFrom(cursor, handles);
    cursor = next;
    values.restore(handles, count);
    await slicer.pause();
  }
  values.finishRestore();
}

function damagedCheckpoint(what: string): CairnError {
  return new CairnError('CAIRN_CORRUPTION', `the checkpoint ${what}`, { operation: 'open' });
}
