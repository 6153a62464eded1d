import assert from 'node:assert/strict';
import type { Store } from '../../../ts/index.js';
import {
  concurrently,
  expectAll,
  expectSame,
  randomNumbers,
  valueOf,
  type Behaviour,
  type Keys,
} from './behaviour.js';

const U64 = 2n ** 64n;
const WRITERS = 8;
const SIZES_AT_LAST = [64, 192, 64, 256];
const SPECIAL_VALUES = [
  Buffer.alloc(128),
  Buffer.from('line\nanother\ttabbed\0and more'),
  Buffer.from('x'.repeat(100).padEnd(128)),
  Buffer.alloc(0),
];
/** Upstream reserves the last two. */
const SPECIAL_KEYS = [0n, U64 - 1001n, U64 - 2n, U64 - 1n];

/** What 200 seeded puts over 1000 keys leave. */
function randomPuts(keys: Keys): { readonly puts: [bigint, Buffer][]; final: Map<bigint, Buffer> } {
  const next = randomNumbers(13);
  const puts = Array.from({ length: 200 }, (_, at): [bigint, Buffer] => {
    const key = keys.of(next(1000));
    return [key, valueOf(key, 1 + next(300), at)];
  });
  return { puts, final: new Map(puts) };
}

/** Whatever else is there, `keys` has these versions. */
function holdsVersion(version: number, count: number, length = 128) {
  return (store: Store, keys: Keys): Promise<void> =>
    expectAll(store, keys.range(count), (key) => valueOf(key, length, version));
}

async function isAnyVersion(store: Store, key: bigint, versions: number): Promise<void> {
  const found = await store.get(key);
  const whole = Array.from({ length: versions }, (_, at) => valueOf(key, 128, at + 1));
  assert.ok(
    found !== undefined && whole.some((value) => value.equals(found)),
    `key ${key}: not one of the ${versions} values that were written`,
  );
}

export const STORE_BEHAVIOURS: readonly Behaviour[] = [
  {
    number: 1,
    title: 'put, then get gives the same 128 bytes',
    run: async (store, keys) => {
      await store.put(keys.of(123), valueOf(keys.of(123)));
      assert.deepEqual(await store.get(keys.of(123)), valueOf(keys.of(123)));
    },
    check: (store, keys) => expectAll(store, [keys.of(123)], (key) => valueOf(key)),
  },
  {
    number: 2,
    title: 'get of an absent key is a miss',
    run: async (store, keys) => assert.equal(await store.get(keys.of(999)), undefined),
    check: async (store, keys) => assert.equal(await store.get(keys.of(999)), undefined),
  },
  {
    number: 3,
    title: 'put twice, then get gives the second value',
    run: async (store, keys) => {
      await store.put(keys.of(0), valueOf(keys.of(0), 128, 1));
      await store.put(keys.of(0), valueOf(keys.of(0), 128, 2));
      await holdsVersion(2, 1)(store, keys);
    },
    check: holdsVersion(2, 1),
  },
  {
    number: 4,
    title: '50 keys, each its own value',
    run: async (store, keys) => {
      for (const key of keys.range(50)) await store.put(key, valueOf(key));
      await holdsVersion(1, 50)(store, keys);
    },
    check: holdsVersion(1, 50),
  },
  {
    number: 5,
    title: 'batchGet of 1000 keys, in order',
    run: async (store, keys) => {
      await Promise.all(keys.range(1000).map((key) => store.put(key, valueOf(key))));
      await holdsVersion(1, 1000)(store, keys);
    },
    check: holdsVersion(1, 1000),
  },
  {
    number: 6,
    title: 'batchGet of absent keys',
    run: (store, keys) => expectAll(store, [999, 1000, 1001].map(keys.of, keys), () => undefined),
    check: (store, keys) => expectAll(store, [999, 1000, 1001].map(keys.of, keys), () => undefined),
  },
  {
    number: 7,
    title: 'batchGet of hits and misses in turn',
    run: async (store, keys) => {
      for (const n of [1, 3, 5]) await store.put(keys.of(n), valueOf(keys.of(n)));
      await expectAll(store, keys.range(6, 1), (key, at) => (at % 2 ? undefined : valueOf(key)));
    },
    check: (store, keys) =>
      expectAll(store, keys.range(6, 1), (key, at) => (at % 2 ? undefined : valueOf(key))),
  },
  {
    number: 8,
    title: 'batchPut over existing keys, with other sizes',
    run: async (store, keys) => {
      const four = keys.range(4);
      await store.batchPut(
        four,
        four.map((key) => valueOf(key, 64)),
      );
      await store.batchPut(
        four,
        four.map((key, at) => valueOf(key, SIZES_AT_LAST[at], 2)),
      );
      await expectAll(store, four, (key, at) => valueOf(key, SIZES_AT_LAST[at], 2));
    },
    check: (store, keys) =>
      expectAll(store, keys.range(4), (key, at) => valueOf(key, SIZES_AT_LAST[at], 2)),
  },
  {
    number: 9,
    title: 'batchGet of repeated keys',
    run: async (store, keys) => {
      const [a, b] = [keys.of(1), keys.of(2)];
      await store.put(a, valueOf(a));
      await store.put(b, valueOf(b));
      await expectAll(store, [b, a, b, a, a], (key) => valueOf(key));
    },
    check: (store, keys) =>
      expectAll(store, [2, 1, 2, 1, 1].map(keys.of, keys), (key) => valueOf(key)),
  },
  {
    number: 10,
    title: 'bulkLoad of rows, over existing keys too',
    run: async (store, keys) => {
      const loaded = BigUint64Array.from(keys.range(8));
      for (const version of [1, 2]) {
        const size = store.size;
        const rows = Buffer.concat([...loaded].map((key) => valueOf(key, 128, version)));
        await store.bulkLoad({ keys: loaded, rows, rowBytes: 128 });
        assert.equal(store.size, size + (version === 1 ? 8 : 0));
        const read = new Uint8Array(8 * 128);
        assert.equal((await store.batchGetInto(loaded, read, 128)).missing, 0);
        assert.deepEqual(Buffer.from(read), rows);
      }
      await holdsVersion(2, 8)(store, keys);
    },
    check: holdsVersion(2, 8),
  },
  {
    number: 11,
    title: 'values of zeros, control characters, and none at all',
    run: async (store, keys) => {
      for (const [at, value] of SPECIAL_VALUES.entries()) await store.put(keys.of(at), value);
      await expectAll(store, keys.range(SPECIAL_VALUES.length), (_, at) => SPECIAL_VALUES[at]);
    },
    check: (store, keys) =>
      expectAll(store, keys.range(SPECIAL_VALUES.length), (_, at) => SPECIAL_VALUES[at]),
  },
  {
    number: 12,
    title: 'keys at both ends: 0, 2^64-1001, 2^64-2, 2^64-1',
    run: async (store) => {
      await expectAll(store, SPECIAL_KEYS, () => undefined);
      for (const key of SPECIAL_KEYS) {
        await store.put(key, valueOf(key));
        await store.put(key, valueOf(key, 128, 2));
      }
      await expectAll(store, SPECIAL_KEYS, (key) => valueOf(key, 128, 2));
    },
    check: (store) => expectAll(store, SPECIAL_KEYS, (key) => valueOf(key, 128, 2)),
  },
  {
    number: 13,
    title: '200 random puts over 1000 keys agree with a Map',
    run: async (store, keys) => {
      const { puts, final } = randomPuts(keys);
      for (const [key, value] of puts) await store.put(key, value);
      await expectAll(store, keys.range(1000), (key) => final.get(key));
    },
    check: (store, keys) => {
      const { final } = randomPuts(keys);
      return expectAll(store, keys.range(1000), (key) => final.get(key));
    },
  },
  {
    number: 14,
    title: '8 writers of 200 keys each',
    run: async (store, keys) => {
      await concurrently(WRITERS, async (writer) => {
        for (const key of keys.range(200, writer * 200)) await store.put(key, valueOf(key));
      });
      await holdsVersion(1, 1600)(store, keys);
    },
    check: holdsVersion(1, 1600),
  },
  {
    number: 15,
    title: '8 readers of 200 random gets: 1600 hits',
    run: async (store, keys) => {
      await Promise.all(keys.range(200).map((key) => store.put(key, valueOf(key))));
      await concurrently(WRITERS, async (reader) => {
        const next = randomNumbers(reader);
        for (let turn = 0; turn < 200; turn++) {
          const key = keys.of(next(200));
          expectSame(await store.get(key), valueOf(key), key);
        }
      });
    },
    check: holdsVersion(1, 200),
  },
  {
    number: 16,
    title: '8 readers and writers: every read is one whole value',
    run: async (store, keys) => {
      await Promise.all(keys.range(200).map((key) => store.put(key, valueOf(key))));
      await concurrently(WRITERS, async (caller) => {
        const next = randomNumbers(caller);
        for (let turn = 0; turn < 100; turn++) {
          const key = keys.of(next(200));
          if (caller % 2 === 0) await isAnyVersion(store, key, 3);
          else await store.put(key, valueOf(key, 128, 1 + next(3)));
        }
      });
    },
    check: async (store, keys) => {
      for (const key of keys.range(200)) await isAnyVersion(store, key, 3);
    },
  },
  {
    number: 17,
    title: '8 writers overwrite 200 keys three times: all there',
    run: async (store, keys) => {
      for (const version of [1, 2, 3]) {
        await concurrently(WRITERS, async (writer) => {
          for (const key of keys.range(25, writer, WRITERS)) {
            await store.put(key, valueOf(key, 128, version));
          }
        });
      }
      await holdsVersion(3, 200)(store, keys);
    },
    check: holdsVersion(3, 200),
  },
  {
    number: 18,
    title: 'batchGet of 10 random keys by 8 callers: 10 right results',
    run: async (store, keys) => {
      await Promise.all(keys.range(200).map((key) => store.put(key, valueOf(key))));
      await concurrently(WRITERS, async (caller) => {
        const next = randomNumbers(caller);
        for (let turn = 0; turn < 20; turn++) {
          const ten = Array.from({ length: 10 }, () => keys.of(next(220)));
          const found = await store.batchGet(ten);
          const absent = keys.of(200);
          assert.deepEqual(
            found,
            ten.map((key) => (key < absent ? valueOf(key) : undefined)),
          );
        }
      });
    },
    check: holdsVersion(1, 200),
  },
];
