import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { AlignedBytes } from '../../../ts/bindings/file-set.js';
import { resolveConfig } from '../../../ts/config/resolve.js';
import { createRegistry } from '../../../ts/engine/builtins.js';
import { open, type Store, type StoreConfig } from '../../../ts/index.js';
import {
  concurrently,
  expectAll,
  expectSame,
  valueOf,
  type Behaviour,
  type Keys,
} from './behaviour.js';
import { configOf, type Site } from './combination.js';

const ROWS = 100_000;
const ROW_BYTES = 16;
const PAGE_BYTES = 4096;
const AT_ONCE = 64;
const VALUE_BYTES_MAX = 64 * 2 ** 20;
/** Of FileSet.open. */
const CREATE = 1;

const INVALID = { code: 'CAIRN_INVALID_CONFIG' };

/** A store of its own beside the one that the behaviours share. */
async function withOwnStore(
  site: Site,
  name: string,
  more: StoreConfig['value'],
  use: (store: Store, path: string) => Promise<void>,
): Promise<void> {
  const config = configOf(site, site.io);
  const path = join(site.directory, name);
  const store = await open(path, { ...config, value: { ...config.value, ...more } });
  try {
    await use(store, path);
  } finally {
    await store.close();
  }
}

/** Puts values of one size, some at a time, until there is no space; how many are there. */
async function fill(store: Store, keys: Keys, from: number, bytes: number): Promise<number> {
  for (let at = from; at < from + 20_000; at += AT_ONCE) {
    const some = keys.range(AT_ONCE, at);
    const done = await Promise.allSettled(some.map((key) => store.put(key, valueOf(key, bytes))));
    const failed = done.findIndex(({ status }) => status === 'rejected');
    if (failed === -1) continue;
    for (const result of done) {
      if (result.status === 'rejected') assert.equal(codeOf(result.reason), 'CAIRN_NO_SPACE');
    }
    // Those behind the first that failed may have found a place.
    for (const key of some.slice(failed)) await store.delete(key);
    return at + failed - from;
  }
  throw new Error('there is always space');
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}

function rowOf(key: bigint): [number, number] {
  return [Number(key & 0xffff_ffffn), Math.imul(Number(key & 0xffff_ffffn), 2654435761) >>> 0];
}

function rowsOf(keys: BigUint64Array): Uint8Array {
  const words = new Uint32Array((keys.length * ROW_BYTES) / 4);
  for (const [at, key] of keys.entries()) words.set(rowOf(key), at * 4);
  return new Uint8Array(words.buffer);
}

function grownKeys(keys: Keys): BigUint64Array {
  return BigUint64Array.from(keys.range(ROWS, 0, 3));
}

async function checkGrown(store: Store, keys: Keys): Promise<void> {
  const loaded = grownKeys(keys);
  const rows = new Uint8Array(ROWS * ROW_BYTES);
  assert.equal((await store.batchGetInto(loaded, rows, ROW_BYTES)).missing, 0);
  assert.ok(Buffer.from(rows.buffer).equals(rowsOf(loaded)), 'rows differ');
  const between = loaded.slice(0, 1000).map((key) => key + 1n);
  const { missing } = await store.batchGetInto(between, new Uint8Array(ROWS), ROW_BYTES);
  assert.equal(missing, 1000);
}

/** Classes and blocks go on above those that the configuration names, up to this. */
async function refusesTooLarge(store: Store, keys: Keys): Promise<void> {
  const value = Buffer.alloc(VALUE_BYTES_MAX + 1);
  await assert.rejects(store.put(keys.of(1), value), { code: 'CAIRN_TOO_LARGE' });
  assert.equal(store.size, 0);
}

async function freesAndTakesAgain(store: Store, keys: Keys): Promise<void> {
  const large = await fill(store, keys, 0, 3500);
  assert.ok(large > 100, `${large} values of 3500 bytes fit`);
  await expectAll(store, keys.range(5, large - 5), (key) => valueOf(key, 3500));
  await Promise.all(keys.range(large - 20, 10).map((key) => store.delete(key)));
  await store.checkpoint();
  // One free makes one fit, and what another class left is taken as well.
  await store.put(keys.of(0), valueOf(keys.of(0), 3500, 2));
  const small = await fill(store, keys, 30_000, 900);
  assert.ok(small > 100, `${small} values of 900 bytes fit where those of 3500 were`);
  await expectAll(store, keys.range(9, 1), (key) => valueOf(key, 3500));
  await expectAll(store, keys.range(small, 30_000), (key) => valueOf(key, 900));
}

export const PART_BEHAVIOURS: readonly Behaviour[] = [
  {
    number: 19,
    title: 'index: new, replaced, deleted and absent keys are told apart',
    run: async (store, keys) => {
      const key = keys.of(0);
      const size = store.size;
      for (const version of [1, 2]) {
        await store.put(key, valueOf(key, 128, version));
        assert.equal(store.size, size + 1);
      }
      assert.equal(await store.has(keys.of(1)), false);
      assert.equal(await store.delete(key), true);
      assert.equal(await store.delete(key), false);
      assert.equal(store.size, size);
    },
    check: async (store, keys) => assert.equal(await store.has(keys.of(0)), false),
  },
  {
    number: 20,
    title: 'index: grows to 100,000 keys, by loads and by 64 writers',
    run: async (store, keys) => {
      const loaded = grownKeys(keys);
      let memory = 0;
      for (let from = 0; from < ROWS; from += 25_000) {
        const part = loaded.subarray(from, from + 25_000);
        await store.bulkLoad({ keys: part, rows: rowsOf(part), rowBytes: ROW_BYTES });
        const { memoryBytes } = store.stats().index;
        assert.ok(memoryBytes >= memory, 'the index took memory back while it grew');
        memory = memoryBytes;
      }
      await concurrently(64, async (writer) => {
        const own = loaded.subarray(writer * 50, writer * 50 + 50);
        for (const key of own) await store.put(key, rowsOf(BigUint64Array.of(key)));
      });
      await checkGrown(store, keys);
    },
    check: checkGrown,
  },
  {
    number: 21,
    title: 'buddy: too large is refused, every size exact, a freed block used again',
    notFor: ({ ssd, value }) =>
      ssd === 'SSD_BUDDY' && value === 'SSD_VALUE_STORE'
        ? undefined
        : 'about SSD_BUDDY alone under a store; counts of blocks: the native allocator tests',
    run: (_store, keys, site) =>
      withOwnStore(
        site,
        'buddy',
        {
          ssd_allocator: {
            type: 'SSD_BUDDY',
            min_block_size: 128,
            max_block_size: 65536,
            capacity_bytes: 4 * 2 ** 20,
          },
        },
        async (store) => {
          await refusesTooLarge(store, keys);
          const sizes = [0, 1, 48, 64, 100, 1000, 2000, 3500];
          const all = keys.range(sizes.length, 10);
          await store.batchPut(
            all,
            all.map((key, at) => valueOf(key, sizes[at])),
          );
          await expectAll(store, all, (key, at) => valueOf(key, sizes[at]));
          await store.batch(all.map((key) => ({ type: 'delete', key })));
          await freesAndTakesAgain(store, keys);
        },
      ),
  },
  {
    number: 22,
    title: 'slab: too large is refused, a full store says so, freed slots are used again',
    notFor: ({ ssd, value }) =>
      ssd === 'SSD_SLAB' && value === 'SSD_VALUE_STORE'
        ? undefined
        : 'about SSD_SLAB alone under a store; counts of slots: the native allocator tests',
    run: (_store, keys, site) =>
      withOwnStore(
        site,
        'slab',
        {
          ssd_allocator: {
            type: 'SSD_SLAB',
            size_classes: [1024, 4000],
            capacity_bytes: 4 * 2 ** 20,
          },
        },
        async (store) => {
          await refusesTooLarge(store, keys);
          await freesAndTakesAgain(store, keys);
        },
      ),
  },
  {
    number: 23,
    title: 'backend: a page and eight at once come back as written',
    run: async (_store, _keys, { directory, io }) => {
      const path = join(directory, 'files');
      await mkdir(path);
      const files = await createRegistry().get(
        'io',
        io,
      )(resolveConfig(path, { io: { type: io } }, {}));
      try {
        const file = await files.open('pages', CREATE);
        await files.grow(file, 9 * PAGE_BYTES);
        const pages = Array.from({ length: 9 }, (_, page) =>
          fillPage(new Uint8Array(files.native.allocate(PAGE_BYTES)), page),
        );
        await files.write(file, 0, pages[0]!, { sync: true });
        await Promise.all(
          pages
            .slice(1)
            .map((bytes, at) => files.write(file, (at + 1) * PAGE_BYTES, bytes, { sync: false })),
        );
        await files.sync(file);
        const read = await Promise.all(
          pages.map((_page, at) => files.read(file, at * PAGE_BYTES, PAGE_BYTES)),
        );
        assert.deepEqual(read.map(Buffer.from), pages.map(Buffer.from));
      } finally {
        await files.dispose();
      }
    },
  },
  {
    number: 24,
    title: 'configuration: paths, engine names, and what a store was made with',
    run: async (_store, _keys, site) => {
      const dram = { type: 'DRAM_VALUE_STORE' };
      for (const path of ['', '/dev/shm/values']) {
        assert.equal(resolveConfig('/s', { value: { ...dram, path } }).value.type, dram.type);
      }
      assert.throws(() => resolveConfig('/s', { value: { ...dram, path: '/data/x' } }), INVALID);
      const elsewhere = { type: 'TIERED_VALUE_STORE', dram_allocator: { path: '/data/x' } };
      assert.throws(() => resolveConfig('/s', { value: elsewhere }), INVALID);
      assert.throws(() => resolveConfig('/s', { engine_type: 'KVEngineOther' }), INVALID);
      const conflict = { engine_type: 'KVEngineComposite', external_engine_type: 'Other' };
      assert.throws(() => resolveConfig('/s', conflict), INVALID);
      assert.throws(() => resolveConfig({ value: { type: 'SSD_VALUE_STORE' } }), INVALID);
      assert.equal(resolveConfig('/s', configOf(site, site.io)).engineType, 'KVEngineComposite');
      let made = '';
      await withOwnStore(site, 'fixed', {}, (_own, path) => Promise.resolve(void (made = path)));
      const index = { type: site.index === 'DRAM_PET_HASH' ? 'DRAM' : 'DRAM_PET_HASH' };
      await assert.rejects(open(made, { index }), { code: 'CAIRN_INCOMPATIBLE' });
    },
    check: (store, _keys, site) =>
      Promise.resolve(assert.equal(store.stats().index.type, site.index)),
  },
  {
    number: 25,
    title: 'values in memory: 9000 of 128 B, all freed again',
    notFor: ({ dram }) => (dram === undefined ? 'no allocator in memory' : undefined),
    run: (_store, keys, site) =>
      withOwnStore(site, 'memory', {}, async (store) => {
        const all = keys.range(9000);
        await store.batchPut(
          all,
          all.map((key) => valueOf(key)),
        );
        const found = await store.batchGet(all);
        for (const [at, key] of all.entries()) expectSame(found[at], valueOf(key), key);
        assert.equal(store.stats().values.liveSlots, 9000);
        await concurrently(32, async (caller) => {
          for (const key of keys.range(200, 10_000 + caller * 200)) {
            await store.put(key, valueOf(key));
            await store.delete(key);
          }
        });
        await store.batch(all.map((key) => ({ type: 'delete', key })));
        await store.checkpoint();
        assert.equal(store.size, 0);
        // Copies go at once; the slots on the device wait for what is durable.
        const { liveSlots, tier } = store.stats().values;
        assert.equal(tier?.records ?? liveSlots, 0);
      }),
  },
  {
    number: 26,
    title: 'replacement policy: least recently used',
    notFor: () => 'no policy has a name in the configuration; the page cache: cache_test.cc',
    run: () => Promise.resolve(),
  },
];

function fillPage(bytes: AlignedBytes, page: number): AlignedBytes {
  for (let at = 0; at < bytes.length; at++) bytes[at] = page === 0 ? (at * 7) % 251 : page;
  return bytes;
}
