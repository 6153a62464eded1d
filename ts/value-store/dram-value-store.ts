import { addon } from '../bindings/addon.js';
import type { NativeHashTable } from '../bindings/hash-table.js';
import type { NativeMemorySlots } from '../bindings/memory-slots.js';
import { errnoError } from '../bindings/status.js';
import { CairnError } from '../common/errors.js';
import type { MemoryPool } from './memory-pool.js';
import { openMemorySlots, type PoolPlace } from './memory-pool.js';
import { MemoryRegions, REGION_BYTES, type RegionView } from './memory-regions.js';
import { RetiredSlots } from './retired-slots.js';
import type {
  Handle,
  StoredRecord,
  ValueStore,
  ValueStoreCapabilities,
  ValueStoreStats,
} from './value-store.js';

const ENOSPC = 28;
const E2BIG = 7;

// A handle is offset / 64 << 8 | class (native/alloc/allocator.h), and a region 64 MiB: its number
// is in bits 28 and up, the place inside it in bits 8 to 27.
const HANDLES_PER_REGION = 2 ** 28;
const HEADER_BYTES = 24;
/** Words of the record header (docs/FORMAT.md "Slot record"). */
const VALUE_SIZE_WORD = 1;
const KEY_SIZE_WORD = 2;
const KEY_SIZE_MASK = 0xffffff;
const VALUE_BYTES_MAX = 64 * 2 ** 20;

export interface DramValueStoreOptions {
  /** Limit on what the slots take, in bytes; 0: none but the system's. */
  readonly capacityBytes: number;
  /** Value sizes to fit slots to; other sizes are stored all the same. */
  readonly sizeClasses?: readonly number[] | undefined;
  /** Default and maximum 64 MiB; smaller where the log cannot carry that much. */
  readonly valueBytesMax?: number | undefined;
  /** A name of `value.dram_allocator.type`. @default CONCURRENT_SLAB_MEMORY_POOL */
  readonly allocator?: string | undefined;
  /** Where the slots outlive the process. */
  readonly pool?: PoolPlace | undefined;
}

/**
 * `DRAM_VALUE_STORE`: records in memory, which the log and checkpoints carry as well. Single values
 * are read here, over views of the slots, with no call into the addon.
 */
export class DramValueStore implements ValueStore {
  readonly capabilities: ValueStoreCapabilities;
  readonly pool: MemoryPool | undefined;
  readonly #native: NativeMemorySlots;
  readonly #retired: RetiredSlots;
  readonly #exported = new Float64Array(3);
  readonly #regions = new MemoryRegions((index, bytes) => this.#native.region(index, bytes));

  constructor(options: DramValueStoreOptions) {
    const Native = addon().NativeMemorySlots;
    if (Native.regionBytes !== REGION_BYTES || Native.recordHeaderBytes !== HEADER_BYTES) {
      throw new CairnError('CAIRN_INCOMPATIBLE', 'the addon is of another version than this code');
    }
    const { capacityBytes, sizeClasses, allocator } = options;
    const opened = openMemorySlots({ capacityBytes, sizeClasses, allocator }, options.pool);
    this.#native = opened.slots;
    this.pool = opened.pool;
    this.#retired = new RetiredSlots(
      (handles, from, to) => this.#native.free(handles, from, to),
      this.pool !== undefined,
    );
    const valueBytesMax = Math.min(options.valueBytesMax ?? VALUE_BYTES_MAX, VALUE_BYTES_MAX);
    this.capabilities = {
      persistent: false,
      resident: true,
      valueBytesMax,
      // The log is the only durable copy, so that it carries every value.
      inlineBytesMax: valueBytesMax,
    };
  }

  get waitsForCheckpoint(): boolean {
    return this.pool !== undefined && this.#retired.waiting > 0;
  }

  place(key: Uint8Array, keyLength: number, value: Uint8Array, sequence: number): Handle {
    if (value.length > this.capabilities.valueBytesMax)
      throw this.#placeError(-E2BIG, value.length);
    const handle = this.#native.place(key, keyLength, value, sequence);
    if (handle < 0) throw this.#placeError(handle, value.length);
    return handle;
  }

  async placeLarge(
    key: Uint8Array,
    keyLength: number,
    value: Uint8Array,
    sequence: number,
  ): Promise<Handle> {
    return this.place(key, keyLength, value, sequence);
  }

  placeLargeSync(key: Uint8Array, keyLength: number, value: Uint8Array, sequence: number): Handle {
    return this.place(key, keyLength, value, sequence);
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
    if (rowBytes > this.capabilities.valueBytesMax) throw this.#placeError(-E2BIG, rowBytes);
    const placed = this.#native.placeRows(keys, rows, rowBytes, from, count, sequence, handles);
    if (placed < 0) throw this.#placeError(placed, rowBytes);
    return placed;
  }

  // A record is in its final place when place() returns; nothing is ever on its way.
  async whenRoom(): Promise<void> {}
  async syncData(): Promise<void> {}
  async flush(): Promise<void> {}
  // The memory does not fail.
  onFailure(): void {}

  readNow(handle: Handle, key: Uint8Array, keyLength: number): Buffer | undefined {
    const index = (handle / HANDLES_PER_REGION) | 0;
    const begin = ((handle >>> 8) & 0xfffff) << 6;
    let region = this.#regions.upTo(index, begin + HEADER_BYTES);
    if (region === undefined) return this.#readCopy(handle, key, keyLength);
    const words = region.words;
    const word = begin >>> 2;
    if (((words[word + KEY_SIZE_WORD] as number) & KEY_SIZE_MASK) !== keyLength) return undefined;
    const valueBegin = begin + HEADER_BYTES + keyLength;
    const valueBytes = (words[word + VALUE_SIZE_WORD] as number) >>> 0;
    region = this.#regions.upTo(index, valueBegin + valueBytes);
    if (region === undefined) return this.#readCopy(handle, key, keyLength);
    if (!sameKey(region, begin + HEADER_BYTES, key, keyLength)) return undefined;
    // 100 B out of 1 M records, random order: 313 ns, of which the missing cache lines take 170.
    // Buffer.copy takes 344 ns, a loop over words 348, over bytes 401 (from the cache: 61, 98, 92,
    // 144).
    const value = Buffer.allocUnsafe(valueBytes);
    value.set(new Uint8Array(region.buffer, valueBegin, valueBytes));
    return value;
  }

  async read(
    handle: Handle,
    key: Uint8Array,
    keyLength: number,
    settled?: (value: Buffer | undefined) => void,
  ): Promise<Buffer | undefined> {
    const value = this.readNow(handle, key, keyLength);
    settled?.(value);
    return value;
  }

  readSync(handle: Handle, key: Uint8Array, keyLength: number): Buffer | undefined {
    return this.readNow(handle, key, keyLength);
  }

  readRecord(handle: Handle): StoredRecord {
    return this.#record(handle);
  }

  gather(
    handles: Float64Array,
    keys: BigUint64Array,
    rows: Uint8Array,
    rowBytes: number,
    missing: Uint32Array,
  ): number {
    return this.#gather(handles, keys, rows, rowBytes, missing);
  }

  gatherBy(
    table: NativeHashTable,
    keys: BigUint64Array,
    rows: Uint8Array,
    rowBytes: number,
    missing: Uint32Array,
  ): number {
    return this.#gather(table, keys, rows, rowBytes, missing);
  }

  #gather(
    source: Float64Array | NativeHashTable,
    keys: BigUint64Array,
    rows: Uint8Array,
    rowBytes: number,
    missing: Uint32Array,
  ): number {
    const count = this.#native.gather(source, keys, rows, rowBytes, missing);
    if (count < 0) throw errnoError(count, { operation: 'gather' });
    return count;
  }

  retire(handle: Handle, sequence: number): void {
    this.#retired.push(handle, sequence);
  }
  discard(handle: Handle): void {
    this.pool?.forget(handle);
    this.#retired.discard(handle);
  }
  onDurable(sequence: number): void {
    this.#retired.onDurable(sequence);
  }
  // Checkpoints carry the records themselves. Those of a pool name its slots as well.
  onCheckpointBegin(): void {
    this.pool?.beginCheckpoint();
    this.#retired.beginCheckpoint();
  }
  onCheckpointEnd(): void {
    this.pool?.endCheckpoint();
    this.#retired.endCheckpoint();
  }
  pin(): () => void {
    return this.#retired.pin();
  }

  rewrite(): void {
    throw new CairnError('CAIRN_UNSUPPORTED', 'slots in memory do not outlive the process');
  }
  restore(_handles: Float64Array, count: number): void {
    if (count > 0) this.rewrite();
  }
  finishRestore(): void {
    this.pool?.finishRestore();
  }

  exportRecords(
    handles: Float64Array,
    from: number,
    count: number,
    out: Uint8Array,
  ): { readonly bytes: number; readonly next: number; readonly needs: number } {
    const result = this.#native.exportRecords(handles, from, count, out, this.#exported);
    if (result < 0) throw errnoError(result, { operation: 'export' });
    const [bytes = 0, next = 0, needs = 0] = this.#exported;
    return { bytes, next, needs };
  }

  stats(): ValueStoreStats {
    const slots = this.#native.stats();
    return {
      capacityBytes: slots.capacityBytes,
      allocatedBytes: slots.allocatedBytes,
      reservedBytes: slots.reservedBytes,
      liveSlots: slots.liveSlots,
      liveBytes: slots.allocatedBytes,
      waitingBytes: 0,
      garbageRatio: 0,
      movedBytes: 0,
      compactedCells: 0,
      punchedBytes: 0,
      deviceReads: 0,
      deviceReadBytes: 0,
      deviceWrites: 0,
      deviceWriteBytes: 0,
      memoryHits: 0,
      memoryBytes: slots.reservedBytes,
      ...(this.pool === undefined ? {} : { pool: this.pool.stats() }),
    };
  }

  async close(): Promise<void> {
    // The memory goes when the garbage collector has taken the last view.
    this.#regions.clear();
    this.#native.close();
  }

  /** For records that cross the end of a region, and runtimes without external buffers. */
  #readCopy(handle: Handle, key: Uint8Array, keyLength: number): Buffer | undefined {
    const record = this.#record(handle);
    const wanted = Buffer.from(key.buffer, key.byteOffset, keyLength);
    return record.key.equals(wanted) ? record.value : undefined;
  }

  #record(handle: Handle): StoredRecord {
    const bytes = this.#native.record(handle);
    if (typeof bytes === 'number') {
      const offset = Math.floor(handle / 256) * 64;
      throw errnoError(bytes, { operation: 'read', offset });
    }
    const keyEnd = HEADER_BYTES + (bytes.readUInt32LE(KEY_SIZE_WORD * 4) & KEY_SIZE_MASK);
    return {
      key: bytes.subarray(HEADER_BYTES, keyEnd),
      value: bytes.subarray(keyEnd),
      sequence: Number(bytes.readBigUInt64LE(16)),
    };
  }

  #placeError(result: number, valueBytes: number): CairnError {
    switch (result) {
      case -ENOSPC: {
        const { allocatedBytes, capacityBytes } = this.#native.stats();
        return new CairnError(
          'CAIRN_NO_SPACE',
          `place ${valueBytes} bytes: ${allocatedBytes} bytes of memory are in use, ` +
            `value.dram_allocator.capacity_bytes is ${capacityBytes}`,
          { operation: 'place' },
        );
      }
      case -E2BIG:
        return new CairnError(
          'CAIRN_TOO_LARGE',
          `place ${valueBytes} bytes: values have at most ${this.capabilities.valueBytesMax} bytes`,
          { operation: 'place' },
        );
      default:
        return errnoError(result, { operation: 'place' });
    }
  }
}

/** Four bytes at a time and one branch: 20 ns less than bytes for a key of 16. */
function sameKey(region: RegionView, begin: number, key: Uint8Array, keyLength: number): boolean {
  const { bytes, words } = region;
  let different = 0;
  let at = 0;
  // Records lie at multiples of 64 and keys 24 bytes on, which is a word's boundary.
  for (let word = begin >>> 2; at + 4 <= keyLength; at += 4) {
    const wanted =
      (key[at] as number) |
      ((key[at + 1] as number) << 8) |
      ((key[at + 2] as number) << 16) |
      ((key[at + 3] as number) << 24);
    different |= (words[word++] as number) ^ wanted;
  }
  for (; at < keyLength; at++) different |= (bytes[begin + at] as number) ^ (key[at] as number);
  return different === 0;
}
