import assert from 'node:assert/strict';
import { runConcurrentFaults } from '../../support/robustness/concurrent-faults.js';
import { Watchdog } from '../../support/robustness/watchdog.js';

const LONG = process.env['CAIRN_TEST_LONG'] === '1';
const SEEDS = LONG ? 20_000 : 400;

// Fault model F5 to F8, with calls of many writers under way and two faults in one run.
describe('writers beside each other on a device that fails', function () {
  this.timeout(LONG ? 3_600_000 : 180_000);
  let watchdog: Watchdog;
  before(() => {
    watchdog = new Watchdog(15_000);
  });
  after(() => watchdog.stop());

  it(`all hear of it, and nothing acknowledged is lost: ${SEEDS} seeds`, async () => {
    const wrong: string[] = [];
    let failed = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      watchdog.step(`concurrent faults, seed ${seed}`);
      try {
        failed += await runConcurrentFaults(seed);
      } catch (error) {
        const { message, cause } = error as Error;
        wrong.push(`${message}: ${String(cause)}`);
      }
    }
    assert.equal(wrong.length, 0, `${wrong.length} wrong: ${wrong.slice(0, 6).join('; ')}`);
    assert.ok(failed > SEEDS);
  });
});
