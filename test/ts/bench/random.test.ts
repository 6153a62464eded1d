import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import {
  BLOCK_BYTES,
  identities,
  mix32,
  Random,
  textKey,
  ValueBlock,
  Zipfian,
} from '../../../bench/random.js';

describe('bench random data', () => {
  it('gives the same numbers for the same seed and others for another', () => {
    const take = (seed: number) => {
      const random = new Random(seed);
      return Array.from({ length: 8 }, () => random.next());
    };
    assert.deepEqual(take(3), take(3));
    assert.notDeepEqual(take(3), take(4));
    assert.notEqual(new Random(0).next(), 0);
  });

  it('stays below the bound', () => {
    const random = new Random(9);
    const seen = new Set(Array.from({ length: 1000 }, () => random.below(7)));
    assert.deepEqual([...seen].sort(), [0, 1, 2, 3, 4, 5, 6]);
  });

  it('makes distinct identities and keys of 16 characters that sort like them', () => {
    const all = identities(10_000);
    assert.equal(new Set(all).size, all.length);
    const keys = Array.from(all, textKey);
    assert.ok(keys.every((key) => key.length === 16));
    assert.deepEqual(
      [...keys].sort(),
      Array.from(all)
        .sort((a, b) => a - b)
        .map(textKey),
    );
  });

  it('continues where an earlier set of identities ends', () => {
    assert.deepEqual(identities(20).subarray(10), identities(10, 10));
    assert.equal(identities(1)[0], mix32(1));
  });

  it('gives each identity one value, which no compressor shrinks', () => {
    const block = new ValueBlock();
    assert.equal(block.bytes.length, BLOCK_BYTES);
    assert.deepEqual(block.value(5, 100), new ValueBlock().value(5, 100));
    assert.notDeepEqual(block.value(5, 100), block.value(6, 100));
    assert.notDeepEqual(block.value(5, 100), block.value(5, 100, 1));
    const rows = block.rows(identities(1000), 512);
    assert.deepEqual(Buffer.from(rows.subarray(0, 512)), block.value(mix32(1), 512));
    assert.ok(gzipSync(rows).length > rows.length * 0.99);
  });

  it('draws the first ranks of a zipfian most often and never one outside', () => {
    const zipfian = new Zipfian(1000);
    const random = new Random(2);
    const counts = new Array<number>(1000).fill(0);
    for (let i = 0; i < 50_000; i += 1) {
      const rank = zipfian.next(random);
      counts[rank] = (counts[rank] ?? Number.NaN) + 1;
    }
    assert.ok(counts.every((count) => Number.isInteger(count)));
    assert.ok((counts[0] ?? 0) > 5 * (counts[10] ?? 0));
  });
});
