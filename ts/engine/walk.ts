import { CairnError } from '../common/errors.js';
import { INDEX_CURSOR_END, type Index, type IndexHandles } from '../index/index.js';
import { damagedError } from '../value-store/slot-errors.js';
import type { StoredRecord } from '../value-store/value-store.js';
import type { VerifyOptions, VerifyReport } from './api.js';
import { usingHandle } from './page-room.js';
import { throwIfAborted } from './calls.js';
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
    // Before the handles are looked up, which may take a read.
    const unpin = values.pin();
    try {
      const { count, next } = await stepOrDamage(index, cursor, handles, onDamage);
      const step = { cursor, handles: handles.slice(0, count) };
      cursor = next;
      yield* readAhead(parts, step, onDamage);
    } finally {
      unpin();
    }
  }
}

/** As {@link stepOf}; a page that cannot be read has no handles. */
async function stepOrDamage(
  index: StoreParts['index'],
  cursor: number,
  handles: Float64Array,
  onDamage: (handle: number, error: CairnError) => void,
): Promise<IndexHandles> {
  try {
    return await stepOf(index, cursor, handles);
  } catch (error) {
    if (!(error instanceof CairnError) || index.pages === undefined) throw error;
    onDamage(0, error);
    return { count: 0, next: index.pages.cursorBehind(cursor) };
  }
}

/** {@link Index.handlesFrom}, without blocking. */
export function stepOf(
  index: Pick<Index, 'pages' | 'handlesFrom'>,
  cursor: number,
  out: Float64Array,
): IndexHandles | Promise<IndexHandles> {
  return (index.pages ?? index).handlesFrom(cursor, out);
}

/** What the index named at a cursor when the walk came there. */
interface Step {
  readonly cursor: number;
  readonly handles: Float64Array;
}

async function* readAhead(
  parts: StoreParts,
  step: Step,
  onDamage: (handle: number, error: CairnError) => void,
): AsyncGenerator<StoredRecord> {
  const { handles } = step;
  const reading: Promise<StoredRecord | undefined>[] = [];
  let next = 0;
  const readOne = async (handle: number): Promise<StoredRecord | undefined> => {
    try {
      return await current(parts, step.cursor, handle, await parts.values.readRecord(handle));
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
  cursor: number,
  handle: number,
  record: StoredRecord,
): Promise<StoredRecord | undefined> {
  const { key } = record;
  return usingHandle(parts, key, key.length, async (now) => {
    if (now === handle) return record;
    await checkReplaced(parts, cursor, handle);
    if (now === 0) return undefined;
    const value = await parts.values.read(now, key, key.length);
    return value === undefined ? undefined : { ...record, value };
  });
}

/**
 * The record of a handle is not of the key that leads to it. That key was put again or deleted
 * meanwhile: then the index has the handle no more, and cannot have it again, as the slot is pinned.
 * Or the record never was of that key.
 *
 * @throws CairnError CAIRN_CORRUPTION.
 */
async function checkReplaced(
  { index, values }: StoreParts,
  cursor: number,
  handle: number,
): Promise<void> {
  if (values.expectKeys === undefined || index.capabilities.comparesWholeHash !== true) return;
  const handles = new Float64Array(index.capabilities.handlesPerStepMax);
  const { count } = await stepOf(index, cursor, handles);
  if (handles.subarray(0, count).includes(handle)) throw damagedError(handle);
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
  // A page that cannot be read is met again below.
  await parts.index.pages?.settle().catch(() => undefined);
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
