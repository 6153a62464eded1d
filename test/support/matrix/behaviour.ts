import assert from 'node:assert/strict';
import type { Store } from '../../../ts/index.js';
import { bytesOf } from '../stores.js';
import type { Site } from './combination.js';

/**
 * One of the 26 behaviours that the seed system's own tests ask for; the stronger form where it has
 * one. All of a combination share a store: each has a range of keys of its own.
 */
export interface Behaviour {
  readonly number: number;
  readonly title: string;
  /** Why it says nothing about this combination. */
  readonly notFor?: (site: Site) => string | undefined;
  /** Does it and checks it in the open store; what it acknowledged stays. */
  readonly run: (store: Store, keys: Keys, site: Site) => Promise<void>;
  /** What must hold when the store is open again. Left out: nothing of it is kept. */
  readonly check?: (store: Store, keys: Keys, site: Site) => Promise<void>;
}

const RANGE = 1_000_000n;

/** The range of keys of one behaviour. */
export class Keys {
  readonly #first: bigint;

  constructor(behaviour: number) {
    this.#first = BigInt(behaviour) * RANGE;
  }

  of(n: number): bigint {
    return this.#first + BigInt(n);
  }

  range(count: number, from = 0, step = 1): bigint[] {
    return Array.from({ length: count }, (_, at) => this.of(from + at * step));
  }
}

/** A value that says whose it is. */
export function valueOf(key: bigint, length = 128, version = 1): Buffer {
  return bytesOf(Number(key % 2n ** 31n) + version * 7919, length);
}

/** As assert.deepEqual of two buffers, a hundred times faster where they are the same. */
export function expectSame(
  found: Buffer | undefined,
  expected: Buffer | undefined,
  key: bigint,
): void {
  if (found !== undefined && expected !== undefined && found.equals(expected)) return;
  assert.deepEqual(found, expected, `key ${key}`);
}

/** Every key has the value that is expected of it: by itself, in a batch, and nothing else. */
export async function expectAll(
  store: Store,
  keys: readonly bigint[],
  expected: (key: bigint, at: number) => Buffer | undefined,
): Promise<void> {
  const found = await store.batchGet(keys);
  assert.equal(found.length, keys.length);
  for (const [at, key] of keys.entries()) {
    const value = expected(key, at);
    expectSame(found[at], value, key);
    // The synchronous get shares little with the others below the index.
    const alone = at % 2 === 0 ? await store.get(key) : store.getSync(key);
    expectSame(alone, value, key);
  }
}

/** The same numbers every time. */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** As many at a time as there are callers. */
export async function concurrently(
  callers: number,
  use: (caller: number) => Promise<void>,
): Promise<void> {
  await Promise.all(Array.from({ length: callers }, (_, caller) => use(caller)));
}
