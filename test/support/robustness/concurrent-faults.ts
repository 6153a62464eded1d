import type { SimDisk, SimFault } from '../../../ts/bindings/addon.js';
import type { ErrorCode } from '../../../ts/common/errors.js';
import type { StoreConfig } from '../../../ts/config/types.js';
import type { Store } from '../../../ts/engine/api.js';
import { pick, randomOf, type Random } from '../loop/load.js';
import { newSimDisk } from '../sim-disk.js';
import { seededStep } from './fault-workloads.js';
import { checkEnds, Expectations, FaultyRun, settled } from './faults.js';
import { openSmall, smallConfig, type ValueType } from './small-stores.js';

const WRITERS = 8;
const KEYS = 5;
const STEPS = 8;
const NTH_MAX = 60;
const CODES: readonly ErrorCode[] = ['CAIRN_IO', 'CAIRN_NO_SPACE'];
/** Every kind of values file, allocator and index that goes its own ways when a device refuses. */
export const STORES: readonly (readonly [ValueType, StoreConfig])[] = [
  ['SSD_VALUE_STORE', {}],
  ['SSD_VALUE_STORE', { value: { ssd_allocator: { type: 'SSD_BUDDY' } } }],
  ['SSD_VALUE_STORE', { index: { type: 'SSD_EXTENDIBLE_HASH' } }],
  ['DRAM_VALUE_STORE', {}],
  ['DRAM_VALUE_STORE', { index: { type: 'SSD_EXTENDIBLE_HASH' } }],
  ['TIERED_VALUE_STORE', {}],
];
const OPERATIONS = [
  ...(['write', 'write', 'write', 'sync', 'sync', 'sync'] as const),
  ...(['read', 'grow', 'punch', 'rename', 'remove', 'syncDirectory'] as const),
];

function faultOf(random: Random): SimFault {
  const operation = pick(random, OPERATIONS);
  return {
    operation,
    nth: 1 + Math.floor(random() * NTH_MAX),
    sticky: random() < 0.6,
    errno: pick(random, ['EIO', 'EIO', 'ENOSPC']),
    effect: operation === 'write' && random() < 0.3 ? 'torn' : 'error',
  };
}

/** Writes to keys of its own, one after the other. */
async function write(run: FaultyRun, writer: number, random: Random): Promise<void> {
  const key = (): string => `${writer}-${Math.floor(random() * KEYS)}`;
  const batch = [`${writer}-0`, `${writer}-1`];
  const load = [`${writer}-0`, `${writer}-2`];
  for (let step = 0; step < STEPS; step++) await seededStep(run, random, { key, batch, load });
}

/**
 * Several writers on a store whose disk fails in two ways, at moments that the seed says. Every call
 * has to settle; what was acknowledged has to be there, while the store is open, and after the end of
 * the process, a power cut, and closing it.
 *
 * @returns how many calls failed. @throws Error that names the store and the faults.
 */
export async function runConcurrentFaults(seed: number): Promise<number> {
  const random = randomOf(seed);
  const [valueType, more] = pick(random, STORES);
  const faults = [faultOf(random), faultOf(random)];
  const disk = newSimDisk({ record: true, reorder: true, seed });
  const config = smallConfig(valueType, more);
  const open = (on: SimDisk): Promise<Store> => settled('open', openSmall(on, config));
  try {
    const store = await open(disk);
    const run = new FaultyRun(store, CODES, new Expectations());
    const writers = Array.from({ length: WRITERS }, (_, writer) => writer);
    for (const writer of writers) {
      for (let key = 0; key < KEYS; key++) await run.put(`${writer}-${key}`, 30 + 20 * key);
    }
    await run.checkpoint();
    for (const fault of faults) disk.inject(fault);
    await Promise.all(writers.map((writer) => write(run, writer, random)));
    disk.clearFaults();
    run.expected.check(store, 'open');
    await checkEnds({ store, run, disk, open }, ['all', 'none', 'random'], seed);
    return run.failures.length;
  } catch (cause) {
    throw new Error(
      `seed ${seed}: ${valueType} ${JSON.stringify(more)}, ${JSON.stringify(faults)}`,
      {
        cause,
      },
    );
  } finally {
    disk.release();
  }
}
