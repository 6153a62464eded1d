import { CairnError } from '../common/errors.js';
import { INDEX_CURSOR_END } from '../index/index.js';
import type { StoredRecord } from '../value-store/value-store.js';
import type { VerifyOptions, VerifyReport } from './api.js';
import type { StoreParts } from './parts.js';

/** Records read ahead of the consumer. */
const READ_AHEAD = 32;
const DAMAGE_LISTED_MAX = 1000;

/**
 * Every key that is there throughout exactly once, in no order; keys put or deleted meanwhile may
 * or may not come. One segment of the index is looked at a time, and its slots are pinned, so a
 * record that was replaced is still there and leads to its key's new value.
 */
export async function* walkRecords(
  parts: StoreParts,
  onDamage: (handle: number, error: CairnError) => void,
): AsyncGenerator<StoredRecord> {
  const { index, values } = parts;
  const handles = new Float64Array(index.capabilities.handlesPerStepMax);
  for (let cursor = 0; cursor < INDEX_CURSOR_END;) {
    const step = index.handlesFrom(cursor, handles);
    cursor = step.next;
    if (step.count === 0) continue;
    const wanted = handles.slice(0, step.count);
    const unpin = values.pin();
    try {
      yield* readAhead(parts, wanted, onDamage);
    } finally {
      unpin();
    }
  }
}

async function* readAhead(
  parts: StoreParts,
  handles: Float64Array,
  onDamage: (handle: number, error: CairnError) => void,
): AsyncGenerator<StoredRecord> {
  const reading: Promise<StoredRecord | undefined>[] = [];
  let next = 0;
  const readOne = async (handle: number): Promise<StoredRecord | undefined> => {
    try {
      return await current(parts, handle, await parts.values.readRecord(handle));
    } catch (error) {
      if (!(error instanceof CairnError)) throw error;
      onDamage(handle, error);
      return undefined;
    }
  };
  while (next < handles.length || reading.length > 0) {
    while (next < handles.length && reading.length < READ_AHEAD) {
      const read = readOne(handles[next++] as number);
      // A consumer that stops early leaves reads behind whose failure nobody awaits.
      read.catch(() => undefined);
      reading.push(read);
    }
    const record = await reading.shift();
    if (record !== undefined) yield record;
  }
}

/** The record if the index still names it, else what the index names now for its key. */
async function current(
  parts: StoreParts,
  handle: number,
  record: StoredRecord,
): Promise<StoredRecord | undefined> {
  const { keys, index, values } = parts;
  keys.encodeStored(record.key, record.key.length);
  const now = index.get(keys.hash);
  if (now === handle) return record;
  if (now === 0) return undefined;
  const value = await values.read(now, keys.bytes, keys.length);
  return value === undefined ? undefined : { ...record, value };
}

/** Reads and checks every record; other keys are served meanwhile. */
export async function verifyRecords(
  parts: StoreParts,
  options: VerifyOptions,
): Promise<VerifyReport> {
  const damaged: { file: string; offset: number; reason: string }[] = [];
  let damagedCount = 0;
  let records = 0;
  let bytes = 0;
  const total = parts.index.size;
  const onDamage = (_handle: number, error: CairnError): void => {
    damagedCount++;
    if (damaged.length >= DAMAGE_LISTED_MAX) return;
    damaged.push({ file: error.file ?? '', offset: error.offset ?? 0, reason: error.message });
  };
  for await (const record of walkRecords(parts, onDamage)) {
    throwIfAborted(options.signal);
    records++;
    bytes += record.key.length + record.value.length;
    if (records % 1000 === 0) options.progress?.(records + damagedCount, total);
  }
  options.progress?.(records + damagedCount, total);
  return { records, bytes, damaged, damagedCount };
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal);
}

export function abortError(signal: AbortSignal): CairnError {
  return new CairnError('CAIRN_ABORTED', 'the call was aborted by its signal', {
    cause: signal.reason,
  });
}

/** Rejects early when the signal fires; the work itself goes on and ends by itself. */
export function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(abortError(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
