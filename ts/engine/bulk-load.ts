import { CairnError } from '../common/errors.js';
import { copyBytes } from '../common/units.js';
import type { Key, LoadOptions, LoadProgress, LoadSource, RowSource, Value } from './api.js';
import type { ValueStore } from '../value-store/value-store.js';
import { invalid, throwIfAborted, untilAborted } from './calls.js';
import type { StoreParts } from './parts.js';
import { Slicer } from './slicer.js';
import type { WritePath } from './write-path.js';
import { toBytes } from './value-bytes.js';

/** Placed and synced before their log records are appended. */
const GROUP_BYTES = 8 * 1024 * 1024;
const GROUP_ENTRIES = 65_536;
const PROGRESS_EVERY_MS = 250;
/** Rows placed in one call into the addon: well under a millisecond. */
const ROWS_PER_CALL = 512;
/** Entries taken without a look at the clock. */
const ENTRIES_PER_LOOK = 128;

interface Loader {
  readonly parts: StoreParts;
  readonly writes: WritePath;
  readonly options: LoadOptions;
  report(entries: number, bytes: number, last: boolean): void;
}

/**
 * Loads many entries past the log: values go to their slots in large writes, one sync covers a
 * group of them, then the log gets a record of key and handle for each. Durable when it resolves;
 * after a crash a prefix of the load is there. Existing keys are replaced, their slots retired.
 */
export async function bulkLoad(
  parts: StoreParts,
  writes: WritePath,
  checkpoint: () => Promise<void>,
  source: LoadSource,
  options: LoadOptions,
): Promise<LoadProgress> {
  let reported = performance.now();
  const loader: Loader = {
    parts,
    writes,
    options,
    report: (entries, bytes, last) => {
      throwIfAborted(options.signal);
      const now = performance.now();
      if (!last && now - reported < PROGRESS_EVERY_MS) return;
      reported = now;
      options.progress?.({ entries, bytes });
    },
  };
  if (!isIterable(source) && !isRowSource(source)) {
    throw invalid('a source is an iterable, or { keys, rows, rowBytes }');
  }
  const done = isRowSource(source)
    ? await loadRows(loader, source)
    : await loadEntries(loader, source);
  // Values in memory reach the disk by a checkpoint; those in slots are named by the log now.
  if (parts.values.capabilities.persistent) await writes.flush();
  else await checkpoint();
  loader.report(done.entries, done.bytes, true);
  return done;
}

/** Makes groups of placed entries part of the store, in order, while the next one is placed. */
class GroupCommits {
  readonly #values: ValueStore;
  #last: Promise<void> = Promise.resolve();

  constructor(values: ValueStore) {
    this.#values = values;
  }

  /**
   * Writes what is placed at `handles`, then runs `append`, whose business they are from then on.
   * Resolves when the group before this one is through, which bounds what is on its way.
   */
  async push(handles: Float64Array, append: () => Promise<void>): Promise<void> {
    const before = this.#last;
    this.#last = Promise.all([this.#values.flush(), before]).then(append, (error: unknown) => {
      discardAll(this.#values, handles);
      throw error;
    });
    this.#last.catch(() => undefined);
    await before;
  }

  end(): Promise<void> {
    return this.#last;
  }

  /** The load has failed: what is on its way ends, what is placed beside it was never there. */
  async abandon(handles: Float64Array): Promise<void> {
    await this.#last.catch(() => undefined);
    discardAll(this.#values, handles);
  }
}

function discardAll(values: ValueStore, handles: Float64Array): void {
  for (const handle of handles) if (handle !== 0) values.discard(handle);
}

async function loadRows(loader: Loader, source: RowSource): Promise<LoadProgress> {
  const { parts, writes } = loader;
  const rows = checkRowSource(parts, source);
  const { rowBytes } = source;
  // The caller may change the array between our turns.
  const keys = source.keys.slice();
  const rowsPerGroup = Math.max(1, Math.min(GROUP_ENTRIES, Math.floor(GROUP_BYTES / rowBytes)));
  const slicer = new Slicer(parts);
  const commits = new GroupCommits(parts.values);
  let handles = new Float64Array(0);
  try {
    for (let begin = 0; begin < keys.length; begin += rowsPerGroup) {
      const group = keys.subarray(begin, begin + rowsPerGroup);
      const placed = (handles = new Float64Array(group.length));
      await placeRows(loader, keys, rowBytes, rows, begin, placed, slicer);
      handles = new Float64Array(0);
      await commits.push(placed, async () => {
        await writes.appendRows(group, placed);
        parts.meters.bytesWritten += group.length * (rowBytes + 8);
      });
      loader.report(begin, begin * (rowBytes + 8), false);
    }
    await commits.end();
  } catch (error) {
    await commits.abandon(handles);
    throw error;
  }
  return { entries: keys.length, bytes: keys.length * (rowBytes + 8) };
}

async function placeRows(
  loader: Loader,
  keys: BigUint64Array,
  rowBytes: number,
  rows: Uint8Array,
  begin: number,
  handles: Float64Array,
  slicer: Slicer,
): Promise<void> {
  const { parts, writes } = loader;
  const withSpace = writes.placer.attempts();
  for (let placed = 0; placed < handles.length;) {
    const count = Math.min(ROWS_PER_CALL, handles.length - placed);
    const done = await withSpace(() =>
      parts.values.placeRows(
        keys,
        rows,
        rowBytes,
        begin + placed,
        count,
        writes.sequence + 1,
        handles.subarray(placed),
      ),
    );
    placed += done;
    if (done < count) await parts.values.whenRoom();
    else await slicer.pause();
  }
}

/** Keys and handles of entries that are placed and not yet part of the store. */
class PlacedGroup {
  readonly handles = new Float64Array(GROUP_ENTRIES);
  readonly #offsets = new Uint32Array(GROUP_ENTRIES + 1);
  #keys = Buffer.allocUnsafeSlow(GROUP_ENTRIES * 16);
  count = 0;
  valueBytes = 0;

  get full(): boolean {
    return this.count === GROUP_ENTRIES || this.valueBytes >= GROUP_BYTES;
  }

  add(key: Uint8Array, keyLength: number, handle: number, valueBytes: number): void {
    const begin = this.#offsets[this.count] as number;
    if (begin + keyLength > this.#keys.length) {
      const larger = Buffer.allocUnsafeSlow((begin + keyLength) * 2);
      larger.set(this.#keys.subarray(0, begin));
      this.#keys = larger;
    }
    for (let at = 0; at < keyLength; at++) this.#keys[begin + at] = key[at] as number;
    this.handles[this.count++] = handle;
    this.#offsets[this.count] = begin + keyLength;
    this.valueBytes += valueBytes;
  }

  key(at: number): Uint8Array {
    return this.#keys.subarray(this.#offsets[at], this.#offsets[at + 1]);
  }
}

async function loadEntries(
  loader: Loader,
  source: AsyncIterable<readonly [Key, Value]> | Iterable<readonly [Key, Value]>,
): Promise<LoadProgress> {
  const load = new EntryLoad(loader);
  try {
    if (Symbol.iterator in source) {
      // Without a promise per entry.
      let since = 0;
      for (const entry of source) {
        const waiting = load.add(entry);
        if (waiting !== undefined) await waiting;
        if (load.full || ++since % ENTRIES_PER_LOOK === 0) await load.step();
      }
    } else {
      for await (const entry of untilAborted(source, loader.options.signal)) {
        await load.add(entry);
        await load.step();
      }
    }
    return await load.end();
  } catch (error) {
    await load.abandon();
    throw error;
  }
}

class EntryLoad {
  readonly #loader: Loader;
  readonly #slicer: Slicer;
  readonly #commits: GroupCommits;
  #group = new PlacedGroup();
  #entries = 0;
  #bytes = 0;

  constructor(loader: Loader) {
    this.#loader = loader;
    this.#slicer = new Slicer(loader.parts);
    this.#commits = new GroupCommits(loader.parts.values);
  }

  get full(): boolean {
    return this.#group.full;
  }

  /** What has to be waited for, if anything: most entries find room at once. */
  add(entry: readonly [Key, Value]): Promise<void> | undefined {
    const { parts, writes } = this.#loader;
    const { keys } = parts;
    if (!Array.isArray(entry)) throw invalid(`entry ${this.#entries} is no [key, value]`);
    const data = entryBytes(this.#entries, entry[1]);
    keys.encode(entry[0]);
    this.#entries++;
    this.#bytes += keys.length + data.length;
    const group = this.#group;
    const handle = writes.tryPlaceThrough(data);
    if (handle !== 0) {
      group.add(keys.bytes, keys.length, handle, data.length);
      return undefined;
    }
    const stored = copyBytes(keys.bytes, keys.length);
    return writes.placeThrough(stored, data).then((placed) => {
      group.add(stored, stored.length, placed, data.length);
    });
  }

  async step(): Promise<void> {
    throwIfAborted(this.#loader.options.signal);
    if (!this.full) return this.#slicer.pause();
    await this.#commit();
    this.#loader.report(this.#entries, this.#bytes, false);
  }

  async end(): Promise<LoadProgress> {
    if (this.#group.count > 0) await this.#commit();
    await this.#commits.end();
    return { entries: this.#entries, bytes: this.#bytes };
  }

  abandon(): Promise<void> {
    const { handles, count } = this.#group;
    return this.#commits.abandon(handles.subarray(0, count));
  }

  #commit(): Promise<void> {
    const group = this.#group;
    const { count } = group;
    const handles = group.handles.subarray(0, count);
    this.#group = new PlacedGroup();
    const keyAt = group.key.bind(group);
    const { parts, writes } = this.#loader;
    return this.#commits.push(handles, async () => {
      await writes.appendPlaced(count, keyAt, handles);
      parts.meters.bytesWritten += group.valueBytes;
    });
  }
}

function entryBytes(entry: number, value: Value): Uint8Array {
  try {
    return toBytes(value);
  } catch (error) {
    if (error instanceof CairnError) error.message = `entry ${entry}: ${error.message}`;
    throw error;
  }
}

function isIterable(source: LoadSource): boolean {
  if (typeof source !== 'object' || source === null) return false;
  return Symbol.iterator in source || Symbol.asyncIterator in source;
}

function isRowSource(source: LoadSource): source is RowSource {
  return typeof source === 'object' && source !== null && 'rowBytes' in source;
}

function checkRowSource(parts: StoreParts, source: RowSource): Uint8Array {
  const { keys, rows, rowBytes } = source;
  const refuse = (message: string): never => {
    throw new CairnError('CAIRN_INVALID_ARGUMENT', `bulkLoad: ${message}`);
  };
  if (parts.keys.type !== 'u64') refuse("rows need a store with key: { type: 'u64' }");
  if (!(keys instanceof BigUint64Array)) refuse('keys is a BigUint64Array');
  if (!(rows instanceof Uint8Array) && !(rows instanceof Float32Array)) {
    refuse('rows is a Uint8Array or a Float32Array');
  }
  if (!Number.isSafeInteger(rowBytes) || rowBytes < 1) refuse('rowBytes is a positive integer');
  if (rowBytes > parts.values.capabilities.inlineBytesMax) {
    refuse(`rowBytes is at most ${parts.values.capabilities.inlineBytesMax}`);
  }
  if (rows.byteLength !== keys.length * rowBytes) {
    refuse(`rows has ${rows.byteLength} bytes, not ${keys.length} x ${rowBytes}`);
  }
  return new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength);
}
