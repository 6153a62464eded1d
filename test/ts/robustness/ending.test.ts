import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const CHILD = fileURLToPath(new URL('../../support/threads/ending-child.mjs', import.meta.url));

/** What a worker was making when it ended, and at least how often that looks at JavaScript. */
const CALLS: Readonly<Record<string, number>> = {
  exports: 20,
  'slab file': 15,
  'buddy file': 10,
  'memory slots': 6,
  'log writer': 9,
  'manifest root': 15,
  directory: 7,
};

// Fault model F1: worker.terminate() and process.exit() end a thread between any two steps of a
// call into the addon. Node-API answers nothing from then on, and must not be taken at its word.
describe('a worker that ends in the middle of a native call', function () {
  this.timeout(120_000);
  let directory = '';

  // A pool of values lies in memory.
  before(async () => (directory = await mkdtemp('/dev/shm/cairn-ending-')));
  after(() => rm(directory, { recursive: true }));

  for (const [what, stepsMin] of Object.entries(CALLS)) {
    it(`does not end the process: ${what}`, async () => {
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [CHILD, what, `${directory}/${what.replace(' ', '-')}`],
        { timeout: 110_000 },
      );
      const steps = Number(/^steps (\d+)$/m.exec(stdout)?.[1]);
      assert.ok(steps >= stepsMin, `${stdout}: fewer steps than the call has, so it was not made`);
    });
  }
});
