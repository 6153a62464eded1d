import { CairnError } from '../common/errors.js';
import { copyBytes } from '../common/units.js';
import type { Key, LoadOptions, LoadProgress, LoadSource, RowSource, Value } from './api.js';
import type { StoreParts } from './parts.js';
import { Slicer } from './recovery.js';
import { throwIfAborted } from './walk.js';
import type { WritePath } from './write-path.js';

/** Placed and synced before their log records are appended. */
const GROUP_BYTES = 8 * 1024 * 1024;
const GROUP_ENTRIES = 65_536;
const PROGRESS_EVERY_MS = 250;
/** Rows placed in one call into the addon: well under a millisecond. */
const ROWS_PER_CALL = 512;

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

async function loadRows(loader: Loader, source: RowSource): Promise<LoadProgress> {
  const { parts, writes } = loader;
  const rows = checkRowSource(parts, source);
  const { rowBytes } = source;
  // The caller may change the array between our turns.
  const keys = source.keys.slice();
  const rowsPerGroup = Math.max(1, Math.min(GROUP_ENTRIES, Math.floor(GROUP_BYTES / rowBytes)));
  const slicer = new Slicer(parts);
  let appended: Promise<void> = Promise.resolve();
  for (let begin = 0; begin < keys.length; begin += rowsPerGroup) {
    const group = keys.subarray(begin, begin + rowsPerGroup);
    const handles = new Float64Array(group.length);
    await placeRows(loader, keys, rowBytes, rows, begin, handles, slicer);
    // While this group is on its way to the device the next one is placed.
    const before = appended;
    const written = parts.values.flush();
    appended = Promise.all([written, before]).then(() => writes.appendRows(group, handles));
    appended.catch(() => undefined);
    await before;
    loader.report(begin, begin * (rowBytes + 8), false);
  }
  await appended;
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
  for (let placed = 0; placed < handles.length;) {
    const count = Math.min(ROWS_PER_CALL, handles.length - placed);
    const done = await writes.placer.withSpace(() =>
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

async function loadEntries(
  loader: Loader,
  source: AsyncIterable<readonly [Key, Value]> | Iterable<readonly [Key, Value]>,
): Promise<LoadProgress> {
  const { parts, writes } = loader;
  const slicer = new Slicer(parts);
  let entries = 0;
  let bytes = 0;
  let group: Uint8Array[] = [];
  let groupBytes = 0;
  const handles = new Float64Array(GROUP_ENTRIES);
  const commit = async (): Promise<void> => {
    await parts.values.flush();
    const committed = group;
    await writes.appendPlaced(group.length, (at) => committed[at] as Uint8Array, handles);
    group = [];
    groupBytes = 0;
    loader.report(entries, bytes, false);
  };
  for await (const [key, value] of source) {
    const data = typeof value === 'string' ? Buffer.from(value) : value;
    if (!(data instanceof Uint8Array)) {
      throw new CairnError('CAIRN_INVALID_VALUE', `entry ${entries}: a value is a string or bytes`);
    }
    parts.keys.encode(key);
    const stored = copyBytes(parts.keys.bytes, parts.keys.length);
    handles[group.length] = await writes.placeThrough(stored, data);
    group.push(stored);
    groupBytes += data.length;
    entries++;
    bytes += stored.length + data.length;
    if (group.length === GROUP_ENTRIES || groupBytes >= GROUP_BYTES) await commit();
    else await slicer.pause();
  }
  if (group.length > 0) await commit();
  return { entries, bytes };
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
