import { CairnError } from '../common/errors.js';
import { copyBytes } from '../common/units.js';
import type { Key, LoadOptions, LoadProgress, LoadSource, RowSource, Value } from './api.js';
import type { ValueStore } from '../value-store/value-store.js';
import type { StoreParts } from './parts.js';
import { Slicer } from './recovery.js';
import { throwIfAborted } from './walk.js';
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
   * Writes what is placed, then runs `append`. Resolves when the group before this one is through,
   * which bounds what is on its way.
   */
  async push(append: () => Promise<void>): Promise<void> {
    const before = this.#last;
    this.#last = Promise.all([this.#values.flush(), before]).then(append);
    this.#last.catch(() => undefined);
    await before;
  }

  end(): Promise<void> {
    return this.#last;
  }
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
  for (let begin = 0; begin < keys.length; begin += rowsPerGroup) {
    const group = keys.subarray(begin, begin + rowsPerGroup);
    const handles = new Float64Array(group.length);
    await placeRows(loader, keys, rowBytes, rows, begin, handles, slicer);
    await commits.push(() => writes.appendRows(group, handles));
    loader.report(begin, begin * (rowBytes + 8), false);
  }
  await commits.end();
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
  const { parts, writes } = loader;
  const { keys } = parts;
  const slicer = new Slicer(parts);
  const commits = new GroupCommits(parts.values);
  let group = new PlacedGroup();
  let entries = 0;
  let bytes = 0;
  const commit = (): Promise<void> => {
    const { handles, count } = group;
    const keyAt = group.key.bind(group);
    group = new PlacedGroup();
    return commits.push(() => writes.appendPlaced(count, keyAt, handles));
  };
  /** What has to be waited for, if anything: most entries find room at once. */
  const add = (key: Key, value: Value): Promise<void> | undefined => {
    const data = entryBytes(entries, value);
    keys.encode(key);
    entries++;
    bytes += keys.length + data.length;
    const handle = writes.tryPlaceThrough(data);
    if (handle !== 0) {
      group.add(keys.bytes, keys.length, handle, data.length);
      return undefined;
    }
    const stored = copyBytes(keys.bytes, keys.length);
    return writes.placeThrough(stored, data).then((placed) => {
      group.add(stored, stored.length, placed, data.length);
    });
  };
  const step = async (): Promise<void> => {
    if (!group.full) return slicer.pause();
    await commit();
    loader.report(entries, bytes, false);
  };
  if (Symbol.iterator in source) {
    // Without a promise per entry.
    let since = 0;
    for (const [key, value] of source) {
      const waiting = add(key, value);
      if (waiting !== undefined) await waiting;
      if (group.full || ++since % ENTRIES_PER_LOOK === 0) await step();
    }
  } else {
    for await (const [key, value] of source) {
      await add(key, value);
      await step();
    }
  }
  if (group.count > 0) await commit();
  await commits.end();
  return { entries, bytes };
}

function entryBytes(entry: number, value: Value): Uint8Array {
  try {
    return toBytes(value);
  } catch (error) {
    if (error instanceof CairnError) error.message = `entry ${entry}: ${error.message}`;
    throw error;
  }
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
