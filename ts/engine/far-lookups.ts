import { UNREAD, type IndexPages } from '../index/index.js';
import type { WantedRecords } from '../value-store/windowed-reads.js';
import type { StoreParts } from './parts.js';

/** A batch that was made while keys were looked up has them looked up again, so often. */
const ROUNDS_MAX = 8;

/**
 * Looks many keys up whose pages are on the device: they are read at the same time and kept, and
 * then all keys are looked up within one turn. More pages than the index can keep go in parts; then
 * all is done again when a batch was made meanwhile. The values are pinned by the caller.
 */
export class FarLookups {
  readonly #parts: Pick<StoreParts, 'keys' | 'meters'>;
  readonly #pages: IndexPages;

  constructor(parts: Pick<StoreParts, 'keys' | 'meters'>, pages: IndexPages) {
    this.#parts = parts;
    this.#pages = pages;
  }

  async look({ handles, keys, offsets }: WantedRecords): Promise<void> {
    const codec = this.#parts.keys;
    await this.#all(handles, (at) => {
      const key = keys.subarray(offsets[at], offsets[at + 1]);
      codec.encodeStored(key, key.length);
    });
  }

  async lookRows(keys: BigUint64Array, handles: Float64Array): Promise<void> {
    const codec = this.#parts.keys;
    // The caller may change its array between our turns.
    const wanted = keys.slice();
    await this.#all(handles, (at) => codec.encode(wanted[at] as bigint));
  }

  async #all(handles: Float64Array, encode: (at: number) => void): Promise<void> {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const { batches } = this.#parts.meters;
      const whole = await this.#once(handles, encode);
      if (whole || this.#parts.meters.batches === batches) return;
    }
  }

  /** @returns were all looked up within one turn. */
  async #once(handles: Float64Array, encode: (at: number) => void): Promise<boolean> {
    const { pinsMax } = this.#pages;
    let parts = 0;
    for (let from = 0; from < handles.length; parts++) {
      let unread = this.#now(handles, encode, from, handles.length, pinsMax);
      const to = unread.length < pinsMax ? handles.length : (unread[pinsMax - 1] as number) + 1;
      const unpins: (() => void)[] = [];
      try {
        while (unread.length > 0) {
          const ds = Int32Array.from(unread, (at) => {
            encode(at);
            return this.#parts.keys.hash[0] as number;
          });
          unpins.push(await this.#pages.pin(ds));
          // Others may have gone meanwhile that were there at first.
          unread = this.#now(handles, encode, from, to, pinsMax);
        }
      } finally {
        for (const unpin of unpins) unpin();
      }
      from = to;
    }
    return parts <= 1;
  }

  /** Looks up what is in memory. @returns the others, at most `max`. */
  #now(
    handles: Float64Array,
    encode: (at: number) => void,
    from: number,
    to: number,
    max: number,
  ): number[] {
    const { hash } = this.#parts.keys;
    const unread: number[] = [];
    for (let at = from; at < to && unread.length < max; at++) {
      encode(at);
      const handle = this.#pages.get(hash);
      handles[at] = handle;
      if (handle === UNREAD) unread.push(at);
    }
    return unread;
  }
}
