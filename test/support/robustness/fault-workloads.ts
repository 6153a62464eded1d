import { pick, randomOf, type Random } from '../loop/load.js';
import type { FaultWorkload, FaultyRun } from './faults.js';
import { INLINE_BYTES } from './small-stores.js';

const SEEDED = 15;
const SEEDED_STEPS = 24;
const SEEDED_KEYS = 6;

const HAND_MADE: Readonly<Record<string, FaultWorkload>> = {
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

export interface WrittenKeys {
  readonly key: () => string;
  /** Of a batch, and of a load. */
  readonly batch: readonly string[];
  readonly load: readonly string[];
}

/** One seeded call of any kind, with a value of a seeded size. */
export async function seededStep(run: FaultyRun, random: Random, keys: WrittenKeys): Promise<void> {
  const { key, batch, load } = keys;
  const what = random();
  const bytes = Math.floor(random() * (random() < 0.3 ? 2 * INLINE_BYTES : 400));
  if (what < 0.38) await run.put(key(), bytes);
  else if (what < 0.42) await run.putSync(key(), bytes);
  else if (what < 0.66) await run.delete(key());
  else if (what < 0.7) await run.deleteSync(key());
  else if (what < 0.82) await run.batch(batch, bytes);
  else if (what < 0.88) await run.load(load, bytes);
  else if (what < 0.92) await run.get(key());
  else if (what < 0.96) await run.checkpoint();
  else await run.flush();
}

/** Of a few keys, so that most calls overwrite or delete. */
function seeded(seed: number): FaultWorkload {
  return async (run) => {
    const random = randomOf(seed);
    const names = Array.from({ length: SEEDED_KEYS }, (_, at) => `key-${at}`);
    const key = (): string => pick(random, names);
    for (const name of names) await run.put(name, 100 + 40 * name.length);
    for (let step = 0; step < SEEDED_STEPS; step++) {
      await seededStep(run, random, { key, batch: [key(), 'key-b'], load: [key(), 'key-l'] });
    }
  };
}

/** Twenty, by name. */
export const WORKLOADS: Readonly<Record<string, FaultWorkload>> = {
  ...HAND_MADE,
  ...Object.fromEntries(
    Array.from({ length: SEEDED }, (_, seed) => [`seed ${seed}`, seeded(seed)]),
  ),
};
