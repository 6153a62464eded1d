import assert from 'node:assert/strict';
import type { SimFault } from '../../../ts/bindings/addon.js';
import type { ErrorCode } from '../../../ts/common/errors.js';
import { Watchdog } from '../../support/robustness/watchdog.js';
import { STORES } from '../../support/robustness/concurrent-faults.js';
import { WORKLOADS } from '../../support/robustness/fault-workloads.js';
import { countInSuite } from '../../support/robustness/suite-count.js';
import { runFaulty, type FaultCase, type FaultWorkload } from '../../support/robustness/faults.js';

const LONG = process.env['CAIRN_TEST_LONG'] === '1';
const NTH_MAX = 400;
const NAMES = Object.keys(WORKLOADS);
/** Of the ordinary run, on the store that people get by default and on the others. */
const NAMES_DEFAULT = NAMES.slice(0, 5);
const NAMES_OTHER = NAMES.slice(1, 2);
/** Splits pages of the index. */
const NAMES_PAGES = NAMES.slice(3, 4);

interface FaultKind {
  readonly name: string;
  readonly fault: Omit<SimFault, 'nth' | 'sticky'>;
  readonly codes: readonly ErrorCode[];
}

const IO: readonly ErrorCode[] = ['CAIRN_IO'];
const SPACE: readonly ErrorCode[] = ['CAIRN_IO', 'CAIRN_NO_SPACE'];

const KINDS: readonly FaultKind[] = [
  { name: 'write fails (EIO)', fault: { operation: 'write' }, codes: IO },
  { name: 'write is torn', fault: { operation: 'write', effect: 'torn' }, codes: IO },
  { name: 'write finds no space', fault: { operation: 'write', errno: 'ENOSPC' }, codes: SPACE },
  { name: 'sync fails', fault: { operation: 'sync' }, codes: IO },
  { name: 'sync finds no space', fault: { operation: 'sync', errno: 'ENOSPC' }, codes: SPACE },
  { name: 'sync of the directory fails', fault: { operation: 'syncDirectory' }, codes: IO },
  { name: 'reservation fails', fault: { operation: 'grow' }, codes: IO },
  {
    name: 'reservation finds no space',
    fault: { operation: 'grow', errno: 'ENOSPC' },
    codes: SPACE,
  },
  { name: 'read fails', fault: { operation: 'read' }, codes: IO },
  {
    name: 'read is of another place',
    fault: { operation: 'read', effect: 'misplaced' },
    codes: ['CAIRN_CORRUPTION'],
  },
  { name: 'open fails', fault: { operation: 'open', errno: 'EMFILE' }, codes: IO },
  // Checkpoints and the space kept for the next one change names; hardly a file is ever removed.
  { name: 'renaming fails', fault: { operation: 'rename' }, codes: IO },
];

/** Reads and opens of existing files leave no trace, so that their count has to be guessed. */
function traced(kind: FaultKind): boolean {
  return kind.fault.operation !== 'read' && kind.fault.operation !== 'open';
}

// Fault model F5 to F8: what the device refuses once or from then on, at any moment.
describe('a store whose device fails', function () {
  this.timeout(LONG ? 3_600_000 : 180_000);
  let watchdog: Watchdog;
  before(() => {
    watchdog = new Watchdog(15_000);
  });
  after(() => watchdog.stop());
  const count = countInSuite('faults of a simulated device');

  for (const [at, [valueType, document]] of STORES.entries()) {
    const store = `${valueType} ${JSON.stringify(document)}`;
    for (const kind of KINDS) {
      it(`keeps what it acknowledged when the n-th ${kind.name}: ${store}`, async () => {
        const wrong: string[] = [];
        let fired = 0;
        const tryAll = async (name: string, stage: FaultCase['stage'], sticky: boolean) => {
          const workload = WORKLOADS[name] as FaultWorkload;
          for (let nth = 1; nth < NTH_MAX; nth++) {
            const fault: SimFault = { ...kind.fault, nth, sticky };
            const label = `${name}, ${stage}, ${nth}${sticky ? ' and later' : ''}`;
            watchdog.step(`${store}, ${kind.name}: ${label}`);
            try {
              const run = { valueType, document, fault, codes: kind.codes, workload, stage };
              if (await runFaulty(run)) fired++;
              else if (traced(kind) || nth > 12) return;
            } catch (error) {
              fired++;
              wrong.push(`${label}: ${String(error)}`);
            }
          }
        };
        // A store in memory takes several times as long to open.
        const some = document.index === undefined ? NAMES_OTHER : NAMES_PAGES;
        const names = LONG ? NAMES : at === 0 ? NAMES_DEFAULT : some;
        for (const sticky of [false, true]) {
          for (const name of names) await tryAll(name, 'open', sticky);
          await tryAll('small values', 'making', sticky);
          await tryAll('small values', 'reopening', sticky);
        }
        const { length } = wrong;
        count({ 'runs in which one fired': fired });
        assert.equal(length, 0, `${length} of ${fired} wrong: ${wrong.slice(0, 6).join('; ')}`);
        // Only values on the device reserve space.
        assert.ok(fired > 0 || kind.fault.operation === 'grow');
      });
    }
  }
});
