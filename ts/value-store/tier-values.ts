import { addon } from '../bindings/addon.js';
import type { NativeSlotFile } from '../bindings/slot-file.js';
import { errnoError } from '../bindings/status.js';
import { gatherFromDevice } from './device-gather.js';
import { valueMemory } from './value-memory.js';
import type { ValueStore } from './value-store.js';

/** Of native/value/memory_slots.h. */
const REGION_BYTES = 2 ** 26;

interface Region {
  readonly buffer: ArrayBuffer;
  readonly words: Int32Array;
}

/** Values out of the copies in memory, over views of their slots. */
export class TierValues {
  readonly #native: NativeSlotFile;
  readonly #headerBytes = addon().NativeSlotFile.recordHeaderBytes;
  readonly #regions: (Region | undefined)[] = [];

  constructor(native: NativeSlotFile) {
    this.#native = native;
  }

  /** @param offset of a record that lies in one region, from the start of all of them. */
  valueAt(offset: number): Buffer {
    const index = Math.floor(offset / REGION_BYTES);
    const { buffer, words } = this.#regions[index] ?? this.#region(index);
    const begin = offset % REGION_BYTES;
    const word = begin >>> 2;
    const valueBytes = (words[word + 1] as number) >>> 0;
    const keyBytes = (words[word + 2] as number) & 0xffffff;
    const value = valueMemory(valueBytes);
    value.set(new Uint8Array(buffer, begin + this.#headerBytes + keyBytes, valueBytes));
    return value;
  }

  #region(index: number): Region {
    const buffer = this.#native.tierRegion(index) as ArrayBuffer;
    const region = { buffer, words: new Int32Array(buffer) };
    while (this.#regions.length < index) this.#regions.push(undefined);
    this.#regions[index] = region;
    return region;
  }
}

/** {@link ValueStore.gather}: rows that have a copy in memory first, then the others. */
export function gatherTiered(
  store: ValueStore,
  native: NativeSlotFile,
  handles: Float64Array,
  keys: BigUint64Array,
  rows: Uint8Array,
  rowBytes: number,
  missing: Uint32Array,
): number | Promise<number> {
  const rest = new Uint32Array(keys.length);
  const count = native.gatherTier(handles, keys, rows, rowBytes, rest);
  if (count < 0) throw errnoError(count, { operation: 'gather' });
  if (count === 0) return 0;
  const numbers = rest.subarray(0, count);
  const restHandles = Float64Array.from(numbers, (row) => handles[row] as number);
  const restKeys = BigUint64Array.from(
    { length: count },
    (_, at) => keys[numbers[at] as number] as bigint,
  );
  return gatherFromDevice(store, restHandles, restKeys, rows, rowBytes, missing, numbers);
}
