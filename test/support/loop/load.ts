import { isCairnError, type CairnError } from '../../../ts/common/errors.js';
import type { Store } from '../../../ts/index.js';
import { nameOfKey, valueOf, type Ledger } from './ledger.js';

const HANG_MS = 20_000;

/** Seeded numbers from 0 to 1. */
export type Random = () => number;

export function randomOf(seed: number): Random {
  let state = Math.imul(seed, 0x9e3779b1);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function pick<T>(random: Random, choices: readonly T[]): T {
  return choices[Math.floor(random() * choices.length)] as T;
}

/** @throws Error when it takes 20 s. */
export async function settled<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} hangs`)), HANG_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What writers do, and with values of which sizes. */
export interface Profile {
  readonly name: string;
  readonly bytesMin: number;
  readonly bytesMax: number;
  /** Of the keys that a writer has made: the part of its writes that goes to those again. */
  readonly again: number;
  readonly deletes: number;
  readonly batches: number;
}

export const PROFILES: readonly Profile[] = [
  // Grows the index.
  { name: 'small values', bytesMin: 12, bytesMax: 800, again: 0.02, deletes: 0.01, batches: 0.6 },
  { name: 'values', bytesMin: 100, bytesMax: 9000, again: 0.2, deletes: 0.05, batches: 0.2 },
  // Slots are written before the log.
  { name: 'large', bytesMin: 9000, bytesMax: 300_000, again: 0.2, deletes: 0.1, batches: 0.1 },
  // Compaction has holes to fill.
  { name: 'overwriting', bytesMin: 500, bytesMax: 20_000, again: 0.55, deletes: 0.2, batches: 0.1 },
];

/** What refuses or fails a write. */
export type Outcome = 'done' | 'refused' | 'failed';

/** Writers at work on a store, each on keys of its own. */
export class Load {
  readonly #ledger: Ledger;
  readonly #random: Random;
  readonly #profile: Profile;
  #nextKey: number;
  readonly #made: number[][];
  stopped = false;
  refusals = 0;
  failures = 0;
  lastError: CairnError | undefined;

  constructor(ledger: Ledger, random: Random, profile: Profile, writers = 12) {
    this.#ledger = ledger;
    this.#random = random;
    this.#profile = profile;
    this.#nextKey = Math.max(0, ...ledger.keys) + 1;
    this.#made = Array.from({ length: writers }, () => []);
    for (const [at, key] of ledger.keys.entries()) this.#made[at % writers]?.push(key);
  }

  /** Writes until each writer was refused or failed `refusals` times, or {@link stopped}. */
  async run(store: Store, refusals: number): Promise<void> {
    const write = async (writer: number): Promise<void> => {
      for (let left = refusals; left > 0 && !this.stopped;) {
        if ((await this.#step(store, writer)) !== 'done') left--;
      }
    };
    await Promise.all(this.#made.map((_, writer) => write(writer)));
  }

  /** Puts new keys; each has to succeed. */
  mustPut(store: Store, count: number): Promise<void> {
    const keys = Array.from({ length: count }, () => this.#nextKey++);
    return this.#must(store, keys, true);
  }

  /** Each has to succeed. */
  mustDelete(store: Store, keys: readonly number[]): Promise<void> {
    return this.#must(store, keys, false);
  }

  async #must(store: Store, keys: readonly number[], put: boolean): Promise<void> {
    const left = [...keys];
    const write = async (): Promise<void> => {
      for (let key = left.pop(); key !== undefined; key = left.pop()) {
        if ((await this.#write(store, [key], put)) === 'done') continue;
        throw new Error(`${put ? 'a put' : 'a delete'} was refused`, { cause: this.lastError });
      }
    };
    await Promise.all(this.#made.map(() => write()));
  }

  async #step(store: Store, writer: number): Promise<Outcome> {
    const { again, deletes, batches } = this.#profile;
    const random = this.#random;
    const made = this.#made[writer] as number[];
    if (made.length > 0 && random() < deletes) {
      return this.#write(store, [pick(random, made)], false);
    }
    const count = random() < batches ? 1 + Math.floor(random() * 20) : 1;
    const keys = new Set<number>();
    while (keys.size < count) {
      if (made.length > count && random() < again) keys.add(pick(random, made));
      else {
        made.push(this.#nextKey);
        keys.add(this.#nextKey++);
      }
    }
    return this.#write(store, [...keys], true);
  }

  async #write(store: Store, keys: readonly number[], put: boolean): Promise<Outcome> {
    const { bytesMin, bytesMax } = this.#profile;
    const ledger = this.#ledger;
    const writes = keys.map((key) => {
      const more = (bytesMax - bytesMin) * this.#random() ** 2;
      const length = Math.floor(bytesMin + more / Math.min(8, keys.length));
      const version = ledger.begin(key, put ? length : undefined);
      return { key, version, value: put ? valueOf(key, version, length) : undefined };
    });
    try {
      await settled(put ? 'a put' : 'a delete', this.#call(store, writes));
    } catch (error) {
      return this.#refused(error, writes);
    }
    for (const { key, version } of writes) ledger.acknowledge(key, version);
    return 'done';
  }

  async #call(
    store: Store,
    writes: readonly { readonly key: number; readonly value: Buffer | undefined }[],
  ): Promise<unknown> {
    const [first] = writes as readonly [(typeof writes)[number]];
    if (first.value === undefined) return store.delete(nameOfKey(first.key));
    if (writes.length > 1) {
      const values = writes.map(({ value }) => value as Buffer);
      return store.batchPut(
        writes.map(({ key }) => nameOfKey(key)),
        values,
      );
    }
    return store.put(nameOfKey(first.key), first.value);
  }

  #refused(
    error: unknown,
    writes: readonly { readonly key: number; readonly version: number }[],
  ): Outcome {
    if (isCairnError(error)) this.lastError = error;
    if (isCairnError(error, 'CAIRN_NO_SPACE')) {
      this.refusals++;
      for (const { key, version } of writes) this.#ledger.refused(key, version);
      return 'refused';
    }
    // A file system that ended itself is read-only from then on.
    if (isCairnError(error, 'CAIRN_READ_ONLY')) return 'failed';
    if (!isCairnError(error, 'CAIRN_IO')) throw error;
    this.failures++;
    return 'failed';
  }
}
