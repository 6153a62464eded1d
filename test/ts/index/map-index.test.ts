import assert from 'node:assert/strict';
import { MapIndex } from '../../../ts/index/map-index.js';
import {
  ByKey,
  countHandles,
  indexConformance,
  TEST_HASH_KEY,
} from '../../support/index-conformance.js';

describe('MapIndex', () => {
  indexConformance((hashKey) => new MapIndex({ hashKey }));

  // V8 refuses the 16.7-millionth entry of a Map.
  describe('in Maps of at most 20,000 entries', () => {
    indexConformance((hashKey) => new MapIndex({ hashKey, mapEntriesMax: 20_000 }));
  });

  it('finds a key in whatever Map it is, and uses the room that was left', () => {
    const index = new MapIndex({ hashKey: TEST_HASH_KEY, mapEntriesMax: 3 });
    const by = new ByKey(index);
    for (let i = 0; i < 20; i++) assert.equal(by.put(BigInt(i), i + 1), 0);
    assert.equal(by.delete(4n), 5);
    assert.equal(by.put(100n, 9), 0);
    for (let i = 0; i < 20; i++) assert.equal(by.put(BigInt(i), i + 101), i === 4 ? 0 : i + 1);
    assert.equal(index.size, 21);
    assert.equal(countHandles(index).size, 21);
    index.close();
  });
});
