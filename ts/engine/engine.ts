import { CairnError } from '../common/errors.js';
import { copyBytes } from '../common/units.js';
import type {
  BackupOptions,
  BackupReport,
  BatchOperation,
  CallOptions,
  DurabilityLevel,
  GatherResult,
  IterateOptions,
  Key,
  LoadOptions,
  LoadProgress,
  LoadSource,
  Store,
  StoredKey,
  StoreStats,
  Value,
  VerifyOptions,
  VerifyReport,
  WriteOptions,
} from './api.js';
import { Backups } from './backup.js';
import type { WriteOperation } from './batch-write.js';
import { bulkLoad } from './bulk-load.js';
import {
  call,
  callSync,
  checkKeyEncoding,
  invalid,
  levelOf,
  longCall,
  named,
  signalOf,
  throwIfAborted,
} from './calls.js';
import { Checkpointer } from './checkpointer.js';
import { Compactor } from './compactor.js';
import { DurableMark } from './durable-mark.js';
import type { StoreParts } from './parts.js';
import { checkRows, ReadPath } from './read-path.js';
import type { RecoveryReport } from './recovery.js';
import { storeStats } from './store-stats.js';
import { toBytes } from './value-bytes.js';
import { verifyRecords, walkRecords } from './walk.js';
import type { SpaceMaker } from './placer.js';
import { WritePath } from './write-path.js';

/** `KVEngineComposite`: index, value store, allocator and backend behind the public interface. */
export class Engine implements Store {
  readonly path: string;
  readonly #parts: StoreParts;
  readonly #recovery: RecoveryReport;
  readonly #reads: ReadPath;
  readonly #writes: WritePath;
  readonly #checkpointer: Checkpointer;
  readonly #compactor: Compactor;
  readonly #mark: DurableMark;
  readonly #backups: Backups;
  #closing: Promise<void> | undefined;

  constructor(parts: StoreParts, recovery: RecoveryReport) {
    this.path = parts.path;
    this.#parts = parts;
    this.#recovery = recovery;
    this.#reads = new ReadPath(parts);
    // The three need each other: the writers room, the others a place among the writers.
    const space: SpaceMaker = {
      checkpoint: () => this.#checkpointer.run(),
      maybeCheckpoint: (waiting) => this.#checkpointer.maybe(waiting),
      holdSpace: () => this.#checkpointer.holdSpace(),
      holdSpaceSync: () => this.#checkpointer.holdSpaceSync(),
      mayMakeRoom: () => this.#compactor.mayMakeRoom(),
      makeRoom: () => this.#compactor.makeRoom(),
      crowded: () => this.#compactor.crowded,
      relief: () => this.#compactor.relief(),
      onProgress: () => {
        this.#checkpointer.onProgress();
        this.#mark.onProgress();
        this.#compactor.maybe();
      },
    };
    this.#writes = new WritePath(parts, space);
    this.#mark = new DurableMark(parts, (cause) => this.#writes.fail(cause));
    this.#checkpointer = new Checkpointer(parts, this.#writes, () => this.#compactor.maybe());
    this.#compactor = new Compactor(parts, this.#writes, this.#checkpointer);
    if (!parts.config.readOnly) this.#checkpointer.onProgress();
    this.#backups = new Backups(parts, this.#checkpointer);
  }

  get size(): number {
    this.#checkOpen('size');
    return this.#parts.index.size;
  }

  get durableSequence(): number {
    return this.#parts.log.durableSequence;
  }

  put(key: Key, value: Value, options?: WriteOptions): Promise<void> {
    if (options?.signal !== undefined) {
      return this.#call('put', options, () => {
        const { signal: _, ...rest } = options;
        return this.put(key, value, rest);
      });
    }
    // Without a closure, as getSync.
    try {
      this.#checkOpen();
      const { keys, meters } = this.#parts;
      const started = meters.put.start();
      const level = this.#writable(options);
      const bytes = toBytes(value);
      keys.encode(key);
      const done = this.#writes.put(bytes, level);
      return started === 0 ? done : done.then(() => meters.put.stop(started));
    } catch (error) {
      return Promise.reject(named('put', error));
    }
  }

  putSync(key: Key, value: Value, options?: WriteOptions): void {
    this.#callSync('putSync', options, () => {
      const level = this.#writable(options);
      const bytes = toBytes(value);
      this.#parts.keys.encode(key);
      this.#writes.putSync(bytes, level);
    });
  }

  get(key: Key, options?: CallOptions): Promise<Buffer | undefined> {
    if (options?.signal !== undefined) return this.#call('get', options, () => this.get(key));
    try {
      this.#checkOpen();
      return this.#reads.get(key);
    } catch (error) {
      return Promise.reject(named('get', error));
    }
  }

  getSync(key: Key): Buffer | undefined {
    // Without a closure: it would cost a tenth of a hot get.
    try {
      this.#checkOpen();
      return this.#reads.getSync(key);
    } catch (error) {
      throw named('getSync', error);
    }
  }

  has(key: Key, options?: CallOptions): Promise<boolean> {
    return this.#call('has', options, () => Promise.resolve(this.#reads.has(key)));
  }

  hasSync(key: Key): boolean {
    try {
      this.#checkOpen();
      return this.#reads.hasSync(key);
    } catch (error) {
      throw named('hasSync', error);
    }
  }

  delete(key: Key, options?: WriteOptions): Promise<boolean> {
    return this.#call('delete', options, () => {
      const { keys, meters } = this.#parts;
      const started = meters.delete.start();
      const level = this.#writable(options);
      keys.encode(key);
      const done = this.#writes.delete(level);
      if (started !== 0) void done.then(() => meters.delete.stop(started), ignore);
      return done;
    });
  }

  deleteSync(key: Key, options?: WriteOptions): boolean {
    return this.#callSync('deleteSync', options, () => {
      const level = this.#writable(options);
      this.#parts.keys.encode(key);
      return this.#writes.deleteSync(level);
    });
  }

  batchGet(
    keys: readonly Key[] | BigUint64Array,
    options?: CallOptions,
  ): Promise<(Buffer | undefined)[]> {
    return this.#call('batchGet', options, () => {
      if (!Array.isArray(keys) && !(keys instanceof BigUint64Array)) {
        throw invalid('keys is an array or a BigUint64Array');
      }
      return this.#reads.batchGet(keys);
    });
  }

  batchPut(
    keys: readonly Key[] | BigUint64Array,
    values: readonly Value[],
    options?: WriteOptions,
  ): Promise<void> {
    return this.#call('batchPut', options, () => {
      const level = this.#writable(options);
      if (!Array.isArray(keys) && !(keys instanceof BigUint64Array)) {
        throw invalid('keys is an array or a BigUint64Array');
      }
      if (!Array.isArray(values)) throw invalid('values is an array');
      if (keys.length !== values.length) {
        throw invalid(`${keys.length} keys and ${values.length} values`);
      }
      const operations: WriteOperation[] = [];
      for (let at = 0; at < keys.length; at++) {
        operations.push(this.#operation(at, keys[at] as Key, toBytes, values[at] as Value));
      }
      return this.#writes.batch(operations, level);
    });
  }

  batch(operations: readonly BatchOperation[], options?: WriteOptions): Promise<void> {
    return this.#call('batch', options, () => {
      const level = this.#writable(options);
      if (!Array.isArray(operations)) throw invalid('operations is an array');
      const copied = (operations as readonly BatchOperation[]).map((operation, at) => {
        if (operation?.type === 'put') {
          return this.#operation(at, operation.key, toBytes, operation.value);
        }
        if (operation?.type === 'delete') return this.#operation(at, operation.key, noBytes);
        throw invalid(`operations[${at}].type is 'put' or 'delete'`);
      });
      return this.#writes.batch(copied, level);
    });
  }

  batchGetInto(
    keys: BigUint64Array,
    rows: Uint8Array | Float32Array,
    rowBytes: number,
    options?: CallOptions,
  ): Promise<GatherResult> {
    const gather = (): Promise<GatherResult> =>
      this.#reads.gather(keys, checkRows(this.#parts.keys.type, keys, rows, rowBytes), rowBytes);
    if (options?.signal === undefined) return this.#call('batchGetInto', options, gather);
    // Not before the last row is written: the rows are the caller's.
    return this.#longCall('batchGetInto', options, async () => {
      const gathered = await gather();
      throwIfAborted(options.signal);
      return gathered;
    });
  }

  bulkLoad(source: LoadSource, options: LoadOptions = {}): Promise<LoadProgress> {
    return this.#longCall('bulkLoad', options, () => {
      this.#writable(undefined);
      const checkpoint = (): Promise<void> => this.#checkpointer.run();
      return bulkLoad(this.#parts, this.#writes, checkpoint, source, options);
    });
  }

  entries(options: IterateOptions = {}): AsyncIterableIterator<[StoredKey, Buffer]> {
    return this.#entries('entries', options);
  }

  async *keys(options: IterateOptions = {}): AsyncIterableIterator<StoredKey> {
    for await (const [key] of this.#entries('keys', options)) yield key;
  }

  async *values(options: CallOptions = {}): AsyncIterableIterator<Buffer> {
    for await (const [, value] of this.#entries('values', options)) yield value;
  }

  async *#entries(
    operation: string,
    options: IterateOptions,
  ): AsyncIterableIterator<[StoredKey, Buffer]> {
    const damaged = (_handle: number, error: CairnError): void => {
      throw error;
    };
    try {
      const signal = signalOf(options);
      checkKeyEncoding(options);
      this.#checkOpen();
      throwIfAborted(signal);
      for await (const records of walkRecords(this.#parts, damaged)) {
        for (const { key, value } of records) {
          throwIfAborted(signal);
          yield [this.#parts.keys.decode(key, options), value];
          this.#checkOpen();
        }
      }
    } catch (error) {
      throw named(operation, error);
    }
  }

  stats(): StoreStats {
    this.#checkOpen('stats');
    return storeStats(this.#parts, this.#recovery, this.#checkpointer.stats);
  }

  flush(options?: CallOptions): Promise<void> {
    return this.#call('flush', options, () => this.#writes.flush());
  }

  checkpoint(options?: CallOptions): Promise<void> {
    return this.#call('checkpoint', options, () => {
      this.#writable(undefined);
      return this.#checkpointer.run();
    });
  }

  /** What a store at rest does by itself; for tests on simulated disks, which know no time. */
  markDurable(): Promise<void> {
    return this.#mark.write();
  }

  backup(path: string, options: BackupOptions = {}): Promise<BackupReport> {
    // It watches the signal itself, and ends with nothing left behind.
    return this.#longCall('backup', options, () => this.#backups.run(path, options));
  }

  verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    return this.#longCall('verify', options, () => verifyRecords(this.#parts, options));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { fileSet, values, index, log, manifest, reserve, config } = this.#parts;
    let failure: unknown;
    try {
      await this.#backups.stop();
      await this.#writes.drain();
      await this.#compactor.stop();
      await this.#checkpointer.settle();
      await this.#mark.stop();
      if (!config.readOnly && this.#writes.failure === undefined) {
        // What is in the checkpoint need not be replayed: the next open is quick.
        if (this.#checkpointer.stale) await this.#checkpointer.run();
        else await log.sync();
        await manifest.write({ durableSequence: log.durableSequence, clean: true });
      }
    } catch (error) {
      failure = error;
    }
    // The others are let go of all the same, the lock of a pool file among them.
    await reserve?.close().catch((error: unknown) => (failure ??= error));
    await log.close().catch((error: unknown) => (failure ??= error));
    await values.close();
    index.close();
    await fileSet.dispose();
    if (failure !== undefined) throw failure as Error;
  }

  #operation(
    at: number,
    key: Key,
    bytesOf: (value: Value | undefined) => Uint8Array | undefined,
    value?: Value,
  ): WriteOperation {
    const { keys } = this.#parts;
    try {
      keys.encode(key);
      const bytes = bytesOf(value);
      return {
        key: copyBytes(keys.bytes, keys.length),
        value: bytes === undefined ? undefined : copyBytes(bytes),
      };
    } catch (error) {
      if (error instanceof CairnError) error.message = `operation ${at}: ${error.message}`;
      throw error;
    }
  }

  #writable(options: WriteOptions | undefined): DurabilityLevel {
    if (this.#parts.config.readOnly) {
      throw new CairnError('CAIRN_READ_ONLY', 'the store was opened with read_only');
    }
    return levelOf(options) ?? this.#parts.config.durability.level;
  }

  #checkOpen(operation?: string): void {
    if (this.#closing === undefined) return;
    const message = `the store ${this.path} is closed: open it again`;
    throw new CairnError('CAIRN_CLOSED', message, { operation });
  }

  /** An asynchronous call always rejects and never throws. */
  #call<T>(operation: string, options: CallOptions | undefined, run: () => Promise<T>): Promise<T> {
    return call(operation, options, () => {
      this.#checkOpen();
      return run();
    });
  }

  #longCall<T>(operation: string, options: CallOptions, run: () => Promise<T>): Promise<T> {
    return longCall(operation, options, () => {
      this.#checkOpen();
      return run();
    });
  }

  #callSync<T>(operation: string, options: CallOptions | undefined, run: () => T): T {
    return callSync(operation, options, () => {
      this.#checkOpen();
      return run();
    });
  }
}

function noBytes(): undefined {
  return undefined;
}

function ignore(): void {
  // The caller holds the promise itself.
}
