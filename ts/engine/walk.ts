import { asError, CairnError } from '../common/errors.js';
import { INDEX_CURSOR_END, type Index, type IndexHandles } from '../index/index.js';
import { damagedError } from '../value-store/slot-errors.js';
import type { StoredRecord } from '../value-store/value-store.js';
import type { VerifyOptions, VerifyReport } from './api.js';
import { usingHandle } from './page-room.js';
import { throwIfAborted } from './calls.js';
import type { StoreParts } from './parts.js';
import { Slicer } from './slicer.js';

/** Records read ahead of the consumer, beside those that it was given. */
const READ_AHEAD = 32;
const DAMAGE_LISTED_MAX = 1000;

/** Hears of a record, or a page of the index, that is damaged; what it throws ends the walk. */
type OnDamaged = (handle: number, error: CairnError) => void;

/**
 * Every key that is there throughout exactly once, in no order, some at a time; keys put or deleted
 * meanwhile may or may not come. One segment of the index is looked at a time, and its slots are
 * pinned, so a record that was replaced is still there and leads to its key's new value.
 */
export async function* walkRecords(
  parts: StoreParts,
  onDamage: OnDamaged,
): AsyncGenerator<readonly StoredRecord[]> {
  const { index, values } = parts;
  const handles = new Float64Array(index.capabilities.handlesPerStepMax);
  for (let cursor = 0; cursor < INDEX_CURSOR_END;) {
    // Before the handles are looked up, which may take a read.
    const unpin = values.pin();
    try {
      const { count, next } = await stepOrDamage(index, cursor, handles, onDamage);
      const reads = new ReadAhead(parts, cursor, handles.slice(0, count), onDamage);
      cursor = next;
      for (reads.fill(); reads.left;) {
        const records = await reads.take();
        // The device reads on while the consumer is busy with these.
        reads.fill();
        yield records;
      }
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
  onDamage: OnDamaged,
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

type Found = StoredRecord | undefined | Promise<StoredRecord | undefined>;

/** A record that is read; undefined when it is damaged or its key is gone. */
interface Read {
  record: StoredRecord | undefined;
  /** Until it ended; rejected when the walk has to end. */
  waiting: Promise<void> | undefined;
}

/**
 * Reads the records of one step. What is in memory is there at once: a promise and turns of generators for
 * each record were two fifths of a verify's time.
 */
class ReadAhead {
  readonly #parts: StoreParts;
  readonly #cursor: number;
  readonly #handles: Float64Array;
  readonly #onDamage: OnDamaged;
  #reads: Read[] = [];
  #next = 0;

  /** @param handles what the index named at `cursor` when the walk came there. */
  constructor(parts: StoreParts, cursor: number, handles: Float64Array, onDamage: OnDamaged) {
    this.#parts = parts;
    this.#cursor = cursor;
    this.#handles = handles;
    this.#onDamage = onDamage;
  }

  get left(): boolean {
    return this.#reads.length > 0;
  }

  fill(): void {
    while (this.#reads.length < READ_AHEAD && this.#next < this.#handles.length) {
      this.#reads.push(this.#read(this.#handles[this.#next++] as number));
    }
  }

  /** The next one, and what is there of those behind it. */
  async take(): Promise<StoredRecord[]> {
    await this.#reads[0]?.waiting;
    const waiting = this.#reads.findIndex((read) => read.waiting !== undefined);
    const ended = waiting < 0 ? this.#reads.length : waiting;
    const records = [];
    for (const { record } of this.#reads.slice(0, ended)) {
      if (record !== undefined) records.push(record);
    }
    this.#reads = this.#reads.slice(ended);
    return records;
  }

  #read(handle: number): Read {
    let found: Found;
    try {
      const record = this.#parts.values.readRecord(handle);
      found =
        record instanceof Promise
          ? record.then((read) => this.#current(handle, read))
          : this.#current(handle, record);
    } catch (error) {
      found = Promise.reject(asError(error));
    }
    if (!(found instanceof Promise)) return { record: found, waiting: undefined };
    const read: Read = { record: undefined, waiting: undefined };
    read.waiting = this.#later(handle, read, found);
    // A consumer that stops early leaves reads behind whose failure nobody awaits.
    read.waiting.catch(() => undefined);
    return read;
  }

  async #later(
    handle: number,
    read: Read,
    found: Promise<StoredRecord | undefined>,
  ): Promise<void> {
    try {
      read.record = await found;
    } catch (error) {
      if (!(error instanceof CairnError)) throw error;
      this.#onDamage(handle, error);
    }
    read.waiting = undefined;
  }

  /** The record if the index still names it, else what the index names now for its key. */
  #current(handle: number, record: StoredRecord): Found {
    const { key } = record;
    return usingHandle(this.#parts, key, key.length, (now) =>
      now === handle ? record : this.#replaced(handle, record, now),
    );
  }

  async #replaced(
    handle: number,
    record: StoredRecord,
    now: number,
  ): Promise<StoredRecord | undefined> {
    const { key } = record;
    await checkReplaced(this.#parts, this.#cursor, handle);
    if (now === 0) return undefined;
    const value = await this.#parts.values.read(now, key, key.length);
    return value === undefined ? undefined : { ...record, value };
  }
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
  const slicer = new Slicer(parts);
  for await (const some of walkRecords(parts, onDamage)) {
    for (const record of some) {
      throwIfAborted(options.signal);
      records++;
      bytes += record.key.length + record.value.length;
      if (records % 1000 === 0) options.progress?.(records + damagedCount, total);
    }
    await slicer.pause();
  }
  options.progress?.(records + damagedCount, total);
  return { records, bytes, damaged, damagedCount };
}
