import { CairnError } from '../common/errors.js';
import type { BucketTable } from './bucket-table.js';
import type { Buckets } from './buckets.js';
import { DEPTH_MAX, PAGE_ENTRIES } from './index-page.js';
import { INDEX_FILE } from './page-file.js';

/** Of a bucket: {u32 page, u16 depth, u16 entries, u64 write number}. docs/FORMAT.md "Index pages". */
export const BUCKET_BYTES = 16;
/** Of a piece, which fits a chunk of a checkpoint. */
const PIECE_BUCKETS = 32_768;
/** Split buckets whose images are copied within one turn. */
const SPLIT_AT_ONCE = 64;
/** Times that such are written ahead; then what is left is copied, however much it is. */
const ROUNDS_MAX = 16;

/**
 * Writes what changed and gives the table of the pages. Everything that was changed before the call
 * is in it. The table is made within one turn, in which no bucket is half of what its image in the
 * file is.
 *
 * @throws CairnError CAIRN_NO_SPACE, CAIRN_IO, CAIRN_CORRUPTION of a page that changes wait for.
 */
export async function writeCheckpoint(buckets: Buckets): Promise<Uint8Array[]> {
  await settlePending(buckets);
  // From here on it is heard of at once: nothing would be written that could be waited for.
  throwFailure(buckets);
  const { cache, writer, file } = buckets;
  cache.wantDirty();
  for (let rounds = 0; cache.wanted > 0 || !writeSplit(buckets, rounds);) {
    if (cache.wanted === 0) {
      rounds++;
      cache.wantDirty();
    }
    writer.flush(true);
    const short = await buckets.progress();
    throwFailure(buckets);
    // Others may have asked for space that these pages do not need.
    if (short !== undefined && file.free === 0 && cache.dirty > 0) throw short;
  }
  file.capture();
  const pieces = tableOf(buckets.table);
  const { started } = writer;
  while (writer.busyBefore(started)) await buckets.progress();
  throwFailure(buckets);
  try {
    await file.sync();
  } catch (error) {
    buckets.fail(error as Error);
    throw error;
  }
  return pieces;
}

/** Resolves when no change that was made before the call waits for its page. */
export function settlePending(buckets: Buckets): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = 1;
    let failure: CairnError | undefined;
    const done = (error?: CairnError): void => {
      failure ??= error;
      if (--left > 0) return;
      if (failure === undefined) resolve();
      else reject(failure);
    };
    left += buckets.pending.bucketCount;
    buckets.loadPending(done);
    done();
  });
}

/** Begins to write all buckets that were split. @returns false when others should be written first. */
function writeSplit({ table, cache, writer, file }: Buckets, rounds: number): boolean {
  const slots = Array.from(table.split, (bucket) => table.slot[bucket]!);
  if (slots.length > SPLIT_AT_ONCE && rounds < ROUNDS_MAX) return false;
  // Of these an image from before the split is on its way.
  if (slots.some((slot) => cache.isWriting(slot)) || file.free < slots.length) return false;
  writer.writeAll(slots);
  return true;
}

function throwFailure({ failure }: Buckets): void {
  if (failure !== undefined) throw failure;
}

function tableOf(table: BucketTable): Uint8Array[] {
  const words = new Uint32Array(4 * table.count);
  let at = 0;
  table.forEach((bucket) => {
    const writeNumber = table.writeNumber[bucket]!;
    words[at] = table.page[bucket]!;
    words[at + 1] = table.depth[bucket]! | (table.entries[bucket]! << 16);
    words[at + 2] = writeNumber;
    words[at + 3] = writeNumber / 2 ** 32;
    at += 4;
  });
  const bytes = new Uint8Array(words.buffer);
  const pieces: Uint8Array[] = [];
  for (let from = 0; from < bytes.length; from += PIECE_BUCKETS * BUCKET_BYTES) {
    pieces.push(bytes.subarray(from, from + PIECE_BUCKETS * BUCKET_BYTES));
  }
  return pieces;
}

export function bucketAt(
  view: DataView,
  at: number,
): {
  readonly page: number;
  readonly depth: number;
  readonly entries: number;
  readonly writeNumber: number;
} {
  return {
    page: view.getUint32(at, true),
    depth: view.getUint16(at + 4, true),
    entries: view.getUint16(at + 6, true),
    writeNumber: view.getUint32(at + 8, true) + view.getUint32(at + 12, true) * 2 ** 32,
  };
}

/** Takes the next buckets of a checkpoint's table. @throws CairnError CAIRN_CORRUPTION. */
export function adoptPiece(buckets: Buckets, piece: Uint8Array): void {
  if (piece.length % BUCKET_BYTES !== 0) throw damagedTable();
  const { table, file } = buckets;
  const view = new DataView(piece.buffer, piece.byteOffset, piece.length);
  for (let at = 0; at < piece.length; at += BUCKET_BYTES) {
    const { page, depth, entries, writeNumber } = bucketAt(view, at);
    if (depth > DEPTH_MAX || entries >= PAGE_ENTRIES || !file.adopt(page, writeNumber)) {
      throw damagedTable();
    }
    const bucket = table.add(depth);
    table.page[bucket] = page;
    table.writeNumber[bucket] = writeNumber;
    table.entries[bucket] = entries;
    buckets.keys += entries;
  }
}

export function damagedTable(): CairnError {
  return new CairnError(
    'CAIRN_CORRUPTION',
    `the checkpoint names pages that ${INDEX_FILE} cannot have`,
    { operation: 'open', file: INDEX_FILE },
  );
}
