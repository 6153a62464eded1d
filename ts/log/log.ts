import { addon } from '../bindings/addon.js';
import type { FileSet } from '../bindings/file-set.js';
import type { NativeLogWriter } from '../bindings/log.js';
import { CairnError, isCairnError } from '../common/errors.js';
import { MIB } from '../common/units.js';
import { LogState } from './log-state.js';
import { replayLog, type OnRecords, type ReplayOptions, type ReplayReport } from './replay.js';
import { SegmentPool } from './segment-pool.js';

/** What a record says; the numbers are on disk (docs/FORMAT.md "Record"). */
export const RECORD_PUT = 1;
export const RECORD_PUT_REF = 2;
export const RECORD_DELETE = 3;
/** Value bytes before those of the next record, of the same key and batch. */
export const RECORD_PUT_PART = 4;
export { FLAG_MORE } from './layout.js';

/**
 * Added to the highest sequence ever seen before the first append after a recovery: whatever a cut
 * tail or a slot written for it carries is below.
 */
export const SEQUENCE_GAP = 2 ** 20;

export interface LogOptions {
  readonly storeId: Uint8Array;
  /** Bytes of a segment; a multiple of 4 KiB, 16 KiB to 1 GiB. */
  readonly segmentBytes: number;
  /** Largest write. @default 1 MiB */
  readonly maxGroupBytes?: number;
  /** Appended and not yet written, beyond which append returns false. @default 8 MiB */
  readonly maxPendingBytes?: number;
  /** All segments together; raised to four segments. @default 64 MiB */
  readonly capacityBytes?: number;
}

export interface RecoverOptions extends LogOptions, ReplayOptions {}

export type OnProgress = (durableSequence: number, writtenSequence: number) => void;

interface Waiter {
  readonly sequence: number;
  readonly resolve: () => void;
  readonly reject: (error: CairnError) => void;
}
/** Kept for urgent records: see {@link Log.append}. */
const RESERVE_SEGMENTS = 1;
const FREE_SEGMENTS = 2 + RESERVE_SEGMENTS;
/** More than there can be. */
const ALL_SEGMENTS = 2 ** 31;

/**
 * The write-ahead log: append copies a record and returns; groups of records go to the device one
 * after the other (native/log/log_writer.h). Sequences are the caller's and ascend.
 *
 * Any failed write or sync is final: append, sync and whenRoom throw CAIRN_IO (or CAIRN_NO_SPACE)
 * from then on; only reopening the store clears it.
 */
export class Log extends LogState {
  private readonly native: NativeLogWriter;
  private readonly token: number;
  private readonly segments: SegmentPool;
  private readonly syncWaiters: Waiter[] = [];
  private roomWaiters: Waiter[] = [];
  private roomEvents = 0;
  /** `roomEvents` when a record found no room last; undefined when that was waited for. */
  private refusedAt: number | undefined;
  private progress: OnProgress | undefined;
  private failure: CairnError | undefined;
  /** Why only urgent records are taken; undefined: all are. */
  private shortage: CairnError | undefined;
  private closed = false;

  /** The first sequence that may be appended. */
  readonly firstSequence: number;

  private constructor(
    private readonly files: FileSet,
    private readonly options: LogOptions,
    place: { nextSegmentId: number; previousSequence: number; firstSequence: number },
  ) {
    const token = files.channel.register((result) => this.onPost(result));
    const native = new (addon().NativeLogWriter)({
      io: files.native,
      storeId: options.storeId,
      segmentBytes: options.segmentBytes,
      maxGroupBytes: options.maxGroupBytes ?? MIB,
      maxPendingBytes: options.maxPendingBytes ?? 8 * MIB,
      token,
      ...place,
    });
    super(native.state);
    this.token = token;
    this.native = native;
    this.firstSequence = place.firstSequence;
    this.native.setReserve(RESERVE_SEGMENTS);
    const { capacityBytes } = this;
    this.segments = new SegmentPool(files, { ...options, capacityBytes }, (file) => {
      this.native.addSegment(file);
      this.settleRoom();
    });
  }

  /** A log without a record: first segment id 1, first sequence 1; ready for appends on return. */
  static async create(files: FileSet, options: LogOptions): Promise<Log> {
    const place = { nextSegmentId: 1, previousSequence: 0, firstSequence: 1 };
    const log = new Log(files, options, place);
    await log.prepare();
    return log;
  }

  /**
   * Hands back the records after the checkpoint, then is ready for appends. The new records go to a
   * segment of their own, so that nothing behind the cut can be read again.
   *
   * @param onRecords complete batches only; a batch of records may be cut between two calls.
   * @throws CairnError CAIRN_CORRUPTION with file and offset when a durable record cannot be read.
   */
  static async recover(
    files: FileSet,
    options: RecoverOptions,
    onRecords: OnRecords,
  ): Promise<{ readonly log: Log; readonly report: ReplayReport }> {
    const { report, plan, files: found } = await replayLog(files, options, onRecords);
    const log = new Log(files, options, {
      nextSegmentId: Math.max(plan.highestSegmentId, options.firstSegmentId - 1) + 1,
      previousSequence: plan.lastSequence,
      firstSequence: plan.highestSequence + SEQUENCE_GAP,
    });
    const readOnly = options.readOnly === true;
    for (const segment of found) await log.segments.found(segment, readOnly);
    if (!readOnly) {
      await log.prepare().catch((error: unknown) => {
        // A full device is the first write's business.
        if (!isCairnError(error, 'CAIRN_NO_SPACE')) throw error;
      });
    }
    return { log, report };
  }

  /** A segment for the first record, and the reserve. */
  private async prepare(): Promise<void> {
    while (this.freeSegments <= RESERVE_SEGMENTS) await this.segments.add();
  }

  /** In segments that hold records and are not released. */
  get liveBytes(): number {
    return (this.state[this.slots.liveBytes] as number) + this.segments.oldBytes;
  }
  /** Some of the free ones are kept: a record that is not urgent begins one only of these. */
  get spareSegments(): number {
    return this.shortage === undefined ? this.freeSegments - RESERVE_SEGMENTS : 0;
  }
  /** Urgent records have taken what is kept for them. */
  get reserveUsed(): boolean {
    return this.freeSegments < RESERVE_SEGMENTS;
  }
  /** A checkpoint would give back segments that any record may use. */
  get canRelease(): boolean {
    const all = this.freeSegments + Math.floor(this.liveBytes / this.segmentBytes);
    return this.shortage === undefined && this.liveBytes > 0 && all > RESERVE_SEGMENTS;
  }
  get segmentBytes(): number {
    return this.options.segmentBytes;
  }
  get capacityBytes(): number {
    return Math.max(this.options.capacityBytes ?? 64 * MIB, 4 * this.options.segmentBytes);
  }
  get hasRoomWaiters(): boolean {
    return this.roomWaiters.length > 0;
  }
  /** The failure that ended writing, if one did. */
  get failed(): CairnError | undefined {
    return this.failure;
  }

  /**
   * Copies a record into the group that will be written next.
   *
   * @param key its first keyLength bytes, 1 to 65536.
   * @param value for RECORD_PUT and RECORD_PUT_PART only.
   * @param sequence above all before it.
   * @param wantSync the group is made durable, not just written.
   * @param urgent takes the segment that is kept for what makes room: a full store can delete.
   * @returns false when there is no room and nothing was done: again after {@link whenRoom}. Between
   * the records of a batch nothing else may be appended meanwhile.
   * @throws CairnError CAIRN_TOO_LARGE when the record does not fit into a segment.
   */
  append(
    kind: number,
    flags: number,
    handle: number,
    key: Uint8Array,
    keyLength: number,
    value: Uint8Array | undefined,
    sequence: number,
    wantSync: boolean,
    urgent = false,
  ): boolean {
    const bits = kind | (flags << 8) | (wantSync ? 0x10000 : 0) | (urgent ? 0x20000 : 0);
    const result = this.native.append(bits, handle, key, keyLength, value, sequence);
    if (this.files.simulated) this.files.kick();
    if (result === 1) return true;
    return this.refused(result);
  }

  /**
   * As {@link append}, of RECORD_PUT_REF, for the rows `from` to `from + count` of a u64 store.
   *
   * @param keys 8 bytes each.
   * @param sequence of the first; the next have the next ones.
   * @returns how many were appended: fewer than `count` when there is no more room.
   */
  appendRows(
    keys: Uint8Array,
    from: number,
    count: number,
    handles: Float64Array,
    sequence: number,
  ): number {
    const result = this.native.appendRows(keys, from, count, handles, sequence);
    if (this.files.simulated) this.files.kick();
    if (result < 0) this.refused(result);
    if (result < count) this.makeSegments();
    return result;
  }

  private refused(result: number): false {
    switch (result) {
      case 0:
        this.refusedAt = this.roomEvents;
        this.makeSegments();
        return false;
      case -1:
        throw this.failure ?? this.failureOf(-(this.state[this.slots.failedErrno] as number));
      case -2:
        throw closedError('append');
      case -3:
        throw new CairnError(
          'CAIRN_TOO_LARGE',
          `append: the record does not fit into a log segment of ${this.options.segmentBytes} bytes`,
          { operation: 'append' },
        );
      case -5:
        throw new CairnError('CAIRN_NO_SPACE', 'append: no memory for the group', {
          operation: 'append',
        });
      default:
        throw new CairnError(
          'CAIRN_INVALID_ARGUMENT',
          'append: sizes out of range, or a sequence that is not above the last one',
          { operation: 'append' },
        );
    }
  }

  /** The last record of the batch that was begun will not come: the log cuts the others. */
  abandonBatch(): void {
    this.native.abandonBatch();
    if (this.files.simulated) this.files.kick();
  }

  /** Why only urgent records are taken; undefined: all are. */
  get short(): CairnError | undefined {
    return this.shortage;
  }

  /** From here on only urgent records are taken, or, without a reason, all again. */
  setShort(reason: CairnError | undefined): void {
    if (this.shortage === reason) return;
    this.shortage = reason;
    this.native.setReserve(reason === undefined ? RESERVE_SEGMENTS : ALL_SEGMENTS);
    this.settleRoom();
  }

  /** Resolves when {@link append} may succeed again: something was written, or a segment came. */
  whenRoom(urgent = false): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.closed) return reject(closedError('append'));
      if (this.failure !== undefined) return reject(this.failure);
      if (this.shortage !== undefined && !urgent) return reject(this.shortage);
      // It may have come already, between the refusal and this call.
      const missed = this.refusedAt !== undefined && this.refusedAt !== this.roomEvents;
      this.refusedAt = undefined;
      if (missed) return resolve();
      this.roomWaiters.push({ sequence: 0, resolve, reject });
      this.makeSegments();
    });
  }

  /** Lets those who wait for room look again: something else has changed. */
  wake(): void {
    this.settleRoom();
  }

  /** Resolves when every complete batch appended so far is durable. */
  sync(): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    if (this.closed) return Promise.reject(closedError('sync'));
    const sequence = this.completeSequence;
    if (this.durableSequence >= sequence) return Promise.resolve();
    this.requestSync();
    return new Promise((resolve, reject) => this.syncWaiters.push({ sequence, resolve, reject }));
  }

  /** Asks for a durable point without waiting for it: see {@link onProgress}. */
  requestSync(): void {
    this.native.requestSync();
    if (this.files.simulated) this.files.kick();
  }

  /** Blocks until every complete batch appended so far is durable, or only written. */
  waitSync(durable: boolean): void {
    const sequence = this.completeSequence;
    if (durable && this.durableSequence < sequence) this.native.requestSync();
    this.native.flush();
    while ((durable ? this.durableSequence : this.writtenSequence) < sequence) {
      if (this.failure !== undefined) throw this.failure;
      this.files.channel.wait();
    }
  }

  /** Starts what is pending without waiting for the end of the turn. */
  flush(): void {
    this.native.flush();
    if (this.files.simulated) this.files.kick();
  }

  /** Called after each group and each sync; one callback at a time. */
  onProgress(callback: OnProgress | undefined): void {
    this.progress = callback;
  }

  /** Ends the current segment. @returns id of the segment that the next record begins. */
  rotate(): number {
    const next = this.native.rotate();
    if (this.files.simulated) this.files.kick();
    return next;
  }

  /**
   * Recycles the segments below segmentId. A durable manifest no longer names them.
   */
  release(segmentId: number): void {
    if (this.failure !== undefined) return;
    this.native.releaseBefore(segmentId);
    this.segments.release(segmentId);
    this.settleRoom();
    this.makeSegments();
  }

  /** Writes what is pending, makes it durable, closes the files. May be called again. */
  async close(): Promise<void> {
    if (this.closed) return;
    let failed: unknown;
    try {
      if (this.failure === undefined) await this.sync();
      while (this.isBusy() && this.failure === undefined) await this.whenRoom();
    } catch (error) {
      failed = error;
    }
    this.closed = true;
    this.native.close();
    this.files.channel.unregister(this.token);
    const error = closedError('append');
    for (const waiter of [...this.roomWaiters, ...this.syncWaiters]) waiter.reject(error);
    this.roomWaiters = [];
    this.syncWaiters.length = 0;
    await this.segments.close();
    if (failed !== undefined) throw failed as Error;
  }

  private isBusy(): boolean {
    if (this.pendingBytes > 0) this.flush();
    return this.pendingBytes > 0 || this.state[this.slots.busy] !== 0;
  }

  private onPost(result: number): void {
    if (result < 0) {
      this.fail(result);
      return;
    }
    const durable = this.durableSequence;
    let settled = 0;
    for (const waiter of this.syncWaiters) {
      if (waiter.sequence > durable) break;
      waiter.resolve();
      settled++;
    }
    if (settled > 0) this.syncWaiters.splice(0, settled);
    // A request for a sync reaches a batch only up to its last record then.
    if (this.syncWaiters.length > 0 && this.state[this.slots.busy] === 0) this.requestSync();
    this.settleRoom();
    if (this.freeSegments < FREE_SEGMENTS) this.makeSegments();
    this.progress?.(durable, this.writtenSequence);
  }

  private failureOf(result: number): CairnError {
    return new CairnError(
      'CAIRN_IO',
      'writing the log failed: the store takes no more writes until it is reopened',
      { operation: 'append', cause: Object.assign(new Error('log write'), { errno: -result }) },
    );
  }

  private fail(result: number): void {
    this.failure ??= this.failureOf(result);
    const waiters = [...this.syncWaiters, ...this.roomWaiters];
    this.syncWaiters.length = 0;
    this.roomWaiters = [];
    for (const waiter of waiters) waiter.reject(this.failure);
    this.progress?.(this.durableSequence, this.writtenSequence);
  }

  private settleRoom(): void {
    this.roomEvents++;
    if (this.roomWaiters.length === 0) return;
    const waiters = this.roomWaiters;
    this.roomWaiters = [];
    for (const waiter of waiters) waiter.resolve();
  }

  /** Prepares segments in the background until two are free or the capacity is used. */
  private makeSegments(): void {
    this.segments.fill(
      () => !this.closed && this.failure === undefined && this.freeSegments < FREE_SEGMENTS,
      (error) => this.starve(error),
    );
  }

  /** What should have made room failed. Waiters learn of it when nothing else will make any. */
  starve(error: unknown): void {
    const shortage = isCairnError(error)
      ? error
      : new CairnError('CAIRN_IO', 'making room in the log failed', { cause: error });
    if (this.spareSegments > 0 || this.isBusy()) return;
    const waiters = this.roomWaiters;
    this.roomWaiters = [];
    for (const waiter of waiters) waiter.reject(shortage);
  }

  /** Makes a segment ready while the caller blocks, beyond the capacity if need be. */
  addSegmentSync(): void {
    if (this.failure !== undefined) throw this.failure;
    this.segments.addSync();
  }
}

function closedError(operation: string): CairnError {
  return new CairnError('CAIRN_CLOSED', `${operation}: the log is closed`, { operation });
}
