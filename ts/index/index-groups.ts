import { CairnError } from '../common/errors.js';
import { maskOf } from './bucket-table.js';
import type { Buckets } from './buckets.js';
import { INDEX_CURSOR_END, type IndexChunk } from './index.js';
import { compareEntries, DEPTH_MAX, entriesOf, PAGE_ENTRIES, type Entry } from './index-page.js';

// Groups of entries as checkpoints and backups have them: docs/FORMAT.md "Index entries".

export const GROUP_HEADER_BYTES = 16;
const ENTRY_BYTES = 16;

/** A group for each bucket from the cursor on that is in memory, as many as fit. */
export function exportBuckets(buckets: Buckets, cursor: number, out: Uint8Array): IndexChunk {
  const { table, cache } = buckets;
  const view = new DataView(out.buffer, out.byteOffset, out.length);
  let bytes = 0;
  let next = cursor;
  while (next < INDEX_CURSOR_END) {
    const bucket = table.bucketOf(next | 0);
    const slot = table.slot[bucket]!;
    if (slot < 0) break;
    const depth = table.depth[bucket]!;
    const count = buckets.countIn(slot);
    const size = count === 0 ? 0 : GROUP_HEADER_BYTES + count * ENTRY_BYTES;
    if (bytes + size > out.length) {
      if (next === cursor) {
        throw new CairnError('CAIRN_INVALID_ARGUMENT', `out: ${out.length} bytes for ${size}`);
      }
      break;
    }
    if (count > 0)
      writeGroup(view, bytes, next, depth, entriesOf(cache.words(slot), cache.at(slot)));
    bytes += size;
    next += 2 ** (32 - depth);
  }
  return { bytes, next };
}

/** @param view has room for them from `at` on. @param entries ascending. */
export function writeGroup(
  view: DataView,
  at: number,
  prefix: number,
  depth: number,
  entries: readonly Entry[],
): void {
  view.setUint32(at, prefix, true);
  view.setUint32(at + 4, depth, true);
  view.setUint32(at + 8, entries.length, true);
  view.setUint32(at + 12, 0, true);
  at += GROUP_HEADER_BYTES;
  for (const { d, h, x, handle } of entries) {
    view.setInt32(at, h, true);
    view.setInt32(at + 4, d, true);
    view.setUint32(at + 8, handle % 2 ** 32, true);
    view.setUint16(at + 12, x, true);
    view.setUint16(at + 14, Math.floor(handle / 2 ** 32), true);
    at += ENTRY_BYTES;
  }
}

/**
 * Gives each entry of the groups to `put`, which says what was there before: nothing may be.
 *
 * @throws CairnError CAIRN_CORRUPTION when {@link exportBuckets} cannot have written them.
 */
export function importGroups(
  bytes: Uint8Array,
  put: (hash: Int32Array, handle: number) => number,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const hash = new Int32Array(4);
  for (let at = 0; at < bytes.length;) {
    if (bytes.length - at < GROUP_HEADER_BYTES) throw notAChunk();
    const prefix = view.getInt32(at, true);
    const depth = view.getUint32(at + 4, true);
    const count = view.getUint32(at + 8, true);
    const reserved = view.getUint32(at + 12, true);
    at += GROUP_HEADER_BYTES;
    const fits = count > 0 && count < PAGE_ENTRIES && count <= (bytes.length - at) / ENTRY_BYTES;
    if (!fits || depth > DEPTH_MAX || reserved !== 0) throw notAChunk();
    const mask = maskOf(depth);
    if ((prefix & mask) !== prefix) throw notAChunk();
    let previous: Entry | undefined;
    for (let left = count; left > 0; left--, at += ENTRY_BYTES) {
      const entry = readEntry(view, at);
      const ordered = previous === undefined || compareEntries(previous, entry) < 0;
      if (!ordered || entry.handle === 0 || (entry.d & mask) !== prefix) throw notAChunk();
      hash[0] = entry.d;
      hash[1] = entry.h;
      hash[3] = entry.x;
      if (put(hash, entry.handle) !== 0) throw notAChunk();
      previous = entry;
    }
  }
}

function readEntry(view: DataView, at: number): Entry {
  const handle = view.getUint16(at + 14, true) * 2 ** 32 + view.getUint32(at + 8, true);
  const h = view.getInt32(at, true);
  return { d: view.getInt32(at + 4, true), h, x: view.getUint16(at + 12, true), handle };
}

function notAChunk(): CairnError {
  const operation = 'import index';
  return new CairnError('CAIRN_CORRUPTION', `${operation}: not an index chunk`, { operation });
}
