import { CairnError, isCairnError } from '../common/errors.js';
import { copyBytes } from '../common/units.js';
import { RECORD_DELETE, RECORD_PUT, RECORD_PUT_REF } from '../log/log.js';
import { Acknowledger } from './acknowledger.js';
import type { DurabilityLevel } from './api.js';
import { Appender } from './appender.js';
import { copyOperation, OpenBatch, PART_BYTES, planBatch } from './batch-write.js';
import type { PutOperation, WriteOperation } from './batch-write.js';
import { LogRoom } from './log-room.js';
import { PageRoom } from './page-room.js';
import type { StoreParts } from './parts.js';
import { PlacedAppends } from './placed-appends.js';
import { Placer, type SpaceMaker } from './placer.js';

/**
 * Puts, deletes and batches: place the value, append to the log, update the index, acknowledge at
 * the level asked for, retire the old slot.
 *
 * A write that finds room everywhere is done within the call. One that has to wait (for room in the
 * log or the values file, or for a large value) joins a queue that is worked off in order, and so
 * does every write behind it.
 */
export class WritePath {
  readonly #parts: StoreParts;
  readonly #space: SpaceMaker;
  readonly #appender: Appender;
  readonly #acks: Acknowledger;
  readonly #room: LogRoom;
  readonly #pages: PageRoom;
  readonly #placed: PlacedAppends;
  readonly placer: Placer;
  #queue: Promise<unknown> = Promise.resolve();
  #queued = 0;
  #openBatch: OpenBatch | undefined;
  #batchBegun = false;
  #batchWaiters: (() => void)[] = [];

  constructor(parts: StoreParts, space: SpaceMaker) {
    this.#parts = parts;
    this.#space = space;
    this.#appender = new Appender(parts);
    this.#acks = new Acknowledger(parts);
    this.#room = new LogRoom(parts, space, this.#appender);
    this.#pages = new PageRoom(parts);
    this.placer = new Placer(parts, space, () => this.sequence + 1);
    const room = { log: this.#room, pages: this.#pages, placer: this.placer };
    this.#placed = new PlacedAppends(parts, this.#appender, room);
    parts.log.onProgress((durable, written) => this.#onProgress(durable, written));
    parts.values.onFailure((cause) => this.fail(cause));
    parts.index.pages?.onFailure((cause) => this.fail(cause));
  }

  /** Of the last record appended. */
  get sequence(): number {
    return this.#appender.sequence;
  }

  /** A batch is half placed or half in the log: no checkpoint may begin here. */
  get batchOpen(): boolean {
    return this.#batchBegun || this.#openBatch !== undefined;
  }

  get failure(): CairnError | undefined {
    return this.#appender.failure;
  }

  /** The codec holds the key. */
  put(value: Uint8Array, level: DurabilityLevel): Promise<void> {
    const { keys, values } = this.#parts;
    this.#appender.checkValue(value);
    const large = value.length > values.capabilities.inlineBytesMax;
    if (!large && value.length > PART_BYTES)
      return this.batch([copyOperation(this.#parts, value)], level);
    const free = this.#queued === 0 && !this.#space.crowded();
    if (free && !large && this.#putNow(value, level)) return this.#acknowledge(level);
    const key = copyBytes(keys.bytes, keys.length);
    const copy = copyBytes(value);
    if (!large) return this.#enqueue(() => this.#putWaiting(key, copy, level), level);
    // The slot is written at once; only its record waits for its turn.
    const place = (): Promise<number> => this.placer.placeDurable(key, copy);
    const placed = this.#space.crowded() ? this.#space.relief().then(place) : place();
    placed.catch(() => undefined);
    return this.#enqueue(async () => {
      await this.#placed.entries(1, () => key, Float64Array.of(await placed), level === 'sync');
      this.#parts.meters.bytesWritten += copy.length;
    }, level);
  }

  /** Blocks the thread until the level asked for is reached. */
  putSync(value: Uint8Array, level: DurabilityLevel): void {
    const { keys, values } = this.#parts;
    this.#appender.checkValue(value);
    const inline = value.length <= values.capabilities.inlineBytesMax;
    if (inline && value.length > PART_BYTES)
      return this.#putPartsSync(copyOperation(this.#parts, value), level);
    // Completions run while we wait, so the key is kept from the codec's other users.
    const key = copyBytes(keys.bytes, keys.length);
    const large = inline
      ? undefined
      : values.placeLargeSync(key, key.length, value, this.sequence + 1);
    try {
      this.#waitSync(() => {
        this.#pages.waitSync(1);
        keys.encodeStored(key, key.length);
        if (large === undefined) return this.#tryPut(key, value, level) === 'done';
        return this.#appender.append(RECORD_PUT_REF, 0, large, undefined, level === 'sync');
      });
    } catch (error) {
      if (large !== undefined) values.discard(large);
      throw error;
    }
    if (large !== undefined) {
      this.#appender.indexPut(large);
      this.#parts.meters.bytesWritten += value.length;
    }
    this.#acknowledgeSync(level);
  }

  #putPartsSync(operation: PutOperation, level: DurabilityLevel): void {
    const { values } = this.#parts;
    const { key, value } = operation;
    planBatch(this.#parts, [operation]);
    this.#waitSync(() => true);
    this.#pages.waitSync(1);
    let handle = 0;
    this.#waitSync(() => (handle = values.place(key, key.length, value, this.sequence + 1)) !== 0);
    const batch = this.#batchOf([operation], Float64Array.of(handle), false, level);
    this.#openBatch = batch;
    this.#waitSync(() => true);
    if (batch.abandoned !== undefined) throw batch.abandoned as Error;
    this.#acknowledgeSync(level);
  }

  /** The codec holds the key. Resolves with whether it was there. */
  async delete(level: DurabilityLevel): Promise<boolean> {
    this.#appender.checkWritable();
    const { keys } = this.#parts;
    if (this.#queued === 0 && this.#pages.has(1, true) && this.#pages.known) {
      const found = this.#tryDelete(level);
      if (found === true) return this.#acknowledge(level).then(() => true);
      if (found === false) return this.#acks.waitForAll(level).then(() => false);
    }
    // Pages of deletes that wait are read at the same time.
    this.#pages.prefetch();
    const key = copyBytes(keys.bytes, keys.length);
    const { acknowledged } = await this.exclusive(async () => {
      for (;;) {
        await this.#pages.wait(this.placer, 1, true);
        await this.#pages.load(key);
        // Others have used the codec since, and the page may be gone again.
        keys.encodeStored(key, key.length);
        if (!this.#pages.has(1, true) || !this.#pages.known) continue;
        const found = this.#tryDelete(level);
        if (found === true) return { acknowledged: this.#acknowledge(level).then(() => true) };
        if (found === false)
          return { acknowledged: this.#acks.waitForAll(level).then(() => false) };
        await this.#room.wait(true);
      }
    });
    return acknowledged;
  }

  deleteSync(level: DurabilityLevel): boolean {
    this.#appender.checkWritable();
    const { keys } = this.#parts;
    const key = copyBytes(keys.bytes, keys.length);
    let found: boolean | undefined;
    this.#waitSync(() => {
      do {
        this.#pages.waitSync(1, true);
        this.#pages.loadSync(key);
      } while (!this.#pages.has(1, true));
      return (found = this.#tryDelete(level)) !== undefined;
    }, true);
    this.#acknowledgeSync(level);
    return found === true;
  }

  /** All or none, in order; the last of repeated keys wins. */
  batch(operations: readonly WriteOperation[], level: DurabilityLevel): Promise<void> {
    this.#appender.checkWritable();
    for (const { value } of operations) if (value !== undefined) this.#appender.checkValue(value);
    if (operations.length === 0) return Promise.resolve();
    return this.#enqueue(() => this.#batchWaiting(operations, level), level);
  }

  /**
   * Makes entries whose values are placed already part of the store, after the writes that wait:
   * those in slots are durable and get a log record each; those in memory wait for a checkpoint.
   */
  appendPlaced(
    count: number,
    keyAt: (index: number) => Uint8Array,
    handles: Float64Array,
  ): Promise<void> {
    return this.exclusive(() => this.#placed.entries(count, keyAt, handles, false));
  }

  /** As {@link appendPlaced}, for rows of a u64 store. */
  appendRows(keys: BigUint64Array, handles: Float64Array): Promise<void> {
    return this.exclusive(async () => {
      await this.#space.relief();
      await this.#placed.rows(keys, handles);
    });
  }

  /**
   * {@link placeThrough} for the key that the codec holds, where that takes no waiting; 0 where it
   * does, or where there is no space.
   */
  tryPlaceThrough(value: Uint8Array): number {
    const { keys, values } = this.#parts;
    this.#appender.checkValue(value);
    if (value.length > values.capabilities.inlineBytesMax) return 0;
    try {
      return values.place(keys.bytes, keys.length, value, this.sequence + 1, true);
    } catch (error) {
      if (isCairnError(error, 'CAIRN_NO_SPACE')) return 0;
      throw error;
    }
  }

  /** See {@link Appender.move}; a promise: not now, try again after it. Not in the writes' queue. */
  move(key: Uint8Array, from: number, to: number): boolean | Promise<void> {
    this.#appender.checkWritable();
    if (this.#openBatch !== undefined) return this.batchEnd();
    this.#parts.keys.encodeStored(key, key.length);
    const waiting = this.#pages.waitToMove();
    if (waiting !== undefined) return waiting;
    return this.#appender.move(from, to) ?? this.#room.wait();
  }

  /** Resolves when a batch ends; the next may have begun. */
  batchEnd(): Promise<void> {
    return new Promise((resolve) => this.#batchWaiters.push(resolve));
  }

  /** Places a value that the log will carry by its handle only. */
  async placeThrough(key: Uint8Array, value: Uint8Array): Promise<number> {
    this.#appender.checkValue(value);
    return this.placer.place(key, value, true);
  }

  /** Everything appended so far survives power loss when it resolves. */
  async flush(): Promise<void> {
    await this.#queue;
    this.#appender.checkWritable();
    await this.#parts.log.sync();
  }

  /** Waits for the writes that wait for room. */
  async drain(): Promise<void> {
    this.#acks.stop();
    await this.#queue;
  }

  /** Runs `task` after the queued writes and before later ones. */
  exclusive<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(task);
    this.#queued++;
    const done = (): void => void this.#queued--;
    this.#queue = run.then(done, done);
    return run;
  }

  #enqueue(task: () => Promise<void>, level: DurabilityLevel): Promise<void> {
    // The acknowledgement is waited for outside of the queue: later writes join its group.
    return this.exclusive(async () => {
      await this.#space.relief();
      this.#appender.checkWritable();
      await task();
      this.#space.maybeCheckpoint();
      // Not by the last sequence: since its own record others may have come that ask for no sync.
      return { acknowledged: this.#acks.waitForAll(level) };
    }).then((result) => result.acknowledged);
  }

  /** False when it has to wait, or to ask for space once more. */
  #putNow(value: Uint8Array, level: DurabilityLevel): boolean {
    const { keys } = this.#parts;
    try {
      return this.#tryPut(keys.bytes, value, level) === 'done';
    } catch (error) {
      if (isCairnError(error, 'CAIRN_NO_SPACE')) return false;
      throw error;
    }
  }

  /** Done, or where there was no room; nothing has changed then. */
  #tryPut(
    key: Uint8Array,
    value: Uint8Array,
    level: DurabilityLevel,
  ): 'done' | 'values' | 'log' | 'index' {
    const { keys, values } = this.#parts;
    if (!this.#pages.has(1)) return 'index';
    const handle = values.place(key, keys.length, value, this.sequence + 1);
    if (handle === 0) return 'values';
    if (!this.#appender.append(RECORD_PUT, 0, handle, value, level === 'sync')) {
      values.discard(handle);
      return 'log';
    }
    this.#appender.indexPut(handle);
    return 'done';
  }

  /** Undefined when there is no room in the log. */
  #tryDelete(level: DurabilityLevel): boolean | undefined {
    const { keys, index } = this.#parts;
    if ((index.pages ?? index).get(keys.hash) === 0) return false;
    const wantSync = level === 'sync';
    if (!this.#appender.append(RECORD_DELETE, 0, 0, undefined, wantSync, true)) return undefined;
    return this.#appender.indexDelete();
  }

  async #putWaiting(key: Uint8Array, value: Uint8Array, level: DurabilityLevel): Promise<void> {
    const { keys, values } = this.#parts;
    const withSpace = this.placer.attempts();
    for (;;) {
      const tried = await withSpace(() => {
        keys.encodeStored(key, key.length);
        return this.#tryPut(key, value, level);
      });
      if (tried === 'done') return;
      if (tried === 'log') await this.#room.wait();
      else if (tried === 'index') await this.#pages.wait(this.placer, 1);
      else await values.whenRoom();
      this.#appender.checkWritable();
    }
  }

  async #batchWaiting(
    operations: readonly WriteOperation[],
    level: DurabilityLevel,
  ): Promise<void> {
    const { log } = this.#parts;
    const plan = planBatch(this.#parts, operations);
    if (operations.some(({ value }) => value !== undefined)) await this.#room.checkShort();
    // No checkpoint can begin once the batch has, so what only one could give is seen to before.
    if (log.liveBytes > 0 && log.liveBytes + plan.logBytes > log.capacityBytes / 2) {
      await this.#space.checkpoint();
    }
    const urgent = operations.every(({ value }) => value === undefined);
    await this.#pages.holding(this.placer, operations.length, urgent, async () => {
      if (!plan.through) return this.#placeBatch(operations, level);
      const handles = await this.placer.placeAll(operations, true);
      return this.#appendBatch(this.#batchOf(operations, handles, true, level));
    });
  }

  async #placeBatch(operations: readonly WriteOperation[], level: DurabilityLevel): Promise<void> {
    await this.placer.withSpace(async () => {
      // Replay rebuilds whole cells from the log after the checkpoint: a record must not be placed
      // before a checkpoint begins and appended after.
      this.#batchBegun = true;
      try {
        const handles = await this.placer.placeAll(operations, false);
        await this.#appendBatch(this.#batchOf(operations, handles, false, level));
      } finally {
        this.#batchBegun = false;
        for (const waiter of this.#batchWaiters.splice(0)) waiter();
      }
    });
  }

  async #appendBatch(batch: OpenBatch): Promise<void> {
    this.#openBatch = batch;
    try {
      // A synchronous write may have brought it to its end.
      while (this.#openBatch === batch && !batch.advance()) {
        this.#appender.checkWritable();
        await this.#parts.log.whenRoom(batch.urgent);
      }
    } catch (error) {
      this.#endBatch(batch, error);
    } finally {
      this.#openBatch = undefined;
      for (const waiter of this.#batchWaiters.splice(0)) waiter();
    }
    if (batch.abandoned !== undefined) throw batch.abandoned as Error;
  }

  /** It found no room on its way into the log, or none in the index at the end of it. */
  #endBatch(batch: OpenBatch, error: unknown): void {
    if (this.failure !== undefined || !isCairnError(error)) throw error;
    if (batch.logged) {
      this.fail(error);
      throw error;
    }
    batch.abandon(error);
  }

  #batchOf(
    operations: readonly WriteOperation[],
    handles: Float64Array,
    through: boolean,
    level: DurabilityLevel,
  ): OpenBatch {
    const wantSync = level === 'sync';
    return new OpenBatch(this.#parts, this.#appender, operations, handles, through, wantSync);
  }

  /** Blocks until `attempt` succeeds. A batch that is half in the log goes first. */
  #waitSync(attempt: () => boolean, urgent = false): void {
    const batch = this.#openBatch;
    try {
      while (batch !== undefined && !batch.advance()) this.#room.block(batch.urgent);
    } catch (error) {
      // Whoever it belongs to hears of it; this call may do with less.
      if (batch !== undefined) this.#endBatch(batch, error);
    }
    this.#openBatch = undefined;
    while (!attempt()) this.#room.block(urgent);
  }

  #acknowledge(level: DurabilityLevel): Promise<void> {
    this.#space.maybeCheckpoint();
    return this.#acks.wait(this.sequence, level);
  }

  #acknowledgeSync(level: DurabilityLevel): void {
    this.#space.maybeCheckpoint();
    this.#acks.block(level);
  }

  #onProgress(durable: number, written: number): void {
    const { log, values } = this.#parts;
    values.onDurable(durable);
    this.#acks.settle(durable, written);
    this.#space.onProgress();
    if (log.failed !== undefined) this.fail(log.failed);
  }

  /** Writes stop for good; reads go on. Only reopening clears it (DESIGN decision 10). */
  fail(cause: CairnError): void {
    const first = this.#appender.failure === undefined;
    this.#appender.failure ??= new CairnError(
      'CAIRN_IO',
      'a write to the store failed earlier, so what is on disk is unknown: reads go on, ' +
        'close and reopen the store to write again',
      { operation: 'write', file: cause.file, offset: cause.offset, cause },
    );
    // What waits may be in the log, so it is not CAIRN_NO_SPACE whatever the cause says. A later
    // failure rejects what has begun to wait since, for records that were in the log before the first.
    this.#acks.fail(cause.code === 'CAIRN_IO' ? cause : this.#appender.failure);
    if (first) this.#parts.log.wake();
  }
}
