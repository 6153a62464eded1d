import type { SimDisk } from '../../../ts/bindings/addon.js';
import type { Store } from '../../../ts/engine/api.js';
import { pick, randomOf, type Random } from '../loop/load.js';
import { allocatedBytes, newSimDisk } from '../sim-disk.js';
import { STORES } from './concurrent-faults.js';
import { checkEnds, Expectations, FaultyRun, settled } from './faults.js';
import { INLINE_BYTES, openSmall, smallConfig } from './small-stores.js';

const WRITERS = 8;
const KEYS = 12;
const REFUSALS = 3;
const STEPS_MAX = 100;

/** Writes to keys of its own until it was refused some times. */
async function fill(
  run: FaultyRun,
  writer: number,
  random: Random,
  bytesMax: number,
): Promise<void> {
  const key = (): string =>
    `${writer}-${Math.floor(random() * KEYS)}-${Math.floor(random() * 100)}`;
  for (let step = 0, left = REFUSALS; step < STEPS_MAX && left > 0; step++) {
    const what = random();
    const bytes = Math.floor(random() * bytesMax);
    let call: Promise<boolean>;
    if (what < 0.75) call = run.put(key(), bytes);
    else if (what < 0.85) call = run.delete(key());
    else if (what < 0.97) call = run.batch([key(), key()], bytes);
    else call = run.checkpoint();
    if (!(await call)) left--;
  }
}

/**
 * Several writers on a device that is full, twice, with deletes between; then it has space again.
 * Deletes are never refused, nor a put once there is space; what was acknowledged is there.
 *
 * @returns how many calls were refused. @throws Error that names the store.
 */
export async function runConcurrentSpace(seed: number): Promise<number> {
  const random = randomOf(seed);
  const [valueType, more] = pick(random, STORES);
  const disk = newSimDisk({ record: true, reorder: true, seed });
  const config = smallConfig(valueType, more);
  const open = (on: SimDisk): Promise<Store> => settled('open', openSmall(on, config));
  const bytesMax = pick(random, [400, 1900, 3 * INLINE_BYTES]);
  try {
    const store = await open(disk);
    const run = new FaultyRun(store, ['CAIRN_NO_SPACE'], new Expectations());
    const writers = Array.from({ length: WRITERS }, (_, writer) => writer);
    for (const writer of writers) await run.put(`${writer}-0`, 300);
    await run.checkpoint();
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    disk.setCapacity(allocatedBytes(disk) + Math.floor(random() * 1.5 * 2 ** 20));
    for (let round = 0; round < 2; round++) {
      await Promise.all(writers.map((writer) => fill(run, writer, random, bytesMax)));
      run.expected.check(store, `full, round ${round}`);
      // What makes room is taken.
      for (const writer of writers) {
        if (!(await run.delete(`${writer}-0`)))
          throw new Error('a delete was refused', { cause: run.failures.at(-1) });
      }
    }
    const refused = run.failures.length;
    disk.setCapacity(0);
    const again = async (writer: number): Promise<void> => {
      for (let at = 0; at < 4; at++) {
        if (!(await run.put(`${writer}-again-${at}`, Math.floor(random() * bytesMax)))) {
          throw new Error('a put was refused although there is space', {
            cause: run.failures.at(-1),
          });
        }
      }
    };
    await Promise.all(writers.map(again));
    run.expected.check(store, 'with space');
    await checkEnds({ store, run, disk, open }, ['all', 'none', 'random'], seed);
    return refused;
  } catch (cause) {
    throw new Error(`seed ${seed}: ${valueType} ${JSON.stringify(more)}, ${bytesMax}`, { cause });
  } finally {
    disk.release();
  }
}
