import assert from 'node:assert/strict';
import { isCairnError } from '../../../ts/common/errors.js';
import { INLINE_BYTES, openSmall, smallConfig } from '../../support/robustness/small-stores.js';
import { newSimDisk } from '../../support/sim-disk.js';

describe('a write at sync behind one that was not synced', () => {
  // Written without RWF_DSYNC, which would not cover the group before it: a sync follows.
  it('is rejected when the sync behind it fails', async () => {
    const disk = newSimDisk({});
    const store = await openSmall(disk, smallConfig('SSD_VALUE_STORE'));
    // The values file has room from then on: a put that waits for room waits for its sync elsewhere.
    await store.put('first', 'value', { durability: 'sync' });
    await store.put('second', 'value', { durability: 'process' });
    disk.inject({ operation: 'sync', nth: 1 });
    await assert.rejects(store.put('third', 'value', { durability: 'sync' }), (error) =>
      isCairnError(error, 'CAIRN_IO'),
    );
    await store.close().catch(() => undefined);
  });
});

describe('writes beside one whose failure ends writing', () => {
  const keys = Array.from({ length: 40 }, (_, at) => `key-${at}`);
  const large = 'v'.repeat(3 * INLINE_BYTES);

  // The second sync would tell of success, with what the first one covered lost.
  it('are rejected where they share a sync that fails, or wait for the one after it', async () => {
    const disk = newSimDisk({ record: true });
    const store = await openSmall(disk, smallConfig('SSD_VALUE_STORE'));
    await store.put('first', large);
    // The next segment of the log is made meanwhile, and synced.
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    disk.inject({ operation: 'sync', nth: 1 });
    const puts = ['a', 'b', 'c'].map((key) => store.put(key, large));
    for (const outcome of await Promise.allSettled(puts)) assert.equal(outcome.status, 'rejected');
    await assert.rejects(store.checkpoint(), (error) => isCairnError(error, 'CAIRN_IO'));
    const failed = disk
      .operations()
      .split('\n')
      .filter((line) => / sync values/.test(line));
    assert.match(failed.at(-1) ?? '', /failed/);
    await store.close().catch(() => undefined);
  });

  // A delete that waits for a page of the index goes on when the values can no longer be synced.
  it('settle, also those that were waiting for something else meanwhile', async () => {
    for (let failing = 1; failing <= 12; failing++) {
      const disk = newSimDisk({ reorder: true, seed: failing });
      const index = { type: 'SSD_EXTENDIBLE_HASH' } as const;
      const store = await openSmall(disk, smallConfig('SSD_VALUE_STORE', { index }));
      for (const key of keys) await store.put(key, 'small');
      await store.checkpoint();
      disk.inject({ operation: 'sync', nth: failing, sticky: true });
      disk.inject({ operation: 'write', nth: 3 * failing, sticky: true });
      const calls = keys.flatMap((key, at) => [
        at % 4 === 0 ? store.put(`large-${at}`, large) : store.put(`small-${at}`, 'value'),
        store.delete(key),
      ]);
      const outcomes = await Promise.allSettled(calls);
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') continue;
        assert.ok(isCairnError(outcome.reason, 'CAIRN_IO'), String(outcome.reason));
      }
      await store.close().catch(() => undefined);
    }
  });
});
