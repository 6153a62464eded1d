import { CairnError } from '../common/errors.js';
import { copyBytes } from '../common/units.js';
import { FLAG_MORE, RECORD_DELETE, RECORD_PUT, RECORD_PUT_REF } from '../log/log.js';
import type { DurabilityLevel } from './api.js';
import { AckQueue } from './ack-queue.js';
import type { StoreParts } from './parts.js';

/** One operation of a batch: the value is absent for a delete. */
export interface WriteOperation {
  /** Private copies: they may wait here while the caller goes on. */
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** What the write path asks of the checkpointer when it runs out of room. */
export interface SpaceMaker {
  /** Runs a checkpoint; resolves when the log before it and the slots it frees can be used. */
  checkpoint(): Promise<void>;
  /** Starts one in the background when the log has grown enough. */
  maybeCheckpoint(): void;
}

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
  readonly #durable = new AckQueue();
  readonly #written = new AckQueue();
  #sequence: number;
  #queue: Promise<unknown> = Promise.resolve();
  #queued = 0;
  #failure: CairnError | undefined;
  #batchOpen = false;
  #intervalTimer: NodeJS.Timeout | undefined;

  constructor(parts: StoreParts, space: SpaceMaker) {
    this.#parts = parts;
    this.#space = space;
    this.#sequence = parts.log.firstSequence - 1;
    parts.log.onProgress((durable, written) => this.#onProgress(durable, written));
  }

  /** Of the last record appended. */
  get sequence(): number {
    return this.#sequence;
  }

  /** A batch is half in the log: no checkpoint may begin here. */
  get batchOpen(): boolean {
    return this.#batchOpen;
  }

  get failure(): CairnError | undefined {
    return this.#failure;
  }

  /** Writes stop for good; reads go on. Only reopening clears it (DESIGN decision 10). */
  fail(cause: CairnError): void {
    if (this.#failure !== undefined) return;
    this.#failure = new CairnError(
      'CAIRN_IO',
      'a write to the store failed earlier, so what is on disk is unknown: reads go on, ' +
        'close and reopen the store to write again',
      { operation: 'write', file: cause.file, offset: cause.offset, cause },
    );
    this.#durable.fail(cause);
    this.#written.fail(cause);
  }

  /** The codec holds the key. */
  put(value: Uint8Array, level: DurabilityLevel): Promise<void> {
    const { keys, values } = this.#parts;
    this.#check(value);
    if (this.#queued === 0 && value.length <= values.capabilities.inlineBytesMax) {
      if (this.#tryPut(keys.bytes, keys.length, value, level)) return this.#acknowledge(level);
    }
    const operation = { key: this.#copyKey(), value: copyBytes(value) };
    return this.#enqueue(() => this.#putWaiting(operation, level), level);
  }

  putSync(value: Uint8Array, level: DurabilityLevel): void {
    const { keys, values } = this.#parts;
    this.#check(value);
    if (value.length > values.capabilities.inlineBytesMax) {
      const handle = values.placeLargeSync(keys.bytes, keys.length, value, this.#sequence + 1);
      this.#appendSync(RECORD_PUT_REF, handle, undefined, level);
      this.#index(handle);
    } else {
      this.#waitSync(() => this.#tryPut(keys.bytes, keys.length, value, level));
    }
    this.#acknowledgeSync(level);
  }

  /** The codec holds the key. Resolves with whether it was there. */
  async delete(level: DurabilityLevel): Promise<boolean> {
    this.#checkOpen();
    if (this.#queued === 0) {
      const found = this.#tryDelete(level);
      if (found === false) return false;
      if (found === true) return this.#acknowledge(level).then(() => true);
    }
    const key = this.#copyKey();
    let found: boolean | undefined;
    await this.#enqueue(async () => {
      for (;;) {
        this.#parts.keys.encodeStored(key, key.length);
        found = this.#tryDelete(level);
        if (found !== undefined) return;
        await this.#logRoom();
      }
    }, level);
    return found === true;
  }

  deleteSync(level: DurabilityLevel): boolean {
    this.#checkOpen();
    let found: boolean | undefined;
    this.#waitSync(() => (found = this.#tryDelete(level)) !== undefined);
    if (found === true) this.#acknowledgeSync(level);
    return found === true;
  }

  /** All or none, in order; the last of repeated keys wins. */
  batch(operations: readonly WriteOperation[], level: DurabilityLevel): Promise<void> {
    for (const operation of operations) if (operation.value) this.#check(operation.value);
    this.#checkOpen();
    if (operations.length === 0) return Promise.resolve();
    return this.#enqueue(() => this.#batchWaiting(operations, level), level);
  }

  /**
   * Makes entries whose values are placed already part of the store: those in slots are durable and
   * get a log record each; those in memory wait for the caller's checkpoint.
   */
  async appendPlaced(
    count: number,
    keyAt: (index: number) => Uint8Array,
    handles: Float64Array,
  ): Promise<void> {
    const { keys, values } = this.#parts;
    for (let index = 0; index < count; index++) {
      const key = keyAt(index);
      const handle = handles[index] as number;
      keys.encodeStored(key, key.length);
      while (
        values.capabilities.persistent &&
        !this.#append(RECORD_PUT_REF, 0, handle, undefined, false)
      ) {
        await this.#logRoom();
        keys.encodeStored(key, key.length);
      }
      this.#index(handle);
    }
    this.#checkOpen();
  }

  /** Places a value that the log will carry by its handle only. */
  async placeThrough(key: Uint8Array, value: Uint8Array): Promise<number> {
    this.#check(value);
    return this.#placeOne(key, value, true);
  }

  /** Everything appended so far survives power loss when it resolves. */
  async flush(): Promise<void> {
    await this.#queue;
    this.#checkOpen();
    await this.#parts.log.sync();
  }

  /** Waits for the writes that wait for room. */
  async drain(): Promise<void> {
    clearTimeout(this.#intervalTimer);
    await this.#queue;
  }

  /** Runs `task` after the queued writes and before later ones. */
  exclusive<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(task, task);
    this.#queued++;
    this.#queue = run.then(
      () => void this.#queued--,
      () => void this.#queued--,
    );
    return run;
  }

  #enqueue(task: () => Promise<void>, level: DurabilityLevel): Promise<void> {
    // The acknowledgement is waited for outside of the queue: later writes join its group.
    return this.exclusive(async () => {
      this.#checkOpen();
      await task();
      return { acknowledged: this.#acknowledge(level) };
    }).then((result) => result.acknowledged);
  }

  /** False when there is no room; nothing has changed then. */
  #tryPut(key: Uint8Array, keyLength: number, value: Uint8Array, level: DurabilityLevel): boolean {
    const { values } = this.#parts;
    const handle = values.place(key, keyLength, value, this.#sequence + 1);
    if (handle === 0) return false;
    if (!this.#append(RECORD_PUT, 0, handle, value, level === 'sync')) {
      values.discard(handle);
      return false;
    }
    this.#index(handle);
    return true;
  }

  /** Undefined when there is no room in the log. */
  #tryDelete(level: DurabilityLevel): boolean | undefined {
    const { keys, index, values, meters } = this.#parts;
    if (index.get(keys.hash) === 0) return false;
    if (!this.#append(RECORD_DELETE, 0, 0, undefined, level === 'sync')) return undefined;
    values.retire(index.delete(keys.hash), this.#sequence);
    meters.deletes++;
    return true;
  }

  async #putWaiting(operation: WriteOperation, level: DurabilityLevel): Promise<void> {
    const { keys, values } = this.#parts;
    const value = operation.value as Uint8Array;
    if (value.length > values.capabilities.inlineBytesMax) {
      const handle = await this.withSpace(() =>
        values.placeLarge(operation.key, operation.key.length, value, this.#sequence + 1),
      );
      await values.syncData();
      return this.appendPlaced(1, () => operation.key, Float64Array.of(handle)).then(() => {
        if (level === 'sync') this.#parts.log.requestSync();
      });
    }
    for (;;) {
      keys.encodeStored(operation.key, operation.key.length);
      const done = await this.withSpace(() =>
        this.#tryPut(operation.key, operation.key.length, value, level),
      );
      if (done) return;
      await this.#anyRoom();
    }
  }

  async #batchWaiting(
    operations: readonly WriteOperation[],
    level: DurabilityLevel,
  ): Promise<void> {
    const { log } = this.#parts;
    const inline = await this.#placeBatch(operations);
    await this.#logSpaceFor(inline.logBytes);
    this.#batchOpen = true;
    try {
      for (let index = 0; index < operations.length; index++) {
        const { key, value } = operations[index] as WriteOperation;
        const handle = inline.handles[index] as number;
        const kind =
          value === undefined ? RECORD_DELETE : inline.through ? RECORD_PUT_REF : RECORD_PUT;
        const flags = index + 1 < operations.length ? FLAG_MORE : 0;
        this.#parts.keys.encodeStored(key, key.length);
        while (
          !this.#append(kind, flags, handle, inline.through ? undefined : value, level === 'sync')
        ) {
          this.#checkOpen();
          await log.whenRoom();
          this.#parts.keys.encodeStored(key, key.length);
        }
      }
    } finally {
      this.#batchOpen = false;
    }
    this.#indexBatch(operations, inline.handles);
  }

  /** The log holds the whole batch; nothing runs in between, so readers see all of it or nothing. */
  #indexBatch(operations: readonly WriteOperation[], handles: Float64Array): void {
    const { keys, index, values, meters } = this.#parts;
    for (let at = 0; at < operations.length; at++) {
      const { key, value } = operations[at] as WriteOperation;
      keys.encodeStored(key, key.length);
      if (value !== undefined) this.#index(handles[at] as number);
      else {
        const old = index.delete(keys.hash);
        if (old !== 0) {
          values.retire(old, this.#sequence);
          meters.deletes++;
        }
      }
    }
    meters.batches++;
  }

  /** Places all values of a batch, or none: through their slots when they are too much for the log. */
  async #placeBatch(
    operations: readonly WriteOperation[],
  ): Promise<{ handles: Float64Array; through: boolean; logBytes: number }> {
    const { values, log } = this.#parts;
    const { inlineBytesMax } = values.capabilities;
    let inlineBytes = 0;
    let keyBytes = 0;
    let through = false;
    for (const { key, value } of operations) {
      keyBytes += key.length + 48;
      inlineBytes += value?.length ?? 0;
      if ((value?.length ?? 0) > inlineBytesMax) through = true;
    }
    if (keyBytes + inlineBytes > log.capacityBytes / 8) through = values.capabilities.persistent;
    const logBytes = keyBytes + (through ? 0 : inlineBytes);
    if (logBytes > log.capacityBytes / 2) {
      throw new CairnError(
        'CAIRN_TOO_LARGE',
        `a batch takes at most ${log.capacityBytes / 2} bytes of the log, this one ${logBytes}: ` +
          'raise log.capacity_bytes, split the batch, or use bulkLoad',
        { operation: 'batch' },
      );
    }
    const handles = new Float64Array(operations.length);
    try {
      for (let index = 0; index < operations.length; index++) {
        const { key, value } = operations[index] as WriteOperation;
        if (value !== undefined) handles[index] = await this.#placeOne(key, value, through);
      }
      if (through) await values.flush();
    } catch (error) {
      for (const handle of handles) if (handle !== 0) values.discard(handle);
      throw error;
    }
    return { handles, through, logBytes };
  }

  async #placeOne(key: Uint8Array, value: Uint8Array, through: boolean): Promise<number> {
    const { values } = this.#parts;
    const sequence = this.#sequence + 1;
    if (value.length > values.capabilities.inlineBytesMax) {
      return this.withSpace(() => values.placeLarge(key, key.length, value, sequence));
    }
    for (;;) {
      const handle = await this.withSpace(() =>
        values.place(key, key.length, value, sequence, through),
      );
      if (handle !== 0) return handle;
      await values.whenRoom();
    }
  }

  /** Runs `place`; when there is no space, once more after a checkpoint, which may free slots. */
  async withSpace<T>(place: () => T | Promise<T>): Promise<T> {
    try {
      return await place();
    } catch (error) {
      if (!(error instanceof CairnError) || error.code !== 'CAIRN_NO_SPACE') throw error;
      if (!this.#parts.values.waitsForCheckpoint) throw error;
      await this.#space.checkpoint();
      return await place();
    }
  }

  /** The log or the values file had none; the one that has it answers at once. */
  async #anyRoom(): Promise<void> {
    this.#checkOpen();
    this.#space.maybeCheckpoint();
    await Promise.race([this.#parts.log.whenRoom(), this.#parts.values.whenRoom()]);
    this.#checkOpen();
  }

  async #logRoom(): Promise<void> {
    this.#checkOpen();
    this.#space.maybeCheckpoint();
    await this.#parts.log.whenRoom();
    this.#checkOpen();
  }

  /** A batch cannot wait for a checkpoint half-way: the log must take all of it. */
  async #logSpaceFor(bytes: number): Promise<void> {
    const { log } = this.#parts;
    if (log.liveBytes + bytes > log.capacityBytes / 2 && log.liveBytes > 0) {
      await this.#space.checkpoint();
    }
  }

  #append(
    kind: number,
    flags: number,
    handle: number,
    value: Uint8Array | undefined,
    wantSync: boolean,
  ): boolean {
    const { keys, log, meters } = this.#parts;
    const sequence = this.#sequence + 1;
    if (!log.append(kind, flags, handle, keys.bytes, keys.length, value, sequence, wantSync)) {
      return false;
    }
    this.#sequence = sequence;
    meters.bytesWritten += keys.length + (value?.length ?? 0);
    return true;
  }

  #index(handle: number): void {
    const { keys, index, values, meters } = this.#parts;
    const old = index.put(keys.hash, handle);
    if (old !== 0) values.retire(old, this.#sequence);
    meters.puts++;
  }

  #appendSync(
    kind: number,
    handle: number,
    value: Uint8Array | undefined,
    level: DurabilityLevel,
  ): void {
    this.#waitSync(() => this.#append(kind, 0, handle, value, level === 'sync'));
  }

  /** Blocks until `attempt` succeeds; the log and the values file make room meanwhile. */
  #waitSync(attempt: () => boolean): void {
    while (!attempt()) {
      this.#checkOpen();
      if (!this.#parts.fileSet.channel.wait()) {
        // Nothing is in flight that could make room: a checkpoint would have to, and it is async.
        throw new CairnError(
          'CAIRN_NO_SPACE',
          'the log is full and waits for a checkpoint, which a synchronous call cannot wait for: ' +
            'use put(), or await checkpoint() now and then',
          { operation: 'putSync' },
        );
      }
    }
  }

  #acknowledge(level: DurabilityLevel): Promise<void> {
    this.#space.maybeCheckpoint();
    switch (level) {
      case 'sync':
        return this.#durable.wait(this.#sequence);
      case 'interval':
        this.#startInterval();
        return this.#written.wait(this.#sequence);
      case 'process':
        return this.#written.wait(this.#sequence);
      case 'none':
        return Promise.resolve();
    }
  }

  #acknowledgeSync(level: DurabilityLevel): void {
    this.#space.maybeCheckpoint();
    if (level === 'none') return;
    if (level === 'interval') this.#startInterval();
    this.#parts.log.waitSync(level === 'sync');
  }

  #startInterval(): void {
    if (this.#intervalTimer !== undefined) return;
    const { log, config } = this.#parts;
    this.#intervalTimer = setTimeout(() => {
      this.#intervalTimer = undefined;
      if (log.failed === undefined && log.durableSequence < this.#sequence) log.requestSync();
    }, config.durability.intervalMs);
    // The promise was kept by the write to the kernel; only the sync is late if the process ends.
    this.#intervalTimer.unref();
  }

  #onProgress(durable: number, written: number): void {
    const { failed } = this.#parts.log;
    this.#parts.values.onDurable(durable);
    this.#durable.settle(durable);
    this.#written.settle(Math.max(durable, written));
    if (failed !== undefined) this.fail(failed);
  }

  #copyKey(): Uint8Array {
    const { keys } = this.#parts;
    return copyBytes(keys.bytes, keys.length);
  }

  #check(value: Uint8Array): void {
    this.#checkOpen();
    const { valueBytesMax } = this.#parts.values.capabilities;
    if (value.length > valueBytesMax) {
      throw new CairnError(
        'CAIRN_TOO_LARGE',
        `a value has at most ${valueBytesMax} bytes, this one ${value.length}`,
      );
    }
  }

  #checkOpen(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
