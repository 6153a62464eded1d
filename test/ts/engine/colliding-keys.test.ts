import assert from 'node:assert/strict';
import type { StoreConfig } from '../../../ts/config/types.js';
import type { Store } from '../../../ts/engine/api.js';
import { createRegistry } from '../../../ts/engine/builtins.js';
import { open } from '../../../ts/engine/open.js';
import { ExtendibleHashIndex } from '../../../ts/index/extendible-hash-index.js';
import { HashIndex } from '../../../ts/index/hash-index.js';
import { withDirectory } from '../../support/stores.js';

/** Two of the bits that an index compares are left, so that there are four entries. */
const IDENTITY_MASK = 1;
const ENTRIES_MAX = 4;
const KEYS = 300;
/** Above what rides in the log, and below. */
const VALUE_BYTES = [20_000, 700];

const registry = createRegistry();
registry.register(
  'index',
  'COLLIDING_PET_HASH',
  ({ hashKey }) => new HashIndex({ hashKey, identityMask: IDENTITY_MASK }),
);
registry.register(
  'index',
  'COLLIDING_EXTENDIBLE_HASH',
  ({ hashKey }) => new ExtendibleHashIndex({ hashKey, identityMask: IDENTITY_MASK }),
);

const VALUES: readonly NonNullable<StoreConfig['value']>[] = [
  { type: 'SSD_VALUE_STORE' },
  { type: 'SSD_VALUE_STORE', ssd_allocator: { type: 'SSD_BUDDY' } },
  { type: 'DRAM_VALUE_STORE' },
  { type: 'TIERED_VALUE_STORE' },
];

function valueOf(n: number, bytes: number): Buffer {
  return Buffer.alloc(bytes, `value of ${n};`);
}

/** How many keys are found; each of them with its own value, in every way to read. */
async function checkAll(store: Store, bytes: number): Promise<number> {
  const keys = Array.from({ length: KEYS }, (_, n) => BigInt(n));
  const all = await store.batchGet(keys);
  const rows = new Uint8Array(KEYS * bytes);
  const { missingIndexes } = await store.batchGetInto(BigUint64Array.from(keys), rows, bytes);
  const absent = new Set(missingIndexes);
  let found = 0;
  for (let n = 0; n < KEYS; n++) {
    const value = await store.get(BigInt(n));
    assert.deepEqual(store.getSync(BigInt(n)), value);
    assert.deepEqual(all[n], value);
    assert.equal(absent.has(n), value === undefined, `row ${n}`);
    if (value === undefined) continue;
    found++;
    assert.deepEqual(value, valueOf(n, bytes));
    assert.deepEqual(Buffer.from(rows.subarray(n * bytes, (n + 1) * bytes)), value);
  }
  return found;
}

describe('keys whose entries in the index are the same', () => {
  for (const index of ['COLLIDING_PET_HASH', 'COLLIDING_EXTENDIBLE_HASH']) {
    for (const value of VALUES) {
      const name = [index, value.type, value.ssd_allocator?.type ?? ''].join(' ').trim();
      it(`never give another key's value: ${name}`, () =>
        withDirectory(async (directory) => {
          for (const bytes of VALUE_BYTES) {
            const document = { key: { type: 'u64' }, index: { type: index }, value } as const;
            const path = `${directory}/${bytes}`;
            let store = await open(path, document, { registry });
            for (let n = 0; n < KEYS; n += 2) {
              await store.put(BigInt(n), valueOf(n, bytes), { durability: 'none' });
            }
            const found = await checkAll(store, bytes);
            assert.ok(found > 0 && found <= ENTRIES_MAX, `${found} found`);
            await store.checkpoint();
            assert.equal(await checkAll(store, bytes), found);
            await store.close();
            store = await open(path, document, { registry });
            assert.equal(await checkAll(store, bytes), found);
            await store.close();
          }
        }));
    }
  }
});
