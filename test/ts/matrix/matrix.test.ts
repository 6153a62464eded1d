import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { combinations, IO_TYPES, nameOf } from '../../support/matrix/combination.js';
import { runMatrix } from '../../support/matrix/matrix.js';

// A few combinations, each index once; `npm run test:matrix` runs all of them on all backends.
describe('the behaviours of the seed system', function () {
  this.timeout(120_000);

  it('has every index with every value store', () => {
    const names = combinations().map(nameOf);
    for (const index of [
      'DRAM_PET_HASH',
      'DRAM_EXTENDIBLE_HASH',
      'DRAM_UNORDERED_MAP',
      'SSD_EXTENDIBLE_HASH',
    ]) {
      for (const value of [
        'SSD_VALUE_STORE SSD_SLAB',
        'SSD_VALUE_STORE SSD_BUDDY',
        'DRAM_VALUE_STORE C',
        'TIERED_VALUE_STORE C',
      ]) {
        assert.ok(
          names.some((name) => name.startsWith(`${index} ${value}`)),
          `${index} ${value}`,
        );
      }
    }
  });

  const first = combinations().filter(
    ({ index, value, ssd, dram }) =>
      (index === 'SSD_EXTENDIBLE_HASH' && ssd === 'SSD_SLAB' && dram === undefined) ||
      (index === 'DRAM_EXTENDIBLE_HASH' && ssd === 'SSD_SLAB' && dram === undefined) ||
      (index === 'DRAM_PET_HASH' && ssd === 'SSD_BUDDY' && dram === undefined) ||
      (index === 'DRAM_UNORDERED_MAP' &&
        value === 'DRAM_VALUE_STORE' &&
        dram === 'CONCURRENT_SLAB_MEMORY_POOL') ||
      (index === 'DRAM_PET_HASH' &&
        value === 'TIERED_VALUE_STORE' &&
        dram === 'R2_SLAB' &&
        ssd === 'SSD_BUDDY'),
  );
  for (const [at, combination] of first.entries()) {
    const io = IO_TYPES[at % IO_TYPES.length] as string;
    it(`holds after a kill and a reopen: ${nameOf(combination)} on ${io}`, async () => {
      const { failures, checks } = await runMatrix([combination], [io], tmpdir());
      assert.deepEqual(failures, []);
      assert.ok(checks > 60);
    });
  }
});
