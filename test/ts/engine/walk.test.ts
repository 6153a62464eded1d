import assert from 'node:assert/strict';
import { withDirectory } from '../../support/stores.js';
import { open } from '../../../ts/index.js';

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
});
