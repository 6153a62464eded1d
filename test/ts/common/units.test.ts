import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  alignDown,
  alignUp,
  formatBytes,
  GIB,
  isPowerOfTwo,
  KIB,
  MIB,
  PAGE_BYTES,
  TIB,
} from '../../../ts/common/units.js';

describe('units', () => {
  it('rounds to multiples in both directions', () => {
    assert.equal(alignUp(0, PAGE_BYTES), 0);
    assert.equal(alignUp(1, PAGE_BYTES), 4096);
    assert.equal(alignUp(8192, PAGE_BYTES), 8192);
    assert.equal(alignDown(8191, PAGE_BYTES), 4096);
    assert.equal(alignUp(10, 3), 12);
  });

  it('rounds exactly above 2^32', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 48 }),
        fc.integer({ min: 1, max: MIB }),
        (n, to) => {
          assert.equal(alignDown(n, to) % to, 0);
          assert.ok(n - alignDown(n, to) < to && alignDown(n, to) <= n);
          assert.equal(alignUp(n, to) % to, 0);
          assert.ok(alignUp(n, to) - n < to && alignUp(n, to) >= n);
        },
      ),
    );
  });

  it('knows every power of two up to 2^52 and its neighbours', () => {
    for (let exponent = 0; exponent <= 52; exponent += 1) {
      assert.equal(isPowerOfTwo(2 ** exponent), true);
      if (exponent > 1) assert.equal(isPowerOfTwo(2 ** exponent - 1), false, `2^${exponent} - 1`);
      if (exponent > 0) assert.equal(isPowerOfTwo(2 ** exponent + 1), false);
    }
    for (const other of [0, -2, 0.5, NaN, Infinity]) assert.equal(isPowerOfTwo(other), false);
  });

  it('formats bytes in the largest unit', () => {
    assert.equal(formatBytes(0), '0 B');
    assert.equal(formatBytes(1023), '1023 B');
    assert.equal(formatBytes(KIB), '1 KiB');
    assert.equal(formatBytes(64 * MIB), '64 MiB');
    assert.equal(formatBytes(1.5 * GIB), '1.5 GiB');
    assert.equal(formatBytes(2 * TIB), '2 TiB');
  });
});
