import assert from 'node:assert/strict';
import type { SimDisk } from '../../../ts/bindings/addon.js';
import { isCairnError } from '../../../ts/common/errors.js';
import type { StoreConfig } from '../../../ts/config/types.js';
import type { Store } from '../../../ts/engine/api.js';
import { settled } from '../../support/robustness/faults.js';
import {
  abandon,
  openSmall,
  smallConfig,
  type ValueType,
} from '../../support/robustness/small-stores.js';
import { newSimDisk } from '../../support/sim-disk.js';
import { bytesOf } from '../../support/stores.js';

const MIB = 2 ** 20;

const keyOf = (n: number): string => `key-${n}`;

/** Puts new keys until there is no space; how many there are now. */
async function fill(store: Store, bytes: number, from = 0): Promise<number> {
  for (let at = from; at < 100_000; at++) {
    try {
      await settled(`put ${at}`, store.put(keyOf(at), bytesOf(at, bytes)));
    } catch (error) {
      assert.ok(isCairnError(error, 'CAIRN_NO_SPACE'), String(error));
      return at;
    }
  }
  throw new Error('there is always space');
}

async function check(store: Store, bytes: number, keys: Iterable<number>): Promise<void> {
  for (const at of keys) {
    const found = await settled(`get ${at}`, store.get(keyOf(at)));
    assert.deepEqual(found, bytesOf(at, bytes), keyOf(at));
  }
}

function range(from: number, to: number, step = 1): number[] {
  return Array.from({ length: Math.ceil((to - from) / step) }, (_, at) => from + at * step);
}

async function deleteAll(store: Store, keys: Iterable<number>): Promise<void> {
  for (const at of keys) assert.equal(await settled(`delete ${at}`, store.delete(keyOf(at))), true);
}

const LIMITS: Readonly<Record<ValueType, StoreConfig>> = {
  SSD_VALUE_STORE: { value: { ssd_allocator: { capacity_bytes: 4 * MIB } } },
  DRAM_VALUE_STORE: { value: { dram_allocator: { capacity_bytes: MIB } } },
};

// Fault model F8: no space, by configuration or on the device.
describe('a store without space', function () {
  this.timeout(120_000);
  for (const type of ['SSD_VALUE_STORE', 'DRAM_VALUE_STORE'] as const) {
    for (const bytes of [1500, 9000]) {
      it(`reads and deletes at its capacity, and takes again what was freed: ${type}, ${bytes} bytes`, async () => {
        const disk = newSimDisk();
        const config = smallConfig(type, LIMITS[type]);
        const more = { logSegmentBytes: 256 * 1024, logCapacityBytes: 2 * MIB };
        let store = await openSmall(disk, config, more);
        const count = await fill(store, bytes);
        assert.ok(count > 50, `${count} fit`);
        await check(store, bytes, range(0, count));
        // A page is used again when all of its records are gone.
        await deleteAll(store, range(0, count >> 1));
        await store.checkpoint();
        const again = await fill(store, bytes, count);
        assert.ok(again - count > count / 3, `${again - count} of ${count / 2} fit again`);
        const left = [...range(count >> 1, count), ...range(count, again)];
        await check(store, bytes, left);
        // Overwriting needs a place beside the old one: a whole cell that is free.
        await deleteAll(store, left.splice(-50));
        await store.checkpoint();
        await store.put(keyOf(count - 1), bytesOf(count - 1, bytes));
        await store.close();
        store = await openSmall(disk, config, more);
        assert.equal(store.size, left.length);
        await check(store, bytes, left);
        await store.close();
      });
    }

    it(`goes on when space returns to a full device: ${type}`, async () => {
      const disk = newSimDisk();
      const config = smallConfig(type);
      let store = await openSmall(disk, config);
      await store.put('first', 'value');
      disk.setCapacity(allocatedBytes(disk) + 2 * MIB);
      const count = await fill(store, 1500);
      await check(store, 1500, range(0, count));
      // Twice: the first failure must not have eaten what was left.
      assert.ok((await fill(store, 1500, count)) <= count + 20);
      assert.equal(String(await store.get('first')), 'value');
      disk.setCapacity(0);
      const more = count + 200;
      for (const at of range(count, more)) {
        await settled(`put ${at}`, store.put(keyOf(at), bytesOf(at, 1500)));
      }
      await store.checkpoint();
      await check(store, 1500, range(0, more));
      await store.close();
      store = await openSmall(disk, config);
      await check(store, 1500, range(0, more));
      await store.close();
    });

    it(`closes and opens on a full device: ${type}`, async () => {
      const disk = newSimDisk();
      const config = smallConfig(type);
      let store = await openSmall(disk, config);
      disk.setCapacity(allocatedBytes(disk) + 2 * MIB);
      const count = await fill(store, 1500);
      const deleted = new Set<number>();
      for (const at of range(0, count, 3)) {
        try {
          await settled(`delete ${at}`, store.delete(keyOf(at)));
          deleted.add(at);
        } catch (error) {
          // The log of a store in memory holds the values: it may be full with the device.
          assert.ok(
            type === 'DRAM_VALUE_STORE' && isCairnError(error, 'CAIRN_NO_SPACE'),
            String(error),
          );
        }
      }
      await settled('close', store.close()).catch((error: unknown) => {
        assert.ok(isCairnError(error, 'CAIRN_NO_SPACE'), String(error));
      });
      store = await openSmall(disk, config);
      const left = range(0, count).filter((at) => !deleted.has(at));
      await check(store, 1500, left);
      if (type === 'DRAM_VALUE_STORE') disk.setCapacity(0);
      await deleteAll(store, left.slice(0, left.length / 2));
      await settled('checkpoint', store.checkpoint());
      await settled('put', store.put('after', bytesOf(1, 1500)));
      await store.close();
    });

    it(`applies a batch for which there is no space wholly or not at all: ${type}`, async () => {
      for (const spare of [0, 40_000, 100_000, 200_000, 400_000, 2 * MIB]) {
        const disk = newSimDisk({ record: true });
        const config = smallConfig(type);
        const more = { logSegmentBytes: 128 * 1024, logCapacityBytes: 2 * MIB };
        const store = await openSmall(disk, config, more);
        await store.put('first', 'value');
        disk.setCapacity(allocatedBytes(disk) + spare);
        const keys = range(0, 300).map(keyOf);
        const values = keys.map((_, at) => bytesOf(at, 1500));
        const done = await settled('batch', store.batchPut(keys, values)).then(
          () => true,
          (error: unknown) => {
            assert.ok(isCairnError(error, 'CAIRN_NO_SPACE'), String(error));
            return false;
          },
        );
        assert.equal(store.size, done ? 301 : 1);
        const after = await settled('put', store.put('after', 'value')).then(
          () => true,
          (error: unknown) => {
            assert.ok(isCairnError(error), String(error));
            return false;
          },
        );
        const copy = disk.crash(disk.eventCount, { kind: 'all' });
        copy.setCapacity(0);
        const again = await openSmall(copy, config, more);
        assert.equal(again.size, (done ? 301 : 1) + (after ? 1 : 0), `${spare} bytes to spare`);
        await again.close();
        await abandon(disk, store);
      }
    });
  }
});

function allocatedBytes(disk: SimDisk): number {
  return disk.fileNames().reduce((sum, name) => sum + (disk.readFile(name)?.length ?? 0), 0);
}
