import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { open } from '../../../ts/index.js';
import { MemoryDisks } from '../../support/memory-disks.js';
import { bytesOf, withDirectory } from '../../support/stores.js';

// The whole suite of a store on files in memory is in store.test.ts.
describe('a store without a directory', () => {
  it('touches none, reopens from its files, and is backed up to others', () =>
    withDirectory(async (directory) => {
      const disks = new MemoryDisks();
      const path = join(directory, 'store');
      for (const type of ['SSD_VALUE_STORE', 'DRAM_VALUE_STORE']) {
        let store = await disks.open(`${path}-${type}`, { value: { type } });
        for (let n = 0; n < 500; n++) await store.put(`k${n % 300}`, bytesOf(n, n * 17));
        store.putSync('sync', bytesOf(1, 40_000));
        await store.bulkLoad([['loaded', 'x']]);
        await store.close();
        store = await disks.open(`${path}-${type}`);
        assert.equal(store.size, 302);
        assert.deepEqual(store.getSync('k10'), bytesOf(310, 310 * 17));
        assert.deepEqual(await store.get('sync'), bytesOf(1, 40_000));
        assert.equal((await store.verify()).damagedCount, 0);
        await store.backup(`${path}-${type}-backup`);
        await store.close();
        const copy = await disks.open(`${path}-${type}-backup`);
        assert.equal(copy.size, 302);
        await copy.close();
        assert.ok(disks.disk(`${path}-${type}`).fileNames().includes('MANIFEST'));
      }
      assert.deepEqual(readdirSync(directory), []);
      disks.release();
    }));

  it('cannot be had on SPDK yet, and nothing is made', () =>
    withDirectory(async (directory) => {
      const path = join(directory, 'store');
      await assert.rejects(open(path, { io: { type: 'SPDK' } }), {
        code: 'CAIRN_UNSUPPORTED',
        operation: 'open',
        message:
          'io.type: SPDK is not in this version of cairn-kv; use IOURING: ' +
          'SPDK drives a device that has no file system, and stores are files so far',
      });
      assert.equal(existsSync(path), false);
    }));
});
