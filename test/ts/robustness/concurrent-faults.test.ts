import assert from 'node:assert/strict';
import { runConcurrentFaults } from '../../support/robustness/concurrent-faults.js';
import { runConcurrentSpace } from '../../support/robustness/concurrent-space.js';
import { countInSuite } from '../../support/robustness/suite-count.js';
import { Watchdog } from '../../support/robustness/watchdog.js';

const LONG = process.env['CAIRN_TEST_LONG'] === '1';
const FAULT_SEEDS = LONG ? 20_000 : 250;
const SPACE_SEEDS = LONG ? 5_000 : 50;

// Fault model F5 to F8, with calls of many writers under way, and two faults in one run.
describe('writers beside each other on a device that fails or is full', function () {
  this.timeout(LONG ? 3_600_000 : 180_000);
  let watchdog: Watchdog;
  before(() => {
    watchdog = new Watchdog(15_000);
  });
  after(() => watchdog.stop());
  const count = countInSuite('concurrent writers');

  const tryAll = async (what: string, seeds: number, run: (seed: number) => Promise<number>) => {
    const wrong: string[] = [];
    let failed = 0;
    for (let seed = 1; seed <= seeds; seed++) {
      watchdog.step(`${what}, seed ${seed}`);
      try {
        failed += await run(seed);
      } catch (error) {
        const { message, cause } = error as Error;
        wrong.push(`${message}: ${String(cause)}`);
      }
    }
    count({ seeds, 'calls that failed': failed });
    assert.equal(wrong.length, 0, `${wrong.length} wrong: ${wrong.slice(0, 6).join('; ')}`);
    assert.ok(failed > seeds);
  };

  it(`all hear of it, and nothing acknowledged is lost: ${FAULT_SEEDS} seeds`, () =>
    tryAll('concurrent faults', FAULT_SEEDS, runConcurrentFaults));

  it(`are refused only while it is full, and may delete then: ${SPACE_SEEDS} seeds`, () =>
    tryAll('concurrent space', SPACE_SEEDS, runConcurrentSpace));
});
