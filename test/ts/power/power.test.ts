import { join } from 'node:path';
import { killCycle, newHistory } from '../../support/kill/cycle.js';
import { FILE_SYSTEMS, whyNoLoopDevice } from '../../support/loop/devices.js';
import { LoopFileSystem } from '../../support/power/loop-file-system.js';

const CYCLES = 3;

// Fault model F2 and F3: the power goes; what was acknowledged at `sync` stays.
describe('a file system whose power is cut under load', function () {
  this.timeout(120_000);
  for (const kind of FILE_SYSTEMS) {
    it(`loses no acknowledged write: ${kind}, ${CYCLES} cuts`, async function () {
      const reason = whyNoLoopDevice(kind);
      // npm run test:power installs what is missing; it needs root and loop devices all the same.
      if (reason !== undefined) return this.skip();
      const power = new LoopFileSystem(kind, '/var/tmp');
      try {
        const history = newHistory();
        for (let cycle = 0; cycle < CYCLES; cycle++) {
          const io = cycle % 2 === 0 ? 'IOURING' : 'POSIX';
          const path = join(power.path, 'store');
          await killCycle(history, { path, io, level: 'sync', killAfterMs: 40 * cycle, power });
        }
      } finally {
        power.remove();
      }
    });
  }
});
