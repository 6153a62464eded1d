import assert from 'node:assert/strict';
import { isCairnError } from '../../../ts/common/errors.js';
import { openSmall, smallConfig } from '../../support/robustness/small-stores.js';
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
