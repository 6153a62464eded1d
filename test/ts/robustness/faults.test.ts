import assert from 'node:assert/strict';
import type { SimFault } from '../../../ts/bindings/addon.js';
import type { ErrorCode } from '../../../ts/common/errors.js';
import { Watchdog } from '../../support/robustness/watchdog.js';
import { runFaulty, type FaultCase, type FaultWorkload } from '../../support/robustness/faults.js';

const LONG = process.env['CAIRN_TEST_LONG'] === '1';
const NTH_MAX = 400;
const SSD = 'SSD_VALUE_STORE';
const PLAIN = 'DRAM_PET_HASH';
const STORES = [
  [SSD, PLAIN],
  ['DRAM_VALUE_STORE', PLAIN],
  ['TIERED_VALUE_STORE', PLAIN],
  [SSD, 'SSD_EXTENDIBLE_HASH'],
] as const;

const WORKLOADS: Readonly<Record<string, FaultWorkload>> = {
  'small values': async (run) => {
    for (let at = 0; at < 6; at++) await run.put(`key-${at % 4}`, 40 + at * 50);
    await run.delete('key-1');
    await run.flush();
    await run.get('key-2');
    await run.put('key-1', 900);
  },
  'large values and checkpoints': async (run) => {
    await run.put('large-1', 2500);
    await run.put('small', 100);
    await run.checkpoint();
    await run.get('large-1');
    await run.put('large-1', 5000);
    await run.put('large-2', 2100);
    await run.delete('small');
    await run.checkpoint();
    await run.get('large-1');
    await run.get('large-2');
  },
  'batches and loads': async (run) => {
    await run.batch(['a', 'b', 'c'], 200);
    await run.load(['l1', 'l2', 'l3'], 600);
    await run.batch(['a', 'd'], 2200);
    await run.checkpoint();
    await run.get('a');
    await run.load(['l1', 'b'], 50);
    await run.delete('c');
  },
  'records that move': async (run) => {
    for (let at = 0; at < 16; at++) await run.put(`key-${at}`, 980);
    for (let at = 0; at < 16; at++) if (at % 4 !== 1) await run.delete(`key-${at}`);
    await run.checkpoint();
    await run.put('key-1', 980);
    await run.get('key-5');
    await run.checkpoint();
    await run.get('key-9');
    await run.put('key-13', 50);
  },
  'a log that turns over': async (run) => {
    for (let at = 0; at < 40; at++) await run.put(`key-${at % 5}`, 1500 + at);
    await run.get('key-3');
  },
};

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

  for (const [valueType, indexType] of STORES) {
    for (const kind of KINDS) {
      const store = indexType === PLAIN ? valueType : `${indexType}, ${valueType}`;
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
              const run = { valueType, indexType, fault, codes: kind.codes, workload, stage };
              if (await runFaulty(run)) fired++;
              else if (traced(kind) || nth > 12) return;
            } catch (error) {
              fired++;
              wrong.push(`${label}: ${String(error)}`);
            }
          }
        };
        // A store in memory takes several times as long to open.
        const all = Object.keys(WORKLOADS);
        const some = indexType === PLAIN ? all.slice(1, 2) : all.slice(3, 4);
        const names = LONG || (valueType === SSD && indexType === PLAIN) ? all : some;
        for (const sticky of [false, true]) {
          for (const name of names) await tryAll(name, 'open', sticky);
          await tryAll('small values', 'making', sticky);
          await tryAll('small values', 'reopening', sticky);
        }
        const { length } = wrong;
        assert.equal(length, 0, `${length} of ${fired} wrong: ${wrong.slice(0, 6).join('; ')}`);
        // Only values on the device reserve space.
        assert.ok(fired > 0 || kind.fault.operation === 'grow');
      });
    }
  }
});
