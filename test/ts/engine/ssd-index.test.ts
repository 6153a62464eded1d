import assert from 'node:assert/strict';
import type { SimDisk } from '../../../ts/bindings/addon.js';
import { isCairnError } from '../../../ts/common/errors.js';
import type { Store } from '../../../ts/index.js';
import { newSimDisk } from '../../support/sim-disk.js';
import { Resealer } from '../../support/robustness/reseal.js';
import {
  abandon,
  makeSmallStore,
  openSmall,
  smallConfig,
} from '../../support/robustness/small-stores.js';

const CONFIG = smallConfig('SSD_VALUE_STORE', { index: { type: 'SSD' } });
const CACHE_PAGES = 8;
/** With 4 entries a page several times what the cache holds. */
const KEYS = 300;

/** Records stay where they are: moving them changes pages. */
const TUNING = { compaction: { slackBytes: 1 << 24, lotBytes: 1 << 14 } };

const keyOf = (n: number): string => `key-${n}`;
const valueOf = (n: number, version: number): string => `value ${n} of version ${version}`;

/** A store on a disk of its own, with keys whose pages are mostly not in memory. */
async function withCold(use: (store: Store, disk: SimDisk) => Promise<void>): Promise<void> {
  const disk = newSimDisk({});
  const first = await openSmall(disk, CONFIG);
  for (let n = 0; n < KEYS; n++) await first.put(keyOf(n), valueOf(n, 1), { durability: 'none' });
  await first.close();
  const store = await openSmall(disk, CONFIG, TUNING);
  try {
    await use(store, disk);
  } finally {
    await store.close();
    disk.release();
  }
}

/** Calls at every step between those of everybody else. */
async function lookUpOften(store: Store, n: number): Promise<void> {
  for (let turn = 0; turn < 30; turn++) {
    for (let step = 0; step < 8; step++) {
      await Promise.resolve();
      assert.equal(typeof store.hasSync(keyOf((n + turn) | 1)), 'boolean');
    }
    await new Promise((resolve) => process.nextTick(resolve));
  }
}

function indexOf(store: Store): { reads: number; writes: number; cached: number; pages: number } {
  const { deviceReads, deviceWrites, cachedPages, pages } = store.stats().index;
  return {
    reads: deviceReads as number,
    writes: deviceWrites as number,
    cached: cachedPages as number,
    pages: pages as number,
  };
}

describe('a store with its index on the device', () => {
  it('reads one page of the index and one of the values for a cold get, and no more pages stay', () =>
    withCold(async (store) => {
      let cold = 0;
      for (let n = 0; n < KEYS; n++) {
        const before = indexOf(store).reads;
        assert.equal(String(await store.get(keyOf(n))), valueOf(n, 1));
        const { reads, cached } = indexOf(store);
        assert.ok(reads - before <= 1, `${reads - before} reads`);
        assert.ok(cached <= CACHE_PAGES, `${cached} pages`);
        cold += reads - before;
      }
      assert.ok(cold > KEYS / 2, `${cold} of ${KEYS} were cold`);
      assert.ok(indexOf(store).pages > 8 * CACHE_PAGES);
    }));

  it('answers calls that block while the pages of other calls are kept', () =>
    withCold(async (store) => {
      const parts = Array.from({ length: 12 }, (_, part) =>
        Array.from({ length: KEYS / 12 }, (_, at) => keyOf(12 * at + part)),
      );
      const gets = parts.map((keys) => store.batchGet(keys));
      const deleted = [1, 2, 3].map((n) => store.delete(keyOf(n)));
      for (let n = 4; n < KEYS; n++) assert.equal(store.hasSync(keyOf(n)), true);
      assert.ok(indexOf(store).cached > 72, `${indexOf(store).cached} pages`);
      store.putSync(keyOf(KEYS), valueOf(KEYS, 1));
      assert.equal(store.deleteSync(keyOf(4)), true);
      assert.deepEqual(await Promise.all(deleted), [true, true, true]);
      for (const [part, values] of (await Promise.all(gets)).entries()) {
        for (const [at, value] of values.entries()) {
          const n = 12 * at + part;
          if (n === 0 || n > 4) assert.equal(String(value), valueOf(n, 1));
        }
      }
      assert.equal(store.size, KEYS - 3);
    }));

  it('deletes the keys that were asked for, whatever else is looked up meanwhile', () =>
    withCold(async (store) => {
      // Symptom: a delete whose page had to be read removed another key.
      // Cause: its key was in the codec when the read ended, but a promise later it was another one.
      // Fix: the key is encoded again in the turn that deletes.
      const calls: Promise<unknown>[] = [];
      for (let n = 0; n < KEYS; n += 2) {
        calls.push(store.delete(keyOf(n)).then((found) => assert.equal(found, true)));
        calls.push(lookUpOften(store, n));
        calls.push(store.has(`absent-${n}`).then((found) => assert.equal(found, false)));
        calls.push(store.delete(`absent-${n}`).then((found) => assert.equal(found, false)));
      }
      await Promise.all(calls);
      assert.equal(store.size, KEYS / 2);
      for (let n = 0; n < KEYS; n++) {
        const expected = n % 2 === 0 ? undefined : valueOf(n, 1);
        assert.equal((await store.get(keyOf(n)))?.toString(), expected);
      }
    }));

  it('counts changes at once whose page is still to be read', () =>
    withCold(async (store) => {
      // Few enough to wait beside their pages: more wait in line, as do those without space.
      const changed = Array.from({ length: 8 }, (_, at) => at * 35);
      await Promise.all(changed.map((n) => store.put(keyOf(n), valueOf(n, 2))));
      await store.checkpoint();
      // The file has grown by now, and their pages make room for others.
      for (let n = 1; n < KEYS; n += 5) await store.get(keyOf(n));
      const { reads } = indexOf(store);
      const puts = changed.map((n) => store.put(keyOf(n), valueOf(n, 3)));
      puts.push(store.put('new', 'one'));
      const { pendingChanges, deviceReads } = store.stats().index;
      assert.ok((pendingChanges as number) > 0);
      assert.equal(indexOf(store).reads, deviceReads, 'which waits for no page');
      const values = await Promise.all(changed.map((n) => store.get(keyOf(n))));
      for (const [at, n] of changed.entries()) assert.equal(String(values[at]), valueOf(n, 3));
      await Promise.all(puts);
      assert.equal(store.size, KEYS + 1);
      assert.ok(indexOf(store).reads > reads);
      await store.checkpoint();
      // The replaced ones are known by now, and their slots free.
      assert.equal(store.stats().values.liveSlots, KEYS + 1);
    }));

  it('shows a batch whole or not at all to a batchGet whose pages are read', () =>
    withCold(async (store) => {
      const keys = Array.from({ length: 40 }, (_, at) => keyOf(at * 7));
      const batches: Promise<void>[] = [];
      for (let version = 2; version < 12; version++) {
        batches.push(
          store.batchPut(
            keys,
            keys.map((_, at) => valueOf(at * 7, version)),
          ),
        );
        for (let more = 0; more < 3; more++) {
          const found = await store.batchGet(keys);
          const versions = new Set(found.map((value) => String(value).split(' ').at(-1)));
          assert.equal(versions.size, 1, [...versions].join());
        }
      }
      await Promise.all(batches);
    }));

  it('writes with a checkpoint only the pages that changed', () =>
    withCold(async (store) => {
      const { writes, pages } = indexOf(store);
      for (const n of [3, 50, 200]) await store.put(keyOf(n), valueOf(n, 2));
      await store.checkpoint();
      const written = indexOf(store).writes - writes;
      assert.ok(written >= 1 && written <= 3, `${written} of ${pages} pages`);
    }));

  it('answers synchronous calls as well, and reads while others are under way', () =>
    withCold(async (store) => {
      const gets = [1, 2, 3].map((n) => store.get(keyOf(n)));
      for (let n = 0; n < KEYS; n += 3) {
        store.putSync(keyOf(n), valueOf(n, 2));
        assert.equal(String(store.getSync(keyOf(n + 1))), valueOf(n + 1, 1));
        assert.equal(store.deleteSync(keyOf(n + 2)), true);
        assert.equal(store.hasSync(keyOf(n + 2)), false);
      }
      assert.equal(store.size, (KEYS / 3) * 2);
      await Promise.all(gets);
    }));

  it('is read without a write to its files, with a log to replay', async () => {
    const disk = newSimDisk({ record: true });
    const first = await openSmall(disk, CONFIG);
    for (let n = 0; n < KEYS; n++) await first.put(keyOf(n), valueOf(n, 1), { durability: 'none' });
    await first.checkpoint();
    for (let n = 0; n < KEYS; n += 2) await first.put(keyOf(n), valueOf(n, 2));
    const again = disk.crash(disk.eventCount, { kind: 'all' });
    await abandon(disk, first);
    const before = again.imageHash();
    const store = await openSmall(again, { ...CONFIG, readOnly: true, createIfMissing: false });
    for (let n = 0; n < KEYS; n++) {
      assert.equal(String(await store.get(keyOf(n))), valueOf(n, n % 2 === 0 ? 2 : 1));
    }
    assert.equal(store.size, KEYS);
    await store.close();
    assert.equal(again.imageHash(), before);
    again.release();
    disk.release();
  });

  it('refuses what has no space for its page, and takes it when there is some again', () =>
    withCold(async (store, disk) => {
      disk.setCapacity(1);
      const refused = new Set<number>();
      for (let n = 0; refused.size < 3; n++) {
        try {
          await store.put(`more-${n}`, 'x'.repeat(200));
        } catch (error) {
          assert.ok(isCairnError(error, 'CAIRN_NO_SPACE'), String(error));
          refused.add(n);
        }
        assert.ok(n < 5000);
      }
      assert.equal(await store.delete(keyOf(1)), true);
      disk.setCapacity(0);
      for (const n of refused) await store.put(`more-${n}`, 'now');
      for (const n of refused) assert.equal(String(await store.get(`more-${n}`)), 'now');
      assert.equal(String(await store.get(keyOf(2))), valueOf(2, 1));
    }));

  it('says which page is damaged, and serves the others', async () => {
    const disk = newSimDisk({});
    const first = await openSmall(disk, CONFIG);
    for (let n = 0; n < KEYS; n++) await first.put(keyOf(n), valueOf(n, 1), { durability: 'none' });
    await first.checkpoint();
    // The store has read what is there; damage comes later.
    const { length } = disk.readFile('index') as Uint8Array;
    for (let page = 4096; page < length; page += 8192) disk.flipBit('index', page + 100, 3);
    // Of the pages that are in memory none stays there.
    for (let n = 0; n < KEYS; n++) await first.get(keyOf(n)).catch(() => undefined);
    let damaged = 0;
    for (let n = 0; n < KEYS; n++) {
      try {
        assert.equal(String(await first.get(keyOf(n))), valueOf(n, 1));
      } catch (error) {
        assert.ok(isCairnError(error, 'CAIRN_CORRUPTION'), String(error));
        assert.equal(error.file, 'index');
        damaged++;
      }
    }
    assert.ok(damaged > 0 && damaged < KEYS, `${damaged} of ${KEYS}`);
    const report = await first.verify();
    assert.ok(report.damagedCount > 0 && report.damaged.every(({ file }) => file === 'index'));
    assert.equal(report.records, KEYS - damaged);
    await assert.rejects(
      async () => {
        for await (const _ of first.entries()) continue;
      },
      { code: 'CAIRN_CORRUPTION', file: 'index' },
    );
    await abandon(disk, first);
    disk.release();
  });

  it('tells a page of another version from a damaged one', async () => {
    const small = await makeSmallStore('SSD_VALUE_STORE', true, { index: 'SSD_EXTENDIBLE_HASH' });
    const disk = small.copy();
    const bytes = Buffer.from(disk.readFile('index') as Uint8Array);
    for (let page = 4096; page < bytes.length; page += 4096) bytes.writeUInt16LE(2, page + 8);
    disk.writeFile('index', bytes);
    new Resealer(disk).files(['index'], []);
    await assert.rejects(openSmall(disk, small.config), {
      code: 'CAIRN_INCOMPATIBLE',
      file: 'index',
    });
    disk.release();
  });
});
