/**
 * `npm run test:loop -- --cycles 20 --seed 1 --fs xfs --only thin`: stores on file systems in files,
 * which run full (full.ts), and on devices that have less than they say (thin.ts). Cycle n of a run
 * is the cycle of `--seed <seed + n> --cycles 1`. For root.
 */
import { readCount, readOptions } from '../options.js';
import { fileSystemsOf, removeAllAtEnd } from './devices.js';
import { fullCycle } from './full.js';
import { thinCycle } from './thin.js';

const USAGE = `npm run test:loop -- [options]
  --cycles N      of each kind on each file system; 20 when not given
  --seed S        of the first cycle; 1 when not given
  --fs NAME       ext4 or xfs; both when not given
  --only KIND     full or thin; both when not given
`;
const values = readOptions(USAGE, {
  cycles: { type: 'string', default: '20' },
  seed: { type: 'string', default: '1' },
  fs: { type: 'string' },
  only: { type: 'string' },
});
const cycles = readCount('cycles', values.cycles, 1);
const firstSeed = readCount('seed', values.seed);
const KINDS = { full: fullCycle, thin: thinCycle } as const;
const names = Object.keys(KINDS).filter(
  (name) => values.only === undefined || values.only === name,
);
const systems = fileSystemsOf(values.fs);
if (names.length === 0) throw new RangeError(`--only is one of ${Object.keys(KINDS).join(', ')}`);

removeAllAtEnd();
let passed = 0;
let failed = 0;
for (const name of names as (keyof typeof KINDS)[]) {
  for (const kind of systems) {
    const failedBefore = failed;
    const total = { acknowledged: 0, refusals: 0, ended: 0 };
    for (let cycle = 0; cycle < cycles; cycle++) {
      const seed = firstSeed + cycle;
      try {
        const report = await KINDS[name](kind, seed);
        total.acknowledged += report.acknowledged;
        total.refusals += report.refusals;
        if ('ended' in report && report.ended) total.ended++;
        passed++;
      } catch (error) {
        failed++;
        console.error(`FAILED: --only ${name} --fs ${kind} --seed ${seed} --cycles 1`, error);
      }
      console.error(`${name}, ${kind}: ${cycle + 1} of ${cycles}`);
    }
    const ended = name === 'thin' ? `, ${total.ended} stores that ended writing` : '';
    console.error(
      `${name}, ${kind}: ${total.acknowledged} acknowledged writes, ` +
        `${failed === failedBefore ? 'none lost' : `${failed - failedBefore} cycles failed`}, ` +
        `${total.refusals} refused${ended}`,
    );
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
