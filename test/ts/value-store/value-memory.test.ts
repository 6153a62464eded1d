import assert from 'node:assert/strict';
import { valueMemory } from '../../../ts/value-store/value-memory.js';

describe('memory of values that are read', () => {
  it('is of the length asked for and overlaps with nothing', () => {
    const lengths = [0, 1, 2047, 2048, 4061, 4064, 9999, 16_384, 16_385, 70_000];
    const taken = Array.from({ length: 400 }, (_, at) => {
      const bytes = valueMemory(lengths[at % lengths.length] as number);
      return bytes.fill(at & 255);
    });
    for (const [at, bytes] of taken.entries()) {
      assert.equal(bytes.length, lengths[at % lengths.length]);
      assert.ok(bytes.every((byte) => byte === (at & 255)));
      if (bytes.length >= 2048) assert.equal(bytes.byteOffset % 8, 0);
    }
  });

  it('does not go to another thread with one value of several', () => {
    const [first, second] = [valueMemory(3000), valueMemory(3000)];
    second.fill(7);
    // Node 20 copies what it must not transfer, later versions refuse.
    try {
      structuredClone(first, { transfer: [first.buffer as ArrayBuffer] });
    } catch (error) {
      assert.equal((error as Error).name, 'DataCloneError');
    }
    assert.equal(second.length, 3000);
    assert.ok(second.every((byte) => byte === 7));
  });
});
