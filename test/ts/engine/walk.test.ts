import assert from 'node:assert/strict';
import { open } from '../../../ts/index.js';
import { openSmall, smallConfig } from '../../support/robustness/small-stores.js';
import { newSimDisk } from '../../support/sim-disk.js';
import { bytesOf, withDirectory } from '../../support/stores.js';

const RECORDS = 20_000;

describe('a walk through all records', function () {
  // Symptom: `verify` of values in memory held the event loop until it was through, and no signal could end it.
  // Cause: what is in memory is read without a turn of the event loop, and nothing gave it one.
  // Fix: it pauses like recovery does.
  it('gives the event loop turns although everything is in memory', () =>
    withDirectory(async (path) => {
      const value = { type: 'DRAM_VALUE_STORE' };
      const store = await open({ path, key: { type: 'u64' }, value });
      const keys = Array.from({ length: RECORDS }, (_, at) => BigInt(at));
      await store.batchPut(
        keys,
        keys.map((key) => Buffer.from(String(key))),
        {
          durability: 'none',
        },
      );
      const abort = new AbortController();
      setImmediate(() => abort.abort());
      await assert.rejects(store.verify({ signal: abort.signal }), { code: 'CAIRN_ABORTED' });
      const report = await store.verify();
      assert.equal(report.records, RECORDS);
      assert.equal(report.damagedCount, 0);
      await store.close();
    }));

  it('finds a damaged record in a page that another one was read from', async () => {
    const disk = newSimDisk({});
    const config = smallConfig('SSD_VALUE_STORE');
    const first = await openSmall(disk, config);
    for (let n = 0; n < 20; n++) await first.put(`key ${n}`, bytesOf(n, 60));
    await first.close();
    const values = Buffer.from(disk.readFile('values') as Uint8Array);
    const at = values.indexOf('key 7');
    assert.equal(disk.flipBit('values', at, 1), true);
    const store = await openSmall(disk, config);
    for (let n = 0; n < 20; n++)
      if (n !== 7) assert.notEqual(await store.get(`key ${n}`), undefined);
    const { damaged, records } = await store.verify();
    assert.deepEqual([records, damaged.length, damaged[0]?.file], [19, 1, 'values']);
    await store.close();
    disk.release();
  });
});
