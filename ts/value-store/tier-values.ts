import { addon } from '../bindings/addon.js';
import type { NativeSlotFile } from '../bindings/slot-file.js';
import { errnoError } from '../bindings/status.js';
import { gatherFromDevice } from './device-gather.js';
import { MemoryRegions, REGION_BYTES, type RegionView } from './memory-regions.js';
import { valueMemory } from './value-memory.js';
import type { ValueStore } from './value-store.js';

/** Values out of the copies in memory, over views of their slots. */
export class TierValues {
  readonly #headerBytes = addon().NativeSlotFile.recordHeaderBytes;
  readonly #regions: MemoryRegions;

  constructor(native: NativeSlotFile) {
    this.#regions = new MemoryRegions((index, bytes) => native.tierRegion(index, bytes));
  }

  /** @param offset of a record that lies in one region, from the start of all of them. */
  valueAt(offset: number): Buffer {
    const index = Math.floor(offset / REGION_BYTES);
    const begin = offset % REGION_BYTES;
    const { words } = this.#regions.upTo(index, begin + this.#headerBytes) as RegionView;
    const word = begin >>> 2;
    const valueBytes = (words[word + 1] as number) >>> 0;
    const keyBytes = (words[word + 2] as number) & 0xffffff;
    const valueBegin = begin + this.#headerBytes + keyBytes;
    const { buffer } = this.#regions.upTo(index, valueBegin + valueBytes) as RegionView;
    const value = valueMemory(valueBytes);
    value.set(new Uint8Array(buffer, valueBegin, valueBytes));
    return value;
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
