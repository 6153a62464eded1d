import assert from 'node:assert/strict';
import fc from 'fast-check';
import { editDistance, nearestName } from '../../../ts/config/suggest.js';

/** The textbook recursion. */
function plainDistance(a: string, b: string): number {
  if (a === '' || b === '') return a.length + b.length;
  const [restA, restB] = [a.slice(1), b.slice(1)];
  if (a[0] === b[0]) return plainDistance(restA, restB);
  return (
    1 + Math.min(plainDistance(restA, b), plainDistance(a, restB), plainDistance(restA, restB))
  );
}

describe('suggestions', () => {
  it('measure the edit distance', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 5 });
    fc.assert(
      fc.property(word, word, fc.nat(5), (a, b, limit) => {
        assert.equal(editDistance(a, b, limit), Math.min(plainDistance(a, b), limit + 1));
      }),
    );
  });

  it('look past case and separators', () => {
    const names = ['read_only', 'lock_timeout_ms', 'io'];
    assert.equal(nearestName('readOnly', names), 'read_only');
    assert.equal(nearestName('LOCK-TIMEOUT-MS', names), 'lock_timeout_ms');
    assert.equal(nearestName('lock_timeout', names), 'lock_timeout_ms');
    assert.equal(nearestName('IO', names), 'io');
  });

  it('say nothing when nothing is near', () => {
    assert.equal(nearestName('elephant', ['read_only', 'io']), undefined);
    assert.equal(nearestName('x', ['io']), undefined);
    assert.equal(nearestName('', ['io']), undefined);
    assert.equal(nearestName('dram', ['dram_a', 'dram_b']), 'dram_a');
    assert.equal(nearestName('val', ['value_one', 'value_two']), undefined);
  });
});
