import { join } from 'node:path';
import { killCycle, newHistory } from '../../support/kill/cycle.js';
import { withDirectory } from '../../support/stores.js';

const CYCLES = 8; // per backend and level: 32 in all

// Fault model F1: a process dies anywhere; acknowledged writes at `process` and above stay.
describe('a process killed under load', function () {
  this.timeout(120_000);
  for (const io of ['IOURING', 'POSIX'] as const) {
    for (const level of ['sync', 'process'] as const) {
      it(`loses no acknowledged write: ${io}, ${level}, ${CYCLES} kills`, () =>
        withDirectory(async (directory) => {
          const history = newHistory();
          for (let cycle = 0; cycle < CYCLES; cycle++) {
            const killAfterMs = (cycle * 37) % 120;
            await killCycle(history, { path: join(directory, 'store'), io, level, killAfterMs });
          }
        }));
    }
  }
});
