// A value store of one's own: records in a Map. It is not persistent, so that the log and the
// checkpoints carry its records, and the engine sees to durability.
import {
  CairnError,
  type Factories,
  type Handle,
  type Registry,
  type StoredRecord,
  type ValueStore,
  type ValueStoreCapabilities,
  type ValueStoreStats,
} from 'cairn-kv';

const VALUE_BYTES_MAX = 16 * 2 ** 20;
const RECORD_BYTES = 64;

interface Retired {
  readonly handle: Handle;
  /** Of the log record that replaced it; 0: none did. */
  readonly sequence: number;
  /** Pins with a lower number were taken before. */
  readonly number: number;
}

export class MapValueStore implements ValueStore {
  readonly capabilities: ValueStoreCapabilities = {
    persistent: false,
    resident: true,
    valueBytesMax: VALUE_BYTES_MAX,
    inlineBytesMax: VALUE_BYTES_MAX,
  };
  readonly waitsForCheckpoint = false;
  readonly #records = new Map<Handle, StoredRecord>();
  readonly #capacityBytes: number;
  #bytes = 0;
  #nextHandle = 1;
  #retired: Retired[] = [];
  readonly #pins = new Set<number>();
  #nextNumber = 1;
  #durable = 0;

  /** @param capacityBytes 0: no limit. */
  constructor(capacityBytes: number) {
    this.#capacityBytes = capacityBytes;
  }

  /** A handle is never used twice, so a reader with an old one finds its record or nothing. */
  place(key: Uint8Array, keyLength: number, value: Uint8Array, sequence: number): Handle {
    if (value.length > VALUE_BYTES_MAX) {
      throw new CairnError('CAIRN_TOO_LARGE', `a value has at most ${VALUE_BYTES_MAX} bytes`);
    }
    const bytes = keyLength + value.length + RECORD_BYTES;
    if (this.#capacityBytes > 0 && this.#bytes + bytes > this.#capacityBytes) {
      throw new CairnError('CAIRN_NO_SPACE', `MAP_VALUE_STORE: ${this.#bytes} bytes are in use`);
    }
    const handle = this.#nextHandle++;
    const record = { key: Buffer.from(key.subarray(0, keyLength)), value: Buffer.from(value) };
    this.#records.set(handle, { ...record, sequence });
    this.#bytes += bytes;
    return handle;
  }
  async placeLarge(...record: Parameters<ValueStore['placeLarge']>): Promise<Handle> {
    return this.place(...record);
  }
  placeLargeSync(...record: Parameters<ValueStore['placeLargeSync']>): Handle {
    return this.place(...record);
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
    for (let at = 0; at < count; at++) {
      const row = rows.subarray((from + at) * rowBytes, (from + at + 1) * rowBytes);
      try {
        handles[at] = this.place(u64Bytes(keys[from + at]!), 8, row, sequence);
      } catch (error) {
        if (at > 0) return at;
        throw error;
      }
    }
    return count;
  }

  // A record is in its place at once, and memory does not fail.
  async whenRoom(): Promise<void> {}
  async syncData(): Promise<void> {}
  async flush(): Promise<void> {}
  onFailure(): void {}

  readNow(handle: Handle, key: Uint8Array, keyLength: number): Buffer | undefined {
    const record = this.#records.get(handle);
    if (record === undefined || !record.key.equals(key.subarray(0, keyLength))) return undefined;
    return Buffer.from(record.value);
  }
  async read(handle: Handle, key: Uint8Array, keyLength: number): Promise<Buffer | undefined> {
    return this.readNow(handle, key, keyLength);
  }
  readSync(handle: Handle, key: Uint8Array, keyLength: number): Buffer | undefined {
    return this.readNow(handle, key, keyLength);
  }
  async readRecord(handle: Handle): Promise<StoredRecord> {
    const { key, value, sequence } = this.#record(handle);
    return { key: Buffer.from(key), value: Buffer.from(value), sequence };
  }

  gather(
    handles: Float64Array,
    keys: BigUint64Array,
    rows: Uint8Array,
    rowBytes: number,
    missing: Uint32Array,
  ): number {
    let count = 0;
    for (const [at, key] of keys.entries()) {
      const row = rows.subarray(at * rowBytes, (at + 1) * rowBytes);
      const value = this.readNow(handles[at]!, u64Bytes(key), 8);
      if (value?.length === rowBytes) row.set(value);
      else {
        row.fill(0);
        missing[count++] = at;
      }
    }
    return count;
  }

  retire(handle: Handle, sequence: number): void {
    this.#retired.push({ handle, sequence, number: this.#nextNumber });
  }
  discard(handle: Handle): void {
    this.retire(handle, 0);
    this.#free();
  }
  onDurable(sequence: number): void {
    this.#durable = Math.max(this.#durable, sequence);
    this.#free();
  }
  onCheckpointBegin(): void {}
  onCheckpointEnd(): void {}

  pin(): () => void {
    const number = this.#nextNumber++;
    this.#pins.add(number);
    return () => {
      if (this.#pins.delete(number)) this.#free();
    };
  }

  // Only stores whose records outlive the process have something to restore.
  rewrite(): void {
    throw new CairnError('CAIRN_UNSUPPORTED', 'MAP_VALUE_STORE does not outlive the process');
  }
  restore(_handles: Float64Array, count: number): void {
    if (count > 0) this.rewrite();
  }
  finishRestore(): void {}

  exportRecords(
    handles: Float64Array,
    from: number,
    count: number,
    out: Uint8Array,
  ): { readonly bytes: number; readonly next: number; readonly needs: number } {
    const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
    let bytes = 0;
    for (let next = from; next < count; next++) {
      const { key, value, sequence } = this.#record(handles[next]!);
      const needs = 16 + key.length + value.length;
      if (bytes + needs > out.length) return { bytes, next, needs };
      view.setUint32(bytes, key.length, true);
      view.setUint32(bytes + 4, value.length, true);
      view.setFloat64(bytes + 8, sequence, true);
      out.set(key, bytes + 16);
      out.set(value, bytes + 16 + key.length);
      bytes += needs;
    }
    return { bytes, next: count, needs: 0 };
  }

  stats(): ValueStoreStats {
    const waitingBytes = this.#retired.reduce((sum, { handle }) => sum + this.#bytesOf(handle), 0);
    return {
      ...{ deviceReads: 0, deviceReadBytes: 0, deviceWrites: 0, deviceWriteBytes: 0 },
      ...{ movedBytes: 0, compactedCells: 0, punchedBytes: 0 },
      liveBytes: this.#bytes - waitingBytes,
      waitingBytes,
      garbageRatio: this.#bytes === 0 ? 0 : waitingBytes / this.#bytes,
      capacityBytes: this.#capacityBytes,
      allocatedBytes: this.#bytes,
      reservedBytes: this.#bytes,
      liveSlots: this.#records.size,
      memoryHits: 0,
      memoryBytes: this.#bytes,
    };
  }

  async close(): Promise<void> {
    this.#records.clear();
  }

  #record(handle: Handle): StoredRecord {
    const record = this.#records.get(handle);
    if (record !== undefined) return record;
    throw new CairnError('CAIRN_CORRUPTION', `MAP_VALUE_STORE: there is no record ${handle}`);
  }

  #bytesOf(handle: Handle): number {
    const record = this.#records.get(handle);
    return record === undefined ? 0 : record.key.length + record.value.length + RECORD_BYTES;
  }

  /** What was replaced durably and no pin from before is held for. */
  #free(): void {
    const oldestPin = Math.min(Infinity, ...this.#pins);
    this.#retired = this.#retired.filter(({ handle, sequence, number }) => {
      if (sequence > this.#durable || oldestPin < number) return true;
      this.#bytes -= this.#bytesOf(handle);
      this.#records.delete(handle);
      return false;
    });
  }
}

function u64Bytes(key: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(key);
  return bytes;
}

export function registerValueStore(registry: Registry<Factories>): void {
  // Like every type of one's own it may have a dram_allocator, whose limit it gets.
  registry.register('value', 'MAP_VALUE_STORE', ({ slots }) => {
    return new MapValueStore(slots.capacityBytes);
  });
}
