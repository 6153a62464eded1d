import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { workloadAt } from '../../support/crash/campaign.js';
import {
  CRASH_SEED,
  CRASH_STATES_MAX,
  CRASH_WORKLOADS,
  planted,
} from '../../support/planted/plant.js';
import { PLANTS } from '../../support/planted/plants.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

// Whether the tests see them is `npm run test:planted`: each has to be compiled.
describe('planted mistakes', () => {
  for (const plant of PLANTS) {
    it(`${plant.name} has its place in ${plant.file}`, () => {
      const source = readFileSync(join(ROOT, plant.file), 'utf8');
      assert.notEqual(planted(plant, source), source);
    });
  }

  it('are 25 or more, of different names', () => {
    const names = new Set(PLANTS.map(({ name }) => name));
    assert.equal(names.size, PLANTS.length);
    assert.ok(names.size >= 25);
  });

  it('are looked for in no more crash states than the ordinary run tries', () => {
    const ordinary = Array.from(
      { length: CRASH_WORKLOADS },
      (_, index) => workloadAt(CRASH_SEED, index).name,
    );
    for (const { name, caughtBy } of PLANTS) {
      if (caughtBy.kind !== 'crash') continue;
      assert.ok(caughtBy.states <= CRASH_STATES_MAX, name);
      assert.ok(['', ...ordinary].includes(caughtBy.workload), name);
    }
  });

  it('whose text is gone, or there twice, are refused', () => {
    const plant = { ...PLANTS[0]!, edits: [['sync()', '']] as const };
    assert.throws(() => planted(plant, 'none'), /found 0 times/);
    assert.throws(() => planted(plant, 'sync(); sync();'), /found 2 times/);
    assert.equal(planted(plant, 'sync();'), ';');
  });
});
