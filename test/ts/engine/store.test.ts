import assert from 'node:assert/strict';
import fc from 'fast-check';
import { open, type Key, type Store, type StoreConfig } from '../../../ts/index.js';
import { MemoryDisks } from '../../support/memory-disks.js';
import {
  bytesOf,
  COMBINATIONS,
  withDirectory,
  withStore,
  type OpenStore,
} from '../../support/stores.js';

const ABSENT = { code: 'CAIRN_CLOSED' };

/** The same on files in memory: nothing above the I/O room may ask for a directory. */
const disks = new MemoryDisks();
const SUITES: readonly {
  readonly name: string;
  readonly config: StoreConfig;
  readonly open: OpenStore;
}[] = [
  ...COMBINATIONS.map((combination) => ({ ...combination, open })),
  ...COMBINATIONS.filter(({ config }) => config.io?.type === 'POSIX').map(({ name, config }) => ({
    name: name.replace('POSIX', 'files in memory'),
    config,
    open: disks.open,
  })),
];

function withStoreOf<T>(
  openStore: OpenStore,
  config: StoreConfig,
  use: (store: Store, path: string) => Promise<T>,
): Promise<T> {
  return withStore(config, use, openStore);
}

for (const { name, config, open } of SUITES) {
  const keyOf = (n: number): Key => (config.key?.type === 'u64' ? n : `key-${n}`);

  describe(`a store: ${name}`, () => {
    it('gives back what was put, and undefined for what was not', () =>
      withStoreOf(open, config, async (store) => {
        await store.put(keyOf(1), 'one');
        await store.put(keyOf(2), Buffer.from([0, 1, 2]));
        store.putSync(keyOf(5), bytesOf(5, 1 << 20));
        assert.deepEqual(store.getSync(keyOf(5)), bytesOf(5, 1 << 20));
        assert.equal(await store.delete(keyOf(5)), true);
        store.putSync(keyOf(3), 'three');
        assert.deepEqual(await store.get(keyOf(1)), Buffer.from('one'));
        assert.deepEqual(store.getSync(keyOf(2)), Buffer.from([0, 1, 2]));
        assert.deepEqual(await store.get(keyOf(3)), Buffer.from('three'));
        assert.equal(await store.get(keyOf(4)), undefined);
        assert.equal(store.getSync(keyOf(4)), undefined);
        assert.equal(await store.has(keyOf(1)), true);
        assert.equal(store.hasSync(keyOf(4)), false);
        assert.equal(store.size, 3);
      }));

    it('replaces and deletes', () =>
      withStoreOf(open, config, async (store) => {
        await store.put(keyOf(1), 'one');
        await store.put(keyOf(1), 'uno, longer than before');
        assert.equal(String(await store.get(keyOf(1))), 'uno, longer than before');
        assert.equal(await store.delete(keyOf(1)), true);
        assert.equal(await store.delete(keyOf(1)), false);
        assert.equal(await store.get(keyOf(1)), undefined);
        store.putSync(keyOf(1), 'again');
        assert.equal(store.deleteSync(keyOf(1)), true);
        assert.equal(store.deleteSync(keyOf(1)), false);
        assert.equal(store.size, 0);
      }));

    it('tells an empty value from none', () =>
      withStoreOf(open, config, async (store) => {
        await store.put(keyOf(1), '');
        assert.deepEqual(await store.get(keyOf(1)), Buffer.alloc(0));
        assert.equal(await store.has(keyOf(1)), true);
      }));

    it('keeps values of every size, before and after reopening', () =>
      withDirectory(async (path) => {
        const sizes = [
          0,
          1,
          63,
          64,
          100,
          1000,
          1024,
          4000,
          4072,
          4073,
          4096,
          16384,
          16385,
          70000,
          1 << 20,
          3 << 20,
          20 << 20,
        ];
        let store = await open(path, config);
        await Promise.all(sizes.map((size, n) => store.put(keyOf(n), bytesOf(n, size))));
        for (let pass = 0; pass < 2; pass++) {
          for (const [n, size] of sizes.entries()) {
            assert.deepEqual(await store.get(keyOf(n)), bytesOf(n, size), `${size} bytes`);
            assert.deepEqual(store.getSync(keyOf(n)), bytesOf(n, size), `${size} bytes, sync`);
          }
          await store.close();
          store = await open(path);
        }
        await store.close();
      }));

    it('applies a batch whole, the last of repeated keys wins', () =>
      withStoreOf(open, config, async (store) => {
        await store.put(keyOf(9), 'nine');
        await store.batch([
          { type: 'put', key: keyOf(1), value: 'a' },
          { type: 'put', key: keyOf(1), value: 'b' },
          { type: 'delete', key: keyOf(9) },
          { type: 'put', key: keyOf(2), value: 'c' },
          { type: 'delete', key: keyOf(2) },
        ]);
        assert.equal(String(await store.get(keyOf(1))), 'b');
        assert.equal(await store.get(keyOf(9)), undefined);
        assert.equal(await store.get(keyOf(2)), undefined);
        await store.batchPut([keyOf(5), keyOf(5), keyOf(6)], ['x', 'y', 'z']);
        const got = await store.batchGet([keyOf(6), keyOf(5), keyOf(404), keyOf(6)]);
        assert.deepEqual(
          got.map((value) => value?.toString()),
          ['z', 'y', undefined, 'z'],
        );
      }));

    it('takes batches of large and many values', () =>
      withStoreOf(open, config, async (store) => {
        const keys = Array.from({ length: 3000 }, (_, n) => keyOf(n));
        const values = keys.map((_, n) => bytesOf(n, n % 500 === 0 ? 40000 : 300));
        await store.batchPut(keys, values);
        assert.deepEqual(await store.batchGet(keys), values);
      }));

    it('copies what it is given before the call returns', () =>
      withStoreOf(open, config, async (store) => {
        for (const size of [10, 40000]) {
          const value = Buffer.alloc(size, 1);
          const key = config.key?.type === 'u64' ? 7 : Buffer.from('mutable');
          const done = store.put(key, value);
          value.fill(2);
          if (key instanceof Uint8Array) key.fill(0);
          await done;
          const kept = await store.get(config.key?.type === 'u64' ? 7 : 'mutable');
          assert.deepEqual(kept, Buffer.alloc(size, 1));
        }
      }));

    it('hands out values that nothing else shares', () =>
      withStoreOf(open, config, async (store) => {
        await store.put(keyOf(1), bytesOf(1, 100));
        (await store.get(keyOf(1)))?.fill(0);
        store.getSync(keyOf(1))?.fill(0);
        assert.deepEqual(await store.get(keyOf(1)), bytesOf(1, 100));
      }));

    it('yields every entry once', () =>
      withStoreOf(open, config, async (store) => {
        const expected = new Map<string, string>();
        for (let n = 0; n < 1000; n++) {
          expected.set(String(keyOf(n)), `value ${n}`);
          await store.put(keyOf(n), `value ${n}`, { durability: 'none' });
        }
        const seen = new Map<string, string>();
        for await (const [key, value] of store.entries({ keyEncoding: 'utf8' })) {
          assert.ok(!seen.has(String(key)));
          seen.set(String(key), value.toString());
        }
        assert.deepEqual(new Map([...seen].sort()), new Map([...expected].sort()));
        let count = 0;
        for await (const _ of store.keys()) count++;
        for await (const _ of store.values()) count++;
        assert.equal(count, 2000);
      }));

    it('agrees with a Map over any sequence of operations, reopened in between', () =>
      fc.assert(
        fc.asyncProperty(fc.array(operation(), { maxLength: 60 }), (operations) =>
          withDirectory(async (path) => {
            const model = new Map<string, Buffer>();
            let store = await open(path, config);
            for (const step of operations)
              store = await apply(store, model, step, () => open(path), keyOf);
            await compare(store, model, keyOf);
            await store.close();
          }),
        ),
        { numRuns: 25 },
      ));

    it('loads in bulk, over what is there', () =>
      withDirectory(async (path) => {
        let store = await open(path, config);
        await store.put(keyOf(3), 'old');
        const entries = Array.from(
          { length: 5000 },
          (_, n) => [keyOf(n), bytesOf(n, n % 1000 === 7 ? 50000 : 200)] as const,
        );
        const done = await store.bulkLoad(entries);
        assert.equal(done.entries, 5000);
        for (let pass = 0; pass < 2; pass++) {
          const values = await store.batchGet(entries.map(([key]) => key));
          assert.deepEqual(
            values,
            entries.map(([, value]) => value),
          );
          assert.equal(store.size, 5000);
          await store.close();
          store = await open(path);
        }
        await store.close();
      }));

    it('verifies what it holds', () =>
      withStoreOf(open, config, async (store) => {
        for (let n = 0; n < 500; n++)
          await store.put(keyOf(n), bytesOf(n, 300), { durability: 'none' });
        const report = await store.verify();
        assert.equal(report.records, 500);
        assert.equal(report.damagedCount, 0);
      }));

    it('answers CAIRN_CLOSED after close, which may be called again', () =>
      withStoreOf(open, config, async (store) => {
        await store.put(keyOf(1), 'x');
        await store.close();
        await store.close();
        await assert.rejects(store.put(keyOf(1), 'y'), ABSENT);
        await assert.rejects(store.get(keyOf(1)), ABSENT);
        assert.throws(() => store.getSync(keyOf(1)), ABSENT);
        assert.throws(() => store.size, ABSENT);
      }));

    it('refuses bad keys, values and options by rejecting, and changes nothing', () =>
      withStoreOf(open, config, async (store) => {
        const other = config.key?.type === 'u64' ? 'text' : 5;
        for (const key of [other, null, undefined, {}, '', 1.5, -1, 2 ** 53, 2n ** 64n]) {
          await assert.rejects(store.put(key as Key, 'v'), { code: 'CAIRN_INVALID_KEY' });
          await assert.rejects(store.get(key as Key), { code: 'CAIRN_INVALID_KEY' });
          assert.throws(() => store.getSync(key as Key), { code: 'CAIRN_INVALID_KEY' });
        }
        for (const value of [null, undefined, 5, {}]) {
          await assert.rejects(store.put(keyOf(1), value as never), {
            code: 'CAIRN_INVALID_VALUE',
          });
        }
        await assert.rejects(store.put(keyOf(1), 'v', { durability: 'maybe' as never }), {
          code: 'CAIRN_INVALID_ARGUMENT',
        });
        await assert.rejects(store.batch([{ type: 'patch', key: keyOf(1) } as never]), {
          code: 'CAIRN_INVALID_ARGUMENT',
        });
        await assert.rejects(
          store.batch([
            { type: 'put', key: keyOf(1), value: 'v' },
            { type: 'put', key: keyOf(2), value: undefined as never },
          ]),
          { code: 'CAIRN_INVALID_VALUE' },
        );
        await assert.rejects(store.batchPut([keyOf(1)], []), { code: 'CAIRN_INVALID_ARGUMENT' });
        await assert.rejects(store.get(keyOf(1), { signal: AbortSignal.abort() }), {
          code: 'CAIRN_ABORTED',
        });
        await assert.rejects(store.put(keyOf(1), Buffer.alloc(65 << 20)), {
          code: 'CAIRN_TOO_LARGE',
        });
        assert.equal(store.size, 0);
      }));
  });
}

type Step =
  | { readonly type: 'put'; readonly key: number; readonly seed: number; readonly size: number }
  | { readonly type: 'delete'; readonly key: number }
  | { readonly type: 'batch'; readonly keys: readonly number[]; readonly seed: number }
  | { readonly type: 'checkpoint' | 'reopen' | 'flush' };

function operation(): fc.Arbitrary<Step> {
  const key = fc.integer({ min: 0, max: 12 });
  const seed = fc.integer({ min: 0, max: 1e6 });
  const size = fc.oneof(fc.integer({ min: 0, max: 6000 }), fc.constant(20000));
  return fc.oneof(
    { weight: 6, arbitrary: fc.record({ type: fc.constant('put' as const), key, seed, size }) },
    { weight: 3, arbitrary: fc.record({ type: fc.constant('delete' as const), key }) },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constant('batch' as const),
        keys: fc.array(key, { maxLength: 5 }),
        seed,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constantFrom('checkpoint', 'reopen', 'flush'),
      }),
    },
  );
}

async function apply(
  store: Store,
  model: Map<string, Buffer>,
  step: Step,
  reopen: () => Promise<Store>,
  keyOf: (n: number) => Key,
): Promise<Store> {
  switch (step.type) {
    case 'put': {
      const value = bytesOf(step.seed, step.size);
      await store.put(keyOf(step.key), value);
      model.set(String(keyOf(step.key)), value);
      return store;
    }
    case 'delete':
      assert.equal(await store.delete(keyOf(step.key)), model.delete(String(keyOf(step.key))));
      return store;
    case 'batch': {
      const values = step.keys.map((key) => bytesOf(step.seed + key, 100));
      await store.batchPut(step.keys.map(keyOf), values);
      step.keys.forEach((key, at) => model.set(String(keyOf(key)), values[at] as Buffer));
      return store;
    }
    case 'checkpoint':
      await store.checkpoint();
      return store;
    case 'flush':
      await store.flush();
      return store;
    case 'reopen':
      await compare(store, model, keyOf);
      await store.close();
      return reopen();
  }
}

async function compare(
  store: Store,
  model: Map<string, Buffer>,
  keyOf: (n: number) => Key,
): Promise<void> {
  assert.equal(store.size, model.size);
  for (let n = 0; n <= 12; n++) {
    assert.deepEqual(await store.get(keyOf(n)), model.get(String(keyOf(n))));
  }
}
