import { addon } from '../bindings/addon.js';
import type { FileId, FileSet } from '../bindings/file-set.js';
import { CairnError } from '../common/errors.js';
import { MIB, PAGE_BYTES } from '../common/units.js';
import { layout } from './layout.js';
import { limitsOf } from './plan.js';
import { replayLog, type OnRecords } from './replay.js';
import { isSegmentFileName, segmentFileName } from './segment-files.js';

/** Which part of a log: what follows a checkpoint, up to a sequence that ends a batch. */
export interface LogPart {
  readonly storeId: Uint8Array;
  readonly firstSegmentId: number;
  readonly startSequence: number;
  readonly lastSequence: number;
}

interface Segment {
  readonly name: string;
  readonly segmentId: number;
  readonly segmentBytes: number;
  readonly previousSequence: number;
  readonly firstSequence: number;
  limitSequence: number;
}

const PIECE_BYTES = MIB;
const SCAN_STEP_BYTES = 512 * 1024;

/**
 * Copies a part of a log that is durable; what is written behind it meanwhile is left out. No
 * segment of the part may be recycled until it resolves.
 *
 * @param onBytes after each piece; throws to end the copy.
 * @throws CairnError CAIRN_CORRUPTION when the part cannot be read whole.
 */
export async function copyLog(
  source: FileSet,
  target: FileSet,
  part: LogPart,
  onBytes: (bytes: number) => void,
): Promise<void> {
  if (part.lastSequence <= part.startSequence) return;
  let last = part.startSequence;
  let copied = 0;
  for (const segment of await segmentsOf(source, part)) {
    // All of it was cut by an earlier recovery.
    if (segment.limitSequence <= segment.previousSequence) continue;
    if (segment.previousSequence > part.startSequence && segment.previousSequence !== last) break;
    const name = segmentFileName(copied++);
    last = Math.max(last, await copySegment(source, target, part, segment, name, onBytes));
  }
  if (last >= part.lastSequence) return;
  throw new CairnError(
    'CAIRN_CORRUPTION',
    `copying the log: records up to ${part.lastSequence} are durable, readable are those up to ${last}`,
    { operation: 'backup' },
  );
}

/**
 * Hands back the records of a copy, in order.
 *
 * @throws CairnError CAIRN_CORRUPTION when the copy is not what was to be copied.
 */
export async function readLogCopy(
  files: FileSet,
  part: LogPart,
  segmentBytes: number,
  onRecords: OnRecords,
): Promise<void> {
  const options = { ...part, durableSequence: part.lastSequence, segmentBytes, readOnly: true };
  const replayed = await replayLog(files, options, onRecords);
  for (const { file } of replayed.files) files.close(file);
}

/** The live segments that begin within the part, in order. */
async function segmentsOf(files: FileSet, part: LogPart): Promise<Segment[]> {
  const live: Segment[] = [];
  for (const name of files.list().filter(isSegmentFileName)) {
    const file = await files.open(name, 0);
    try {
      if (files.sizeOf(file) < PAGE_BYTES) continue;
      const out = new Float64Array(5);
      const page = await files.read(file, 0, PAGE_BYTES);
      if (addon().logHeader(part.storeId, page, out) !== 0) continue;
      const [segmentId = 0, segmentBytes = 0, previousSequence = 0, firstSequence = 0] = out;
      if (segmentId < part.firstSegmentId) continue;
      const limitSequence = part.lastSequence;
      live.push({ name, segmentId, segmentBytes, previousSequence, firstSequence, limitSequence });
    } finally {
      files.close(file);
    }
  }
  live.sort((a, b) => a.segmentId - b.segmentId);
  const limits = limitsOf(live.map(({ previousSequence }) => previousSequence));
  for (const [at, segment] of live.entries()) {
    segment.limitSequence = Math.min(limits[at] as number, part.lastSequence);
  }
  return live.filter(({ firstSequence }) => firstSequence <= part.lastSequence);
}

/** @returns the last sequence that the segment has of the part. */
async function copySegment(
  source: FileSet,
  target: FileSet,
  part: LogPart,
  segment: Segment,
  name: string,
  onBytes: (bytes: number) => void,
): Promise<number> {
  const bytes = await readSegment(source, segment);
  const { scan: at, scanSlots } = layout();
  const slots = new Float64Array(scanSlots);
  slots[at.limitSequence] = segment.limitSequence;
  slots[at.firstLiveId] = part.firstSegmentId;
  while (!addon().logScan(part.storeId, bytes, SCAN_STEP_BYTES, slots)) {
    if (!source.simulated) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  const file = await target.open(name, 1);
  try {
    await writeSegment(target, file, bytes, slots[at.endOffset] as number, onBytes);
  } finally {
    target.close(file);
  }
  return Math.min(slots[at.lastSequence] as number, segment.limitSequence);
}

async function readSegment(files: FileSet, segment: Segment): Promise<Uint8Array> {
  const bytes = files.allocate(segment.segmentBytes);
  const file = await files.open(segment.name, 0);
  try {
    for (let offset = 0; offset < bytes.length; offset += PIECE_BYTES) {
      const end = Math.min(offset + PIECE_BYTES, bytes.length);
      await files.readInto(file, offset, bytes.subarray(offset, end));
    }
    return bytes;
  } finally {
    files.close(file);
  }
}

/**
 * The groups, then zeros: what lies behind them belongs to other uses of the file. Every byte is
 * written, as of a segment that is prepared for use, because later this one is used again.
 */
async function writeSegment(
  files: FileSet,
  file: FileId,
  bytes: Uint8Array,
  endOffset: number,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const zeros = files.allocate(Math.min(PIECE_BYTES, bytes.length));
  for (let offset = 0; offset < bytes.length;) {
    const used = offset < endOffset;
    const end = Math.min(offset + PIECE_BYTES, used ? endOffset : bytes.length);
    const piece = used ? bytes.subarray(offset, end) : zeros.subarray(0, end - offset);
    await files.write(file, offset, piece, { sync: false });
    offset = end;
    onBytes(piece.length);
  }
  await files.sync(file);
}
