import { addon } from '../bindings/addon.js';
import type { FileId, FileSet } from '../bindings/file-set.js';
import { CairnError, type OnDamage } from '../common/errors.js';
import { alignDown, KIB, MIB, PAGE_BYTES } from '../common/units.js';
import { layout, SCAN_END } from './layout.js';
import { limitsOf, planReplay, type ReplayPlan, type SegmentFacts } from './plan.js';
import { RecordBatch } from './record-batch.js';
import { isSegmentFileName } from './segment-files.js';

export interface ReplayOptions {
  readonly storeId: Uint8Array;
  /** From the manifest: segments below hold nothing that the checkpoint does not. */
  readonly firstSegmentId: number;
  /** From the manifest: the checkpoint holds everything up to here. */
  readonly startSequence: number;
  /** From the manifest: known to be durable. */
  readonly durableSequence: number;
  readonly segmentBytes: number;
  /** Nothing is written and nothing synced. */
  readonly readOnly?: boolean;
  /** Called with what would be thrown as CAIRN_CORRUPTION; what comes before that is handed out. */
  readonly onDamage?: OnDamage | undefined;
}

export interface ReplayReport {
  /** The last record that counts. */
  readonly lastSequence: number;
  /** Records handed out. */
  readonly records: number;
  readonly tornTail: boolean;
  /** Live segments. */
  readonly segments: number;
  readonly bytes: number;
}

/** A segment file found at open. */
export interface SegmentFile {
  readonly name: string;
  readonly file: FileId;
  readonly fileBytes: number;
  /** 0: not live, free for reuse. */
  readonly segmentId: number;
}

export interface Replayed {
  readonly report: ReplayReport;
  readonly plan: ReplayPlan;
  readonly files: readonly SegmentFile[];
}

export type OnRecords = (batch: RecordBatch) => void | Promise<void>;

/** Segments up to this total are kept in memory between the scan and the replay. */
const KEEP_BYTES = 96 * MIB;
const SLICE_MS = 0.7;
const READ_PIECE_BYTES = MIB;
const SCAN_STEP_BYTES = 512 * KIB;
const MAX_ROWS = 2048;
const MIN_ROWS = 32;

interface Source extends SegmentFile {
  readonly previousSequence: number;
  readonly scanBytes: number;
  limitSequence: number;
  bytes?: Uint8Array | undefined;
  facts?: SegmentFacts;
}

/** Gives the event loop a turn when a slice is used up; a simulated disk has no loop to starve. */
class Slices {
  private readonly simulated: boolean;
  private started = performance.now();

  constructor(files: FileSet) {
    this.simulated = files.simulated;
  }

  /** True when it is time to call {@link next}. */
  used(): boolean {
    return !this.simulated && performance.now() - this.started >= SLICE_MS;
  }

  async next(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.started = performance.now();
  }
}

/**
 * Reads the log and hands its records back in order, only such as belong to complete batches.
 * The lock is held by the caller.
 *
 * @throws CairnError CAIRN_CORRUPTION when a record known to be durable cannot be read; CAIRN_IO,
 * CAIRN_INCOMPATIBLE. Nothing was handed out then, unless the bytes changed between two reads.
 */
export async function replayLog(
  files: FileSet,
  options: ReplayOptions,
  onRecords: OnRecords,
): Promise<Replayed> {
  const sources = await openSegments(files, options);
  try {
    return await replaySources(files, sources, options, onRecords);
  } catch (error) {
    for (const source of sources) files.close(source.file);
    throw error;
  }
}

async function replaySources(
  files: FileSet,
  sources: readonly Source[],
  options: ReplayOptions,
  onRecords: OnRecords,
): Promise<Replayed> {
  const live = sources.filter((source) => source.segmentId !== 0);
  live.sort((a, b) => a.segmentId - b.segmentId);
  refuseTwins(live);
  const limits = limitsOf(live.map((source) => source.previousSequence));
  for (const [index, source] of live.entries()) source.limitSequence = limits[index] as number;

  const slices = new Slices(files);
  let kept = 0;
  for (const source of sources) {
    const bytes = await readSegment(files, source);
    source.facts = await scan(source, bytes, options, slices);
    kept += bytes.length;
    if (source.segmentId !== 0 && kept <= KEEP_BYTES) source.bytes = bytes;
  }
  const plan = planReplay(
    live.map((source) => source.facts as SegmentFacts),
    sources.filter((s) => s.segmentId === 0).map((s) => s.facts as SegmentFacts),
    options.startSequence,
    options.durableSequence,
  );
  if (plan.damage !== undefined) refuse(lostRecords(plan, plan.damage), options);

  const records = await handOut(files, sources, plan, options, onRecords, slices);
  const report = {
    lastSequence: plan.lastSequence,
    records,
    tornTail: plan.tornTail,
    segments: live.length,
    bytes: live.reduce((sum, source) => sum + source.scanBytes, 0),
  };
  return { report, plan, files: sources };
}

/** @throws CairnError the damage, when nobody takes it. */
function refuse(damage: CairnError, { onDamage }: ReplayOptions): void {
  if (onDamage === undefined) throw damage;
  onDamage(damage);
}

function lostRecords(plan: ReplayPlan, damage: NonNullable<ReplayPlan['damage']>): CairnError {
  return new CairnError(
    'CAIRN_CORRUPTION',
    `recovering the log: ${damage.name} does not check at offset ${damage.offset}: records up to ` +
      `${damage.bound} were durable, readable are those up to ${plan.lastSequence}`,
    { operation: 'recover', file: damage.name, offset: damage.offset },
  );
}

function refuseTwins(live: readonly Source[]): void {
  for (const [index, source] of live.entries()) {
    const before = live[index - 1];
    if (before?.segmentId !== source.segmentId) continue;
    throw new CairnError(
      'CAIRN_CORRUPTION',
      `recovering the log: ${before.name} and ${source.name} both are segment ${source.segmentId}`,
      { operation: 'recover', file: source.name, offset: 0 },
    );
  }
}

async function openSegments(files: FileSet, options: ReplayOptions): Promise<Source[]> {
  const names = files.list().filter(isSegmentFileName);
  const opened = await Promise.all(
    names.map(async (name) => {
      const file = await files.open(name, 0);
      // What a dead process left in flight must not decide anything before it is durable
      // (reliability.md 2.2 rule 5).
      if (options.readOnly !== true) await files.sync(file);
      return { name, file };
    }),
  );
  if (options.readOnly !== true) await files.syncDirectory();
  return Promise.all(opened.map(({ name, file }) => readHeader(files, name, file, options)));
}

async function readHeader(
  files: FileSet,
  name: string,
  file: FileId,
  options: ReplayOptions,
): Promise<Source> {
  const fileBytes = files.sizeOf(file);
  const out = new Float64Array(5);
  // 2: damaged, as is a file without a whole page.
  let check = 2;
  if (fileBytes >= PAGE_BYTES) {
    check = addon().logHeader(options.storeId, await files.read(file, 0, PAGE_BYTES), out);
  }
  if (check === 3) {
    throw new CairnError(
      'CAIRN_INCOMPATIBLE',
      `recovering the log: ${name} has a format of another version of cairn`,
      { operation: 'recover', file: name, offset: 0 },
    );
  }
  const [id = 0, segmentBytes = 0, previousSequence = 0] = out;
  const isLive = check === 0 && id >= options.firstSegmentId;
  // It was as long as this, and durable, before its header was written.
  if (isLive && fileBytes < segmentBytes) {
    const what = `recovering the log: ${name} has ${fileBytes} of ${segmentBytes} bytes`;
    const place = { operation: 'recover', file: name, offset: fileBytes };
    refuse(new CairnError('CAIRN_CORRUPTION', what, place), options);
  }
  const scanBytes = alignDown(
    Math.min(fileBytes, isLive ? segmentBytes : options.segmentBytes),
    PAGE_BYTES,
  );
  return {
    name,
    file,
    fileBytes,
    segmentId: isLive ? id : 0,
    previousSequence,
    scanBytes,
    limitSequence: Number.MAX_SAFE_INTEGER,
  };
}

async function readSegment(files: FileSet, source: Source): Promise<Uint8Array> {
  if (source.bytes !== undefined) return source.bytes;
  if (source.scanBytes === 0) return new Uint8Array(0);
  const bytes = files.allocate(source.scanBytes);
  // In pieces: the kernel maps the memory of a read in the call that starts it, on this thread.
  for (let offset = 0; offset < bytes.length; offset += READ_PIECE_BYTES) {
    const end = Math.min(offset + READ_PIECE_BYTES, bytes.length);
    await files.readInto(source.file, offset, bytes.subarray(offset, end));
  }
  return bytes;
}

async function scan(
  source: Source,
  bytes: Uint8Array,
  options: ReplayOptions,
  slices: Slices,
): Promise<SegmentFacts> {
  const { scan: at, scanSlots } = layout();
  const slots = new Float64Array(scanSlots);
  slots[at.limitSequence] = source.limitSequence;
  slots[at.firstLiveId] = options.firstSegmentId;
  while (!addon().logScan(options.storeId, bytes, SCAN_STEP_BYTES, slots)) {
    if (slices.used()) await slices.next();
  }
  const end = slots[at.end] as number;
  return {
    name: source.name,
    segmentId: slots[at.segmentId] as number,
    previousSequence: source.previousSequence,
    limitSequence: source.limitSequence,
    lastSequence: slots[at.lastSequence] as number,
    completeSequence: slots[at.completeSequence] as number,
    durableSequence: slots[at.durableSequence] as number,
    highestSegmentId: slots[at.highestSegmentId] as number,
    highestSequence: slots[at.highestSequence] as number,
    endOffset: slots[at.endOffset] as number,
    torn: end === SCAN_END.torn || (source.segmentId !== 0 && end === SCAN_END.foreign),
  };
}

async function handOut(
  files: FileSet,
  sources: readonly Source[],
  plan: ReplayPlan,
  options: ReplayOptions,
  onRecords: OnRecords,
  slices: Slices,
): Promise<number> {
  const { rowSlots, cursor: at } = layout();
  let capacity = 256;
  const batch = new RecordBatch(new Float64Array(capacity * rowSlots));
  let records = 0;
  for (const name of plan.order) {
    const source = sources.find((candidate) => candidate.name === name) as Source;
    const bytes = await readSegment(files, source);
    source.bytes = undefined;
    batch.bytes = bytes;
    const cursor = cursorOf(source, plan);
    for (;;) {
      const started = performance.now();
      const slots = capacity * rowSlots;
      if (batch.rows.length < slots) batch.rows = new Float64Array(slots);
      const room = batch.rows.subarray(0, slots);
      batch.count = addon().logDecode(options.storeId, bytes, options.startSequence, cursor, room);
      if (cursor[at.damaged] !== 0) throw changedBytes(source, cursor);
      if (batch.count > 0) await onRecords(batch);
      records += batch.count;
      if (batch.count < capacity) break;
      // As many rows as the engine applies in a slice; it knows its own cost, we measure it.
      const took = performance.now() - started;
      if (took > SLICE_MS) capacity = Math.max(MIN_ROWS, capacity >> 1);
      else if (took < SLICE_MS / 3) capacity = Math.min(MAX_ROWS, capacity << 1);
      if (slices.used()) await slices.next();
    }
    if (slices.used()) await slices.next();
  }
  batch.bytes = new Uint8Array(0);
  return records;
}

function cursorOf(source: Source, plan: ReplayPlan): Float64Array {
  const facts = source.facts as SegmentFacts;
  const { cursor: at, cursorSlots } = layout();
  const cursor = new Float64Array(cursorSlots);
  // A segment may end before the last complete record of the log, and inside a batch.
  cursor[at.limitSequence] = Math.min(facts.lastSequence, plan.lastSequence);
  cursor[at.segmentId] = source.segmentId;
  cursor[at.lastSequence] = source.previousSequence;
  cursor[at.groupOffset] = PAGE_BYTES;
  return cursor;
}

function changedBytes(source: Source, cursor: Float64Array): CairnError {
  return new CairnError(
    'CAIRN_CORRUPTION',
    `recovering the log: ${source.name} read differently the second time`,
    {
      operation: 'recover',
      file: source.name,
      offset: cursor[layout().cursor.groupOffset] as number,
    },
  );
}
