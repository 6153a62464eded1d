import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { ExtendibleHashIndex } from '../../../ts/index/extendible-hash-index.js';
import { HashIndex } from '../../../ts/index/hash-index.js';
import type { Index } from '../../../ts/index/index.js';
import { KeyHasher } from '../../../ts/index/key-hash.js';
import { MapIndex } from '../../../ts/index/map-index.js';
import { ByKey, countHandles, exportAll, TEST_HASH_KEY } from '../../support/index-conformance.js';

const hashKey = TEST_HASH_KEY;

/** The reference first. */
function makeAll(masks: { placementMask?: number } = {}): Index[] {
  return [
    new MapIndex({ hashKey, mapEntriesMax: 500 }),
    new HashIndex({ hashKey, ...masks }),
    new ExtendibleHashIndex({ hashKey, ...masks }),
  ];
}

/** The answer of all of them, which must be one. */
function same<T>(all: readonly Index[], ask: (index: Index) => T): T {
  const [first, ...others] = all.map(ask);
  for (const other of others) assert.deepEqual(other, first);
  return first as T;
}

/** The entries of an export, whatever its groups are. */
function entriesOf(index: Index): string[] {
  const entries: string[] = [];
  for (const chunk of exportAll(index).map((bytes) => Buffer.from(bytes))) {
    for (let at = 0; at < chunk.length;) {
      const count = chunk.readUInt32LE(at + 8);
      at += 16;
      for (let i = 0; i < count; i++, at += 16) entries.push(chunk.toString('hex', at, at + 16));
    }
  }
  return entries.sort();
}

type Action = {
  readonly kind: 'put' | 'delete' | 'get' | 'cas' | 'bulk' | 'batch';
  readonly key: bigint;
  readonly handle: number;
  readonly count: number;
};

const actions: fc.Arbitrary<Action[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('put', 'delete', 'get', 'cas', 'bulk', 'batch'),
    key: fc.oneof(fc.bigInt({ min: 0n, max: 3000n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
    handle: fc.integer({ min: 1, max: 2 ** 48 - 1 }),
    count: fc.nat(800),
  }),
  { maxLength: 80 },
);

function act(index: Index, { kind, key, handle, count }: Action): unknown {
  const by = new ByKey(index);
  switch (kind) {
    case 'put':
      return by.put(key, handle);
    case 'delete':
      return by.delete(key);
    case 'get':
      return by.get(key);
    case 'cas':
      return index.compareAndSwap(by.hash(key), by.get(key), handle);
    default: {
      const keys = BigUint64Array.from({ length: count }, (_, i) => (key + BigInt(i)) % 2n ** 64n);
      const handles = new Float64Array(count);
      if (kind === 'batch') return [index.batchGet(keys, handles), handles];
      const old = new Float64Array(count);
      index.bulkPut(keys, handles.fill(handle), old);
      return old;
    }
  }
}

describe('the index types in memory', () => {
  it('answer alike whatever is done to them', () => {
    fc.assert(
      fc.property(actions, fc.constantFrom(-1, 0xff000000), (list, placementMask) => {
        const all = makeAll({ placementMask });
        for (const action of list) same(all, (index) => act(index, action));
        same(all, (index) => index.size);
        same(all, (index) => [...countHandles(index)].sort(([a], [b]) => a - b));
        same(all, entriesOf);
        for (const index of all) index.close();
      }),
      { numRuns: 40, seed: 20240603 },
    );
  });

  it('answer alike for keys of bytes', () => {
    const hasher = new KeyHasher(hashKey);
    const all = makeAll();
    for (let i = 0; i < 20_000; i++) {
      const key = Buffer.from(`user:${(i * 7919) % 6000}:session`);
      hasher.hashBytes(key, key.length);
      if (i % 3 === 2) same(all, (index) => index.delete(hasher.words));
      else same(all, (index) => index.put(hasher.words, i + 1));
    }
    same(all, (index) => index.size);
    same(all, entriesOf);
    for (const index of all) index.close();
  });
});
