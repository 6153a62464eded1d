import type { ValueStore } from './value-store.js';
import { readWindowed } from './windowed-reads.js';

/**
 * {@link ValueStore.gather} for values that may have to come from the device.
 *
 * @param numbers the row that each key is for, ascending; the key's own number when absent.
 */
export async function gatherFromDevice(
  store: ValueStore,
  handles: Float64Array,
  keys: BigUint64Array,
  rows: Uint8Array,
  rowBytes: number,
  missing: Uint32Array,
  numbers?: Uint32Array,
): Promise<number> {
  const absent: number[] = [];
  const offsets = Uint32Array.from({ length: keys.length + 1 }, (_, index) => index * 8);
  // The keys are copied: the caller's array may change while reads are on their way.
  const keyBytes = new Uint8Array(keys.buffer, keys.byteOffset, keys.byteLength).slice();
  await readWindowed(store, { handles, keys: keyBytes, offsets }, (at, value) => {
    const row = numbers === undefined ? at : (numbers[at] as number);
    const begin = row * rowBytes;
    if (value !== undefined && value.length === rowBytes) {
      rows.set(value, begin);
    } else {
      rows.fill(0, begin, begin + rowBytes);
      absent.push(row);
    }
  });
  absent.sort((a, b) => a - b);
  missing.set(absent);
  return absent.length;
}
