import { addon } from '../bindings/addon.js';
import { calling, type FileId, type FileSet } from '../bindings/file-set.js';
import type { NativeSlotFile, NativeTierOptions } from '../bindings/slot-file.js';
import { errnoError } from '../bindings/status.js';
import { asError, type CairnError, type OnDamage } from '../common/errors.js';
import { FinalFailure } from './final-failure.js';
import { GroupedSync } from './grouped-sync.js';
import { holdSlots } from './copy-hold.js';
import { gatherFromDevice } from './device-gather.js';
import { gatherTiered } from './tier-values.js';
import { slotFileStats } from './slot-file-stats.js';
import { closedError, EBADMSG, ENOSPC, misplacedError, placeError } from './slot-errors.js';
import { SlotFileMover, type RecordMover } from './record-mover.js';
import { SlotRecords } from './slot-records.js';
import { WriterPosts } from './writer-posts.js';
import { openValuesFile, VALUES_FILE, type SlotAllocator, type ValuesFile } from './values-file.js';
import type {
  CopyHold,
  Handle,
  Pending,
  StoredRecord,
  ValueStore,
  ValueStoreCapabilities,
  ValueStoreStats,
} from './value-store.js';

export interface SsdValueStoreOptions {
  readonly storeId: Uint8Array;
  /** The store was open before, so that its file must be there. */
  readonly used?: boolean;
  /** @default 'SSD_SLAB' */
  readonly allocator?: SlotAllocator | undefined;
  /** SSD_SLAB: payload sizes of the slots; the default classes when absent. */
  readonly sizeClasses?: readonly number[] | undefined;
  /** SSD_BUDDY: the smallest block. */
  readonly blockBytes?: number | undefined;
  /** Limit on what the slots take; 0: none. */
  readonly capacityBytes: number;
  readonly cacheBytes: number;
  readonly inlineBytesMax: number;
  /** Cells that go to the device in one write. */
  readonly runBytes: number;
  readonly dirtyBytesMax: number;
  readonly reserveBytesMax: number;
  readonly readOnly: boolean;
  /** `TIERED_VALUE_STORE`: copies in memory of what is asked for most. */
  readonly tier?: NativeTierOptions | undefined;
  /** Takes a file whose header does not check. */
  readonly onDamage?: OnDamage | undefined;
}

const RETIRED_MAX = 256;

/**
 * `SSD_VALUE_STORE`: records in slots of one file, placed by the allocator of the addon. With `tier`
 * it is `TIERED_VALUE_STORE`.
 */
export class SsdValueStore implements ValueStore {
  readonly capabilities: ValueStoreCapabilities;
  readonly mover: RecordMover;
  readonly #fileSet: FileSet;
  readonly #file: FileId;
  readonly #readOnly: boolean;
  readonly #native: NativeSlotFile;
  readonly #state: Float64Array;
  readonly #slots = addon().NativeSlotFile.stateSlots;
  readonly #token: number;
  readonly #tiered: boolean;
  readonly #records: SlotRecords;
  readonly #failure = new FinalFailure();
  readonly #sync: GroupedSync;
  /** Replaced slots the addon has not heard of: a call for each would cost a tenth of a put. */
  readonly #retired = new Float64Array(2 * RETIRED_MAX);
  #retiredCount = 0;
  readonly #posts = new WriterPosts();
  #closed = false;

  static async open(fileSet: FileSet, options: SsdValueStoreOptions): Promise<SsdValueStore> {
    const { storeId, readOnly, used = false, allocator = 'SSD_SLAB', onDamage } = options;
    const how = { readOnly, used, allocator, onDamage };
    const file = await openValuesFile(fileSet, storeId, how);
    const store = new SsdValueStore(fileSet, file, options);
    if (!options.readOnly) {
      // The first records then need not wait; a full device is the first write's business.
      const reserved = store.whenRoom();
      store.#native.reserveAhead();
      store.#started();
      await reserved;
    }
    return store;
  }

  private constructor(fileSet: FileSet, opened: ValuesFile, options: SsdValueStoreOptions) {
    const { file, classTable } = opened;
    this.#fileSet = fileSet;
    this.#file = file;
    this.#sync = new GroupedSync(fileSet, file, this.#failure);
    this.#readOnly = options.readOnly;
    this.#token = fileSet.channel.register((result) => this.#onPost(result));
    const Native = addon().NativeSlotFile;
    const native = {
      ...options,
      blockBytes: options.blockBytes ?? 0,
      file,
      classTable,
      token: this.#token,
    };
    this.#native = calling('open', undefined, () => new Native(fileSet.native, native));
    this.#tiered = options.tier !== undefined;
    this.#state = this.#native.state;
    this.#records = new SlotRecords(this.#native);
    this.mover = new SlotFileMover(fileSet, this.#native, {
      stateOf: (name) => this.#stateOf(name),
      flushMoves: () => this.#flushUntil(() => this.#stateOf('unwrittenMoves') === 0),
    });
    this.capabilities = {
      persistent: true,
      resident: false,
      valueBytesMax: Native.valueBytesMax,
      inlineBytesMax: options.inlineBytesMax,
    };
  }

  get waitsForCheckpoint(): boolean {
    this.#handOverRetired();
    this.#native.updateState();
    return this.#stateOf('retiredWaiting') > 0;
  }

  place(
    key: Uint8Array,
    keyLength: number,
    value: Uint8Array,
    sequence: number,
    through = false,
  ): Handle {
    this.#failure.check();
    const handle = this.#native.place(through ? 1 : 0, key, keyLength, value, sequence);
    this.#started();
    if (handle < 0) throw placeError(handle, value.length);
    if (handle === 0) this.#posts.refused();
    return handle;
  }

  placeRows(
    keys: BigUint64Array,
    rows: Uint8Array,
    rowBytes: number,
    from: number,
    count: number,
    sequence: number,
    handles: Float64Array,
  ): number {
    this.#failure.check();
    const placed = this.#native.placeRows(keys, rows, rowBytes, from, count, sequence, handles);
    this.#started();
    if (placed < 0) throw placeError(placed, rowBytes);
    if (placed < count) this.#posts.refused();
    return placed;
  }

  whenRoom(): Promise<void> {
    return this.#posts.afterRefusal();
  }

  placeLarge(
    key: Uint8Array,
    keyLength: number,
    value: Uint8Array,
    sequence: number,
  ): Promise<Handle> {
    if (this.#failure.cause !== undefined) return Promise.reject(this.#failure.cause);
    return new Promise((resolve, reject) => {
      const valueLength = value.length;
      const token = this.#fileSet.channel.once((result) => {
        if (result >= 0) return resolve(handle);
        this.#native.discard(handle);
        reject(placeError(result, valueLength));
      });
      const handle = this.#native.placeLarge(key, keyLength, value, sequence, token);
      this.#started();
      if (handle < 0) {
        this.#fileSet.channel.unregister(token);
        reject(placeError(handle, valueLength));
      }
    });
  }

  placeLargeSync(key: Uint8Array, keyLength: number, value: Uint8Array, sequence: number): Handle {
    this.#failure.check();
    let handle = 0;
    try {
      this.#fileSet.runSync('write', VALUES_FILE, (token) => {
        handle = this.#native.placeLarge(key, keyLength, value, sequence, token);
        if (handle < 0) throw placeError(handle, value.length);
      });
    } catch (error) {
      if (handle > 0) this.#native.discard(handle);
      throw error;
    }
    this.#sync.block();
    return handle;
  }

  syncData(): Promise<void> {
    if (this.#closed) return Promise.reject(closedError());
    return this.#sync.run();
  }

  onFailure(callback: (cause: CairnError) => void): void {
    this.#failure.onFailure(callback);
  }

  async flush(): Promise<void> {
    if (this.#closed) throw closedError();
    this.#failure.check();
    const newest = this.#native.seal();
    this.#fileSet.kick();
    await this.#flushUntil(() => this.#stateOf('oldestUnwrittenRun') > newest);
  }

  expectKeys(hashKey: Uint8Array, keyType: 'bytes' | 'u64'): void {
    this.#native.expectKeys(hashKey, keyType === 'u64');
  }

  readNow(handle: Handle, key: Uint8Array, keyLength: number): Buffer | undefined | Pending {
    return this.#records.valueNow(this.#native.get(handle, key, keyLength, -1), handle);
  }

  read(
    handle: Handle,
    key: Uint8Array,
    keyLength: number,
    settled?: (value: Buffer | undefined) => void,
  ): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      const token = this.#fileSet.channel.once((result) => {
        try {
          const value = this.#records.valueOf(result, handle);
          settled?.(value);
          resolve(value);
        } catch (error) {
          reject(asError(error));
        }
      });
      const found = this.#native.get(handle, key, keyLength, token);
      if (found === null) return this.#started();
      this.#fileSet.channel.unregister(token);
      try {
        const value = this.#records.valueNow(found, handle) as Buffer | undefined;
        settled?.(value);
        resolve(value);
      } catch (error) {
        reject(asError(error));
      }
    });
  }

  readSync(handle: Handle, key: Uint8Array, keyLength: number): Buffer | undefined {
    let ended = false;
    let value: Buffer | undefined;
    let failure: unknown;
    const token = this.#fileSet.channel.once((posted) => {
      ended = true;
      try {
        // The value is copied out at once: later completions may want its place in the arena.
        value = this.#records.valueOf(posted, handle);
      } catch (error) {
        failure = error;
      }
    });
    const found = this.#native.get(handle, key, keyLength, token);
    if (found !== null) {
      this.#fileSet.channel.unregister(token);
      return this.#records.valueNow(found, handle) as Buffer | undefined;
    }
    while (!ended) this.#fileSet.channel.wait();
    if (failure !== undefined) throw failure as Error;
    return value;
  }

  readRecord(handle: Handle): StoredRecord | Promise<StoredRecord> {
    let settle: (result: number) => void;
    const token = this.#fileSet.channel.once((result) => settle(result));
    const found = this.#native.get(handle, NO_KEY, 0, token);
    if (found !== null) {
      this.#fileSet.channel.unregister(token);
      // Asked for no key, the addon finds no other one.
      return this.#records.recordNow(found as number | Buffer, handle);
    }
    this.#started();
    return new Promise((resolve, reject) => {
      settle = (result) => {
        try {
          resolve(this.#records.recordOf(result, handle));
        } catch (error) {
          reject(asError(error));
        }
      };
    });
  }

  gather(
    handles: Float64Array,
    keys: BigUint64Array,
    rows: Uint8Array,
    rowBytes: number,
    missing: Uint32Array,
  ): number | Promise<number> {
    if (this.#tiered)
      return gatherTiered(this, this.#native, handles, keys, rows, rowBytes, missing);
    return gatherFromDevice(this, handles, keys, rows, rowBytes, missing);
  }

  retire(handle: Handle, sequence: number): void {
    const at = 2 * this.#retiredCount;
    this.#retired[at] = handle;
    this.#retired[at + 1] = sequence;
    if (++this.#retiredCount === RETIRED_MAX) this.#handOverRetired();
  }
  discard(handle: Handle): void {
    this.#native.discard(handle);
  }
  onDurable(sequence: number): void {
    this.#handOverRetired();
    this.#native.onDurable(sequence);
  }
  onCheckpointBegin(): void {
    this.#handOverRetired();
    this.#native.onCheckpointBegin();
  }
  onCheckpointEnd(): void {
    this.#native.onCheckpointEnd();
  }
  pin(): () => void {
    const ticket = this.#native.pin();
    return () => this.#native.unpin(ticket);
  }

  holdForCopy(): CopyHold {
    return holdSlots(this.#native, VALUES_FILE, this.#fileSet.sizeOf(this.#file));
  }

  rewrite(
    handle: Handle,
    key: Uint8Array,
    keyLength: number,
    value: Uint8Array,
    sequence: number,
  ): void {
    const result = this.#native.rewrite(handle, key, keyLength, value, sequence);
    if (result === -EBADMSG) throw misplacedError(handle);
    if (result < 0) throw errnoError(result, { operation: 'replay', file: VALUES_FILE });
  }

  rewritten(handle: Handle): void {
    this.#native.forget(handle);
  }

  restore(handles: Float64Array, count: number): void {
    const restored = this.#native.restore(handles, count);
    if (restored < count) throw misplacedError(handles[restored] as number);
  }

  finishRestore(): void {
    this.#native.finishRestore(this.#readOnly);
    this.#started();
  }

  stats(): ValueStoreStats {
    this.#native.updateState();
    return slotFileStats((name) => this.#stateOf(name), this.#native.tierStats());
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // Reads and writes under way own memory of the addon; a failed writer never gets idle by flush.
    while (this.#fileSet.native.inFlight > 0) await this.#fileSet.idle();
    this.#native.close();
    this.#fileSet.channel.unregister(this.#token);
    this.#fileSet.close(this.#file);
  }

  #handOverRetired(): void {
    if (this.#retiredCount === 0) return;
    this.#native.retireAll(this.#retired, this.#retiredCount);
    this.#retiredCount = 0;
  }

  /** The ring is submitted at the end of the turn; a simulated disk has to be told. */
  #started(): void {
    if (this.#fileSet.simulated) this.#fileSet.kick();
  }

  /** Waits until the writer has come so far, then syncs. */
  async #flushUntil(written: () => boolean): Promise<void> {
    const done = (): boolean => {
      this.#native.updateState();
      const errno = this.#stateOf('failedErrno');
      if (errno !== 0) throw placeError(-errno, 0);
      if (this.#stateOf('outOfSpace') === 1) throw placeError(-ENOSPC, 0);
      return written();
    };
    if (!done()) await this.#posts.until(done);
    await this.syncData();
  }

  #stateOf(name: string): number {
    return this.#state[this.#slots[name] as number] as number;
  }

  #onPost(result: number): void {
    if (result < 0) {
      this.#native.updateState();
      const errno = this.#stateOf('failedErrno');
      if (errno !== 0) this.#failure.set(placeError(-errno, 0));
    }
    this.#posts.posted();
  }
}

const NO_KEY = new Uint8Array(0);
