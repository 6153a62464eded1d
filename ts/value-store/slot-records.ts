import { addon } from '../bindings/addon.js';
import type { NativeSlotFile } from '../bindings/slot-file.js';
import { ENOKEY, readError } from './slot-errors.js';
import { TierValues } from './tier-values.js';
import { valueMemory } from './value-memory.js';
import { PENDING, type Handle, type Pending, type StoredRecord } from './value-store.js';

/**
 * Turns what the addon found into values and records of their own memory. A record in the arena is
 * copied out at once: its page may be replaced as soon as it is counted as consumed.
 */
export class SlotRecords {
  readonly #native: NativeSlotFile;
  readonly #state: Float64Array;
  readonly #arena: Buffer;
  readonly #words: DataView;
  readonly #consumedSlot = addon().NativeSlotFile.stateSlots['consumedReads'] as number;
  readonly #headerBytes = addon().NativeSlotFile.recordHeaderBytes;
  readonly #takeBase = addon().NativeSlotFile.takeBase;
  readonly #tierBase = addon().NativeSlotFile.tierBase;
  readonly #tier: TierValues;

  constructor(native: NativeSlotFile) {
    this.#native = native;
    this.#state = native.state;
    this.#arena = Buffer.from(native.arena);
    this.#words = new DataView(native.arena);
    this.#tier = new TierValues(native);
  }

  /** Of `get`: the value, undefined for another key, PENDING. @throws CairnError. */
  valueNow(
    found: number | Buffer | undefined | null,
    handle: Handle,
  ): Buffer | undefined | Pending {
    if (typeof found === 'number') {
      if (found < 0) throw readError(found, handle);
      if (found >= this.#tierBase) return this.#tier.valueAt(found - this.#tierBase);
      return this.#arenaValue(found);
    }
    if (found === undefined) return undefined;
    if (found === null) return PENDING;
    return this.#parse(found).value;
  }

  /** Of a posted result: the value, undefined for another key. @throws CairnError. */
  valueOf(result: number, handle: Handle): Buffer | undefined {
    if (result === -ENOKEY) return undefined;
    if (result < 0) throw readError(result, handle);
    if (result >= this.#takeBase) return this.#parse(this.#native.take(result)).value;
    const value = this.#arenaValue(result);
    this.#consumed();
    return value;
  }

  /** As {@link valueNow}, the whole record of whatever key it has; never PENDING. */
  recordNow(found: number | Buffer, handle: Handle): StoredRecord {
    if (typeof found === 'object') return this.#parse(found);
    if (found < 0) throw readError(found, handle);
    return this.#parse(this.#arenaRecord(found));
  }

  /** As {@link valueOf}, the whole record. */
  recordOf(result: number, handle: Handle): StoredRecord {
    if (result < 0) throw readError(result, handle);
    if (result >= this.#takeBase) return this.#parse(this.#native.take(result));
    const record = this.#arenaRecord(result);
    this.#consumed();
    return this.#parse(record);
  }

  #consumed(): void {
    this.#state[this.#consumedSlot] = (this.#state[this.#consumedSlot] as number) + 1;
  }

  #arenaValue(offset: number): Buffer {
    const valueBytes = this.#words.getUint32(offset + 4, true);
    const keyBytes = this.#words.getUint32(offset + 8, true) & 0xffffff;
    const begin = offset + this.#headerBytes + keyBytes;
    const value = valueMemory(valueBytes);
    value.set(this.#arena.subarray(begin, begin + valueBytes));
    return value;
  }

  #arenaRecord(offset: number): Buffer {
    const valueBytes = this.#words.getUint32(offset + 4, true);
    const keyBytes = this.#words.getUint32(offset + 8, true) & 0xffffff;
    const end = offset + this.#headerBytes + keyBytes + valueBytes;
    return Buffer.from(this.#arena.subarray(offset, end));
  }

  #parse(bytes: Buffer): StoredRecord {
    const keyEnd = this.#headerBytes + (bytes.readUInt32LE(8) & 0xffffff);
    return {
      key: bytes.subarray(this.#headerBytes, keyEnd),
      value: bytes.subarray(keyEnd, keyEnd + bytes.readUInt32LE(4)),
      sequence: Number(bytes.readBigUInt64LE(16)),
    };
  }
}
