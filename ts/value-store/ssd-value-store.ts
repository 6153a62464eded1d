import { addon } from '../bindings/addon.js';
import type { FileId, FileSet } from '../bindings/file-set.js';
import type { NativeSlotFile } from '../bindings/slot-file.js';
import { errnoError } from '../bindings/status.js';
import { CairnError } from '../common/errors.js';
import { GroupedSync } from './grouped-sync.js';
import { gatherFromDevice } from './device-gather.js';
import { openValuesFile, VALUES_FILE } from './values-file.js';
import {
  PENDING,
  type Handle,
  type Pending,
  type StoredRecord,
  type ValueStore,
  type ValueStoreCapabilities,
  type ValueStoreStats,
} from './value-store.js';

const ENOSPC = 28;
const EDQUOT = 122;
const E2BIG = 7;
const EBADMSG = 74;
const ENOKEY = 126;

export interface SsdValueStoreOptions {
  readonly storeId: Uint8Array;
  /** Payload sizes of the slots; the default classes when absent. */
  readonly sizeClasses?: readonly number[] | undefined;
  /** Limit on what the slots take; 0: none. */
  readonly capacityBytes: number;
  readonly cacheBytes: number;
  readonly inlineBytesMax: number;
  /** Cells that go to the device in one write. */
  readonly runBytes: number;
  readonly dirtyBytesMax: number;
  readonly reserveBytesMax: number;
  readonly readOnly: boolean;
}

/** `SSD_VALUE_STORE`: records in slots of one file, placed by the allocator of the addon. */
export class SsdValueStore implements ValueStore {
  readonly capabilities: ValueStoreCapabilities;
  readonly #fileSet: FileSet;
  readonly #file: FileId;
  readonly #readOnly: boolean;
  readonly #native: NativeSlotFile;
  readonly #state: Float64Array;
  readonly #slots = addon().NativeSlotFile.stateSlots;
  readonly #headerBytes = addon().NativeSlotFile.recordHeaderBytes;
  readonly #takeBase = addon().NativeSlotFile.takeBase;
  readonly #token: number;
  readonly #sync: GroupedSync;
  #arena: Buffer;
  #arenaWords: DataView;
  /** Called at each post of the writer; true when done. */
  #waiters: (() => boolean)[] = [];
  #posts = 0;
  /** `#posts` when a record found no room last; undefined when that was waited for. */
  #refusedAt: number | undefined;
  #closed = false;

  static async open(fileSet: FileSet, options: SsdValueStoreOptions): Promise<SsdValueStore> {
    const file = await openValuesFile(fileSet, options.storeId, options.readOnly);
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

  private constructor(fileSet: FileSet, file: FileId, options: SsdValueStoreOptions) {
    this.#fileSet = fileSet;
    this.#file = file;
    this.#readOnly = options.readOnly;
    this.#token = fileSet.channel.register(() => this.#onPost());
    const Native = addon().NativeSlotFile;
    this.#native = new Native(fileSet.native, {
      file,
      storeId: options.storeId,
      sizeClasses: options.sizeClasses,
      capacityBytes: options.capacityBytes,
      cacheBytes: options.cacheBytes,
      runBytes: options.runBytes,
      dirtyBytesMax: options.dirtyBytesMax,
      reserveBytesMax: options.reserveBytesMax,
      token: this.#token,
    });
    this.#state = this.#native.state;
    this.#arena = Buffer.from(this.#native.arena);
    this.#arenaWords = new DataView(this.#native.arena);
    this.#sync = new GroupedSync(() => fileSet.sync(file));
    this.capabilities = {
      persistent: true,
      valueBytesMax: Native.valueBytesMax,
      inlineBytesMax: options.inlineBytesMax,
    };
  }

  get waitsForCheckpoint(): boolean {
    this.#native.updateState();
    return (this.#state[this.#slots['retiredWaiting'] as number] as number) > 0;
  }

  place(
    key: Uint8Array,
    keyLength: number,
    value: Uint8Array,
    sequence: number,
    through = false,
  ): Handle {
    const handle = this.#native.place(through ? 1 : 0, key, keyLength, value, sequence);
    this.#started();
    if (handle < 0) throw this.#placeError(handle, value.length);
    if (handle === 0) this.#refusedAt = this.#posts;
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
    const placed = this.#native.placeRows(keys, rows, rowBytes, from, count, sequence, handles);
    this.#started();
    if (placed < 0) throw this.#placeError(placed, rowBytes);
    if (placed < count) this.#refusedAt = this.#posts;
    return placed;
  }

  whenRoom(): Promise<void> {
    // One post is enough: place() says again whether there is room. It may have come already,
    // between the refusal and this call.
    const missed = this.#refusedAt !== undefined && this.#refusedAt !== this.#posts;
    this.#refusedAt = undefined;
    return missed ? Promise.resolve() : this.#afterPosts(() => true);
  }

  placeLarge(
    key: Uint8Array,
    keyLength: number,
    value: Uint8Array,
    sequence: number,
  ): Promise<Handle> {
    return new Promise((resolve, reject) => {
      const valueLength = value.length;
      const token = this.#fileSet.channel.once((result) => {
        if (result >= 0) return resolve(handle);
        this.#native.discard(handle);
        reject(this.#placeError(result, valueLength));
      });
      const handle = this.#native.placeLarge(key, keyLength, value, sequence, token);
      this.#started();
      if (handle < 0) {
        this.#fileSet.channel.unregister(token);
        reject(this.#placeError(handle, valueLength));
      }
    });
  }

  placeLargeSync(key: Uint8Array, keyLength: number, value: Uint8Array, sequence: number): Handle {
    let handle = 0;
    try {
      this.#fileSet.runSync('write', VALUES_FILE, (token) => {
        handle = this.#native.placeLarge(key, keyLength, value, sequence, token);
        if (handle < 0) throw this.#placeError(handle, value.length);
      });
      this.#fileSet.runSync('sync', VALUES_FILE, (token) =>
        this.#fileSet.native.sync(this.#file, token),
      );
    } catch (error) {
      if (handle > 0) this.#native.discard(handle);
      throw error;
    }
    return handle;
  }

  syncData(): Promise<void> {
    if (this.#closed) return Promise.reject(closedError());
    return this.#sync.run();
  }

  async flush(): Promise<void> {
    if (this.#closed) throw closedError();
    const newest = this.#native.seal();
    this.#fileSet.kick();
    if (!this.#written(newest)) await this.#afterPosts(() => this.#written(newest));
    await this.syncData();
  }

  readNow(handle: Handle, key: Uint8Array, keyLength: number): Buffer | undefined | Pending {
    return this.#fromMemory(this.#native.get(handle, key, keyLength, -1), handle);
  }

  read(handle: Handle, key: Uint8Array, keyLength: number): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      const token = this.#fileSet.channel.once((result) => {
        try {
          resolve(this.#finished(result, handle));
        } catch (error) {
          reject(error as Error);
        }
      });
      const found = this.#native.get(handle, key, keyLength, token);
      if (found === null) return this.#started();
      this.#fileSet.channel.unregister(token);
      try {
        resolve(this.#fromMemory(found, handle) as Buffer | undefined);
      } catch (error) {
        reject(error as Error);
      }
    });
  }

  readSync(handle: Handle, key: Uint8Array, keyLength: number): Buffer | undefined {
    let result: number | undefined;
    const token = this.#fileSet.channel.once((posted) => {
      // The value is copied out at once: later completions may want its place in the arena.
      result = posted;
      value = posted === -ENOKEY ? undefined : this.#finished(posted, handle);
    });
    let value: Buffer | undefined;
    const found = this.#native.get(handle, key, keyLength, token);
    if (found !== null) {
      this.#fileSet.channel.unregister(token);
      return this.#fromMemory(found, handle) as Buffer | undefined;
    }
    while (result === undefined) this.#fileSet.channel.wait();
    return value;
  }

  readRecord(handle: Handle): Promise<StoredRecord> {
    return new Promise((resolve, reject) => {
      const token = this.#fileSet.channel.once((result) => {
        try {
          if (result < 0) throw this.#readError(result, handle);
          resolve(this.#record(this.#posted(result)));
        } catch (error) {
          reject(error as Error);
        }
      });
      const found = this.#native.get(handle, NO_KEY, 0, token);
      if (found === null) return this.#started();
      this.#fileSet.channel.unregister(token);
      if (typeof found === 'number' && found >= 0) resolve(this.#record(this.#arenaRecord(found)));
      else if (typeof found === 'object') resolve(this.#record(found));
      else reject(this.#readError(found ?? -EBADMSG, handle));
    });
  }

  gather(
    handles: Float64Array,
    keys: BigUint64Array,
    rows: Uint8Array,
    rowBytes: number,
    missing: Uint32Array,
  ): Promise<number> {
    return gatherFromDevice(this, handles, keys, rows, rowBytes, missing);
  }

  retire(handle: Handle, sequence: number): void {
    this.#native.retire(handle, sequence);
  }
  discard(handle: Handle): void {
    this.#native.discard(handle);
  }
  onDurable(sequence: number): void {
    this.#native.onDurable(sequence);
  }
  onCheckpointBegin(): void {
    this.#native.onCheckpointBegin();
  }
  onCheckpointEnd(): void {
    this.#native.onCheckpointEnd();
  }
  pin(): () => void {
    const ticket = this.#native.pin();
    return () => this.#native.unpin(ticket);
  }

  rewrite(
    handle: Handle,
    key: Uint8Array,
    keyLength: number,
    value: Uint8Array,
    sequence: number,
  ): void {
    const result = this.#native.rewrite(handle, key, keyLength, value, sequence);
    if (result === -EBADMSG) throw this.#misplaced(handle);
    if (result < 0) throw errnoError(result, { operation: 'replay', file: VALUES_FILE });
  }

  restore(handles: Float64Array, count: number): void {
    const restored = this.#native.restore(handles, count);
    if (restored < count) throw this.#misplaced(handles[restored] as number);
  }

  finishRestore(): void {
    this.#native.finishRestore(this.#readOnly);
    this.#started();
  }

  stats(): ValueStoreStats {
    this.#native.updateState();
    const of = (name: string): number => this.#state[this.#slots[name] as number] as number;
    return {
      capacityBytes: of('capacityBytes'),
      allocatedBytes: of('allocatedBytes'),
      reservedBytes: of('reservedBytes'),
      liveSlots: of('liveSlots'),
      deviceReads: of('deviceReads'),
      deviceReadBytes: of('deviceReadBytes'),
      deviceWrites: of('deviceWrites'),
      deviceWriteBytes: of('deviceWriteBytes'),
      memoryHits: of('memoryHits'),
      memoryBytes: of('cacheBytes') + of('dirtyBytes'),
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // Reads and writes under way own memory of the addon; a failed writer never gets idle by flush.
    while (this.#fileSet.native.inFlight > 0) await this.#fileSet.idle();
    this.#native.close();
    this.#fileSet.channel.unregister(this.#token);
    this.#arena = Buffer.alloc(0);
    this.#arenaWords = new DataView(new ArrayBuffer(0));
    this.#fileSet.close(this.#file);
  }

  /** The ring is submitted at the end of the turn; a simulated disk has to be told. */
  #started(): void {
    if (this.#fileSet.simulated) this.#fileSet.kick();
  }

  #written(run: number): boolean {
    this.#native.updateState();
    const errno = this.#state[this.#slots['failedErrno'] as number] as number;
    if (errno !== 0) throw this.#placeError(-errno, 0);
    if (this.#state[this.#slots['outOfSpace'] as number] === 1) throw this.#placeError(-ENOSPC, 0);
    return (this.#state[this.#slots['oldestUnwrittenRun'] as number] as number) > run;
  }

  /** Resolves when `done` says so, which is asked after each post of the writer. */
  #afterPosts(done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push(() => {
        try {
          const finished = done();
          if (finished) resolve();
          return finished;
        } catch (error) {
          reject(error as Error);
          return true;
        }
      });
    });
  }

  #onPost(): void {
    this.#posts++;
    if (this.#waiters.length === 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) if (!waiter()) this.#waiters.push(waiter);
  }

  /** Value of a record found without waiting. */
  #fromMemory(
    found: number | Buffer | undefined | null,
    handle: Handle,
  ): Buffer | undefined | Pending {
    if (typeof found === 'number') {
      if (found < 0) throw this.#readError(found, handle);
      return this.#arenaValue(found);
    }
    if (found === undefined) return undefined;
    if (found === null) return PENDING;
    return this.#record(found).value;
  }

  #finished(result: number, handle: Handle): Buffer | undefined {
    if (result === -ENOKEY) return undefined;
    if (result < 0) throw this.#readError(result, handle);
    if (result >= this.#takeBase) return this.#record(this.#native.take(result)).value;
    const value = this.#arenaValue(result);
    this.#consumed();
    return value;
  }

  /** The bytes of a posted record; the arena is free for others afterwards. */
  #posted(result: number): Buffer {
    if (result >= this.#takeBase) return this.#native.take(result);
    const record = this.#arenaRecord(result);
    this.#consumed();
    return record;
  }

  #consumed(): void {
    const slot = this.#slots['consumedReads'] as number;
    this.#state[slot] = (this.#state[slot] as number) + 1;
  }

  #arenaValue(offset: number): Buffer {
    const valueBytes = this.#arenaWords.getUint32(offset + 4, true);
    const keyBytes = this.#arenaWords.getUint32(offset + 8, true) & 0xffffff;
    const begin = offset + this.#headerBytes + keyBytes;
    const value = Buffer.allocUnsafe(valueBytes);
    this.#arena.copy(value, 0, begin, begin + valueBytes);
    return value;
  }

  #arenaRecord(offset: number): Buffer {
    const valueBytes = this.#arenaWords.getUint32(offset + 4, true);
    const keyBytes = this.#arenaWords.getUint32(offset + 8, true) & 0xffffff;
    const end = offset + this.#headerBytes + keyBytes + valueBytes;
    return Buffer.from(this.#arena.subarray(offset, end));
  }

  #record(bytes: Buffer): StoredRecord {
    const keyEnd = this.#headerBytes + (bytes.readUInt32LE(8) & 0xffffff);
    return {
      key: bytes.subarray(this.#headerBytes, keyEnd),
      value: bytes.subarray(keyEnd, keyEnd + bytes.readUInt32LE(4)),
      sequence: Number(bytes.readBigUInt64LE(16)),
    };
  }

  #readError(result: number, handle: Handle): CairnError {
    const offset = Math.floor(handle / 256) * 64;
    if (result === -EBADMSG) {
      return new CairnError(
        'CAIRN_CORRUPTION',
        `${VALUES_FILE}: the record at offset ${offset} does not match its checksum; ` +
          'run `cairn verify` and restore the keys it lists from a copy',
        { operation: 'read', file: VALUES_FILE, offset },
      );
    }
    return errnoError(result, { operation: 'read', file: VALUES_FILE, offset });
  }

  #misplaced(handle: Handle): CairnError {
    const offset = Math.floor(handle / 256) * 64;
    return new CairnError(
      'CAIRN_CORRUPTION',
      `${VALUES_FILE}: the index names offset ${offset}, where no slot can be`,
      { operation: 'open', file: VALUES_FILE, offset },
    );
  }

  #placeError(result: number, valueBytes: number): CairnError {
    if (result === -ENOSPC || result === -EDQUOT) {
      return new CairnError(
        'CAIRN_NO_SPACE',
        'no space for the value: delete entries, raise value.ssd_allocator.capacity_bytes or free ' +
          'space on the file system; reads and deletes go on',
        { operation: 'put', file: VALUES_FILE },
      );
    }
    if (result === -E2BIG) {
      return new CairnError('CAIRN_TOO_LARGE', `a value of ${valueBytes} bytes fits no slot`, {
        operation: 'put',
        file: VALUES_FILE,
      });
    }
    return errnoError(result, { operation: 'write', file: VALUES_FILE });
  }
}

const NO_KEY = new Uint8Array(0);

function closedError(): CairnError {
  return new CairnError('CAIRN_CLOSED', `${VALUES_FILE} is closed`, { file: VALUES_FILE });
}
