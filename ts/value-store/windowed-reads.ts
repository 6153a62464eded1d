import { asError } from '../common/errors.js';
import { PENDING, type ValueStore } from './value-store.js';

/** Reads that one batch keeps on their way: enough to fill a device, few enough to bound memory. */
const IN_FLIGHT_MAX = 256;

/** The records that a batch wants: `handles[i]` is 0 where the key is absent. */
export interface WantedRecords {
  readonly handles: Float64Array;
  /** Keys one behind the other; key i is keys[offsets[i]..offsets[i + 1]). */
  readonly keys: Uint8Array;
  readonly offsets: Uint32Array;
}

/**
 * Reads many records, what is in memory at once, and calls `onValue` once for each, in no order.
 * `onValue` runs on the caller's thread when its value is there.
 */
export function readWindowed(
  store: ValueStore,
  wanted: WantedRecords,
  onValue: (index: number, value: Buffer | undefined) => void,
): Promise<void> {
  const { handles, keys, offsets } = wanted;
  return new Promise((resolve, reject) => {
    let next = 0;
    let inFlight = 0;
    let failed = false;
    const fail = (error: unknown): void => {
      failed = true;
      reject(asError(error));
    };
    const advance = (): void => {
      while (!failed && inFlight < IN_FLIGHT_MAX && next < handles.length) {
        const index = next++;
        const handle = handles[index] as number;
        if (handle === 0) {
          onValue(index, undefined);
          continue;
        }
        const key = keys.subarray(offsets[index], offsets[index + 1]);
        const now = store.readNow(handle, key, key.length);
        if (now !== PENDING) {
          onValue(index, now);
          continue;
        }
        inFlight++;
        store.read(handle, key, key.length).then((value) => {
          inFlight--;
          onValue(index, value);
          start();
        }, fail);
      }
      if (!failed && inFlight === 0) resolve();
    };
    const start = (): void => {
      try {
        advance();
      } catch (error) {
        fail(error);
      }
    };
    start();
  });
}
