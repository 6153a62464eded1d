import assert from 'node:assert/strict';
import { isCairnError } from '../../../ts/common/errors.js';
import { settled } from '../../support/robustness/faults.js';
import { abandon, openSmall, smallConfig } from '../../support/robustness/small-stores.js';
import { allocatedBytes, newSimDisk } from '../../support/sim-disk.js';
import { bytesOf } from '../../support/stores.js';

async function refused(what: string, writes: readonly Promise<unknown>[]): Promise<number> {
  const all = Promise.allSettled(writes);
  for (let turns = 0; turns < 20; turns++) await settled(what, all).catch(() => undefined);
  const results = await settled(what, all);
  for (const result of results) {
    if (result.status === 'fulfilled') continue;
    assert.ok(isCairnError(result.reason, 'CAIRN_NO_SPACE'), String(result.reason));
  }
  return results.filter(({ status }) => status === 'rejected').length;
}

// Found by npm run test:loop, on file systems of the kernel.
describe('writes at the end of a device', function () {
  this.timeout(60_000);

  for (const type of ['SSD_VALUE_STORE', 'TIERED_VALUE_STORE'] as const) {
    it(`end when a checkpoint that was begun before them makes no room: ${type}`, async () => {
      // Symptom: a put that waited for room in the log never ended.
      // Cause: it began no checkpoint while one ran, which then failed or freed nothing of its segments.
      // Fix: one that fails says so to all who wait; after one that does not, they begin the next.
      const disk = newSimDisk();
      const config = smallConfig(type);
      const store = await openSmall(disk, config);
      await store.put('key', 'value');
      disk.setCapacity(allocatedBytes(disk));
      const checkpoint = store.checkpoint();
      const writes = Array.from({ length: 200 }, (_, at) =>
        store.put(`key-${at}`, bytesOf(at, 1500)),
      );
      await refused('puts', [checkpoint, ...writes]);
      await abandon(disk, store);
    });

    it(`are not called refused for want of space when a sync says so: ${type}`, async () => {
      // Symptom: a put that was rejected with CAIRN_NO_SPACE was there after reopening.
      // Cause: a thin device lets a sync fail with ENOSPC, and what waited got that as its reason.
      // Fix: a failed sync is CAIRN_IO, whatever the system says.
      const disk = newSimDisk({ record: true });
      const store = await openSmall(disk, smallConfig(type));
      await store.put('key', 'value');
      disk.inject({ operation: 'sync', errno: 'ENOSPC', sticky: true });
      const large = store.put('large', bytesOf(1, 5000));
      await assert.rejects(settled('large', large), (error) => isCairnError(error, 'CAIRN_IO'));
      assert.throws(
        () => store.putSync('large', bytesOf(1, 5000)),
        (error) => isCairnError(error, 'CAIRN_IO'),
      );
      disk.clearFaults();
      await assert.rejects(settled('put', store.put('key', 'other')), (error) =>
        isCairnError(error, 'CAIRN_IO'),
      );
      assert.equal(String(await store.get('key')), 'value');
      await abandon(disk, store);
    });
  }
});
