import assert from 'node:assert/strict';
import { open, type Key, type LoadSource, type Store } from '../../../ts/index.js';
import { bytesOf, COMBINATIONS, withStore } from '../../support/stores.js';

const KEYS = 3000;
const ROW_BYTES = 256;

/** What is not needed any more is free after this. */
async function slotsOf(store: Store): Promise<number> {
  await store.flush();
  await store.checkpoint();
  await store.checkpoint();
  return store.stats().values.liveSlots;
}

// Symptom: BulkLoad of the seed system over existing keys never gave their slots back, nor those of
//          keys that came twice in one load (reference: feature table, "BulkLoad").
// Cause: it did not look at the old handles that its index returned.
// Fix: every old handle of a load retires; so do those of the load itself that a later row replaced.
for (const { name, config } of COMBINATIONS) {
  const u64 = config.key?.type === 'u64';
  const keyOf = (n: number): Key => (u64 ? n : `key-${n}`);

  const entries = (round: number, keys: readonly number[]): LoadSource =>
    keys.map((key, at) => [keyOf(key), bytesOf(round * 7 + at, ROW_BYTES)] as const);
  const rows = (round: number, keys: readonly number[]): LoadSource => ({
    keys: BigUint64Array.from(keys, BigInt),
    rows: Buffer.concat(keys.map((_, at) => bytesOf(round * 7 + at, ROW_BYTES))),
    rowBytes: ROW_BYTES,
  });
  const forms = u64 ? ({ entries, rows } as const) : ({ entries } as const);

  for (const [form, make] of Object.entries(forms)) {
    describe(`bulkLoad of ${form}: ${name}`, () => {
      it('over existing keys leaks no slot (the seed’s BulkLoad)', () =>
        withStore(config, async (store) => {
          const all = Array.from({ length: KEYS }, (_, n) => n);
          for (const key of all.slice(0, 50)) await store.put(keyOf(key), 'old');
          let reserved = 0;
          for (let round = 0; round < 6; round++) {
            await store.bulkLoad(make(round, all));
            assert.equal(store.size, KEYS);
            assert.equal(await slotsOf(store), KEYS, `round ${round}`);
            if (round === 2) reserved = store.stats().values.allocatedBytes;
          }
          assert.ok(store.stats().values.allocatedBytes <= reserved);
          assert.deepEqual(await store.get(keyOf(9)), bytesOf(5 * 7 + 9, ROW_BYTES));
        }));

      it('with repeated keys leaks no slot, and the last one wins', () =>
        withStore(config, async (store, path) => {
          // Within one group, and across groups of a load.
          const keys = Array.from({ length: KEYS }, (_, n) => (n * 7) % 100);
          await store.bulkLoad(make(1, keys));
          await store.bulkLoad(make(2, keys));
          assert.equal(store.size, 100);
          assert.equal(await slotsOf(store), 100);
          const last = (key: number): Buffer => bytesOf(14 + keys.lastIndexOf(key), ROW_BYTES);
          for (let key = 0; key < 100; key++) {
            assert.deepEqual(await store.get(keyOf(key)), last(key));
          }
          await store.close();
          const again = await open(path);
          assert.equal(again.stats().values.liveSlots, 100);
          assert.deepEqual(await again.get(keyOf(42)), last(42));
          await again.close();
        }));

      it('frees as much when everything is deleted', () =>
        withStore(config, async (store) => {
          const all = Array.from({ length: 500 }, (_, n) => n);
          await store.bulkLoad(make(0, all));
          await store.bulkLoad(make(1, all));
          await store.batch(all.map((key) => ({ type: 'delete', key: keyOf(key) })));
          assert.equal(await slotsOf(store), 0);
        }));
    });
  }
}
