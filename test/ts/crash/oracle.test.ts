import assert from 'node:assert/strict';
import { workloadAt } from '../../support/crash/campaign.js';
import { Oracle } from '../../support/crash/oracle.js';
import { formatState, parseState } from '../../support/crash/enumerator.js';
import type { CrashState } from '../../support/crash/enumerator.js';
import { record } from '../../support/crash/recording.js';
import {
  countEnumerated,
  describeWorkload,
  randomWorkload,
  STEP_KINDS,
  workloadByName,
} from '../../support/crash/workload.js';

const one = Buffer.from('one');
const two = Buffer.from('two');
const three = Buffer.from('three');

/** a=one acknowledged at 10, {a=two, b=two} at 20, b deleted and not acknowledged. */
function history(level: 'sync' | 'process' | 'none'): Oracle {
  const oracle = new Oracle();
  oracle.acknowledged(oracle.begin(level, new Map([['a', one]]), 0), 10);
  const batch = new Map([
    ['a', two],
    ['b', two],
  ]);
  oracle.acknowledged(oracle.begin(level, batch, 10), 20);
  oracle.begin(level, new Map([['b', undefined]]), 20);
  return oracle;
}

function contents(entries: Record<string, Buffer>): Map<string, Buffer> {
  return new Map(Object.entries(entries));
}

describe('the crash oracle', () => {
  it('accepts the acknowledged writes and any that had begun', () => {
    const oracle = history('sync');
    assert.equal(oracle.check(contents({ a: two, b: two }), 25, false), undefined);
    assert.equal(oracle.check(contents({ a: two }), 25, false), undefined);
    assert.equal(oracle.check(contents({ a: one }), 15, false), undefined);
    assert.equal(oracle.check(contents({}), 5, false), undefined);
  });

  it('refuses a state without an acknowledged write', () => {
    const oracle = history('sync');
    assert.match(oracle.check(contents({ a: one }), 20, false) ?? '', /no n of 2 to 3/);
    assert.match(oracle.check(contents({}), 10, false) ?? '', /no n of 1/);
  });

  it('refuses half a batch', () => {
    assert.notEqual(history('none').check(contents({ a: two }), 15, false), undefined);
    assert.notEqual(history('none').check(contents({ a: one, b: two }), 15, false), undefined);
  });

  it('refuses a later write without an earlier one of another key', () => {
    const oracle = new Oracle();
    oracle.begin('none', new Map([['a', one]]), 0);
    oracle.begin('none', new Map([['b', two]]), 0);
    assert.notEqual(oracle.check(contents({ b: two }), 5, false), undefined);
  });

  it('refuses bytes and keys that were never written', () => {
    assert.notEqual(history('none').check(contents({ a: three }), 25, false), undefined);
    assert.notEqual(history('none').check(contents({ c: one }), 25, false), undefined);
  });

  it('refuses a write that had not begun', () => {
    assert.notEqual(history('none').check(contents({ a: two, b: two }), 5, false), undefined);
  });

  it('counts process acknowledgements only where the process alone ended', () => {
    const oracle = history('process');
    assert.equal(oracle.check(contents({}), 25, false), undefined);
    assert.notEqual(oracle.check(contents({}), 25, true), undefined);
    assert.equal(history('none').check(contents({}), 25, true), undefined);
  });

  it('counts what a flush made durable', () => {
    const oracle = history('none');
    assert.equal(oracle.returnedCount, 2);
    oracle.allDurable(oracle.returnedCount, 22);
    assert.equal(oracle.check(contents({ a: one }), 21, false), undefined);
    assert.notEqual(oracle.check(contents({ a: one }), 22, false), undefined);
  });
});

describe('the workloads of a campaign', () => {
  it('come to each sequence of steps on each kind of store, once', () => {
    const count = countEnumerated(1);
    assert.equal(count, STEP_KINDS.length * 56);
    const named = new Set<string>();
    for (let index = 0, met = 0; met < count; index += 3) {
      const { name } = workloadAt(5, index);
      if (!name.startsWith('e1.')) continue;
      named.add(name);
      met++;
    }
    assert.equal(named.size, count);
  });
});

describe('the tokens of a replay', () => {
  it('name the same state again', () => {
    const state: CrashState = {
      point: 12,
      choice: { kind: 'mask', mask: 5, sectorBytes: 512 },
      second: { point: 3, choice: { kind: 'dropOne', n: 7, sectorBytes: 4096 } },
    };
    assert.equal(formatState(state), '12:mask:5:512/3:dropOne:7:4096');
    assert.equal(formatState(parseState(formatState(state))), formatState(state));
    assert.throws(() => parseState('12:nothing:5:512'), RangeError);
  });

  it('name the same workload again', () => {
    const workload = randomWorkload(4711);
    assert.deepEqual(workloadByName(workload.name), workload);
    // The second kind of step, twice.
    const twice = `e2.${STEP_KINDS.length + 1}.0`;
    assert.match(describeWorkload(workloadByName(twice)), /overwriteSame\/sync overwriteSame/);
    for (const none of ['x1', 'e1.16.0', 'e1.0.56']) {
      assert.throws(() => workloadByName(none), RangeError);
    }
  });

  // Symptom: the events of a workload on an index on the device were others in each run.
  // Cause: the key of the hash, by which pages split, was a new random one for each store.
  // Fix: the store of a workload is made with an identity by its seed.
  it('find the same operations again', async () => {
    const operationsOf = async (name: string): Promise<string> => {
      const { disk } = await record(workloadByName(name));
      const operations = disk.operations();
      disk.release();
      return operations;
    };
    const others = Array.from({ length: 12 }, (_, index) => workloadAt(77, index).name);
    for (const name of ['r31000008', ...others]) {
      assert.equal(await operationsOf(name), await operationsOf(name), name);
    }
  });
});
