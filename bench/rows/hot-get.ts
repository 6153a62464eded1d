import { closeEngines, type BenchContext } from '../context.js';
import type { KeyKind } from '../adapters/adapter.js';
import type { EngineProcess } from '../engine-process.js';
import { interleave, type Contender } from '../measure.js';
import { compareWithPeers } from './compare.js';
import type { RowResult } from './result.js';

const GROUP = 'hot-get';
const ENTRIES = 1_000_000;
const VALUE_BYTES = 100;
const GOAL = { kind: 'ratio', atLeast: 4 } as const;

const KEY_NAMES: Readonly<Record<KeyKind, string>> = {
  u64: 'u64 keys (lmdb: uint32, its fastest; classic-level: 8 bytes)',
  text: '16-byte string keys',
};

async function prepare(engine: EngineProcess): Promise<void> {
  await engine.sample({ stage: 'load', form: 'pairs', order: 'sorted' });
  await engine.run({ stage: 'settle', loaded: true });
  await engine.sample({ stage: 'check', count: 500 });
  // Compiled code and a resident working set before the first turn.
  await engine.sample({ stage: 'read-sync', milliseconds: 300 });
}

async function measure(context: BenchContext, keys: KeyKind): Promise<RowResult[]> {
  context.say(`hot get: loading ${ENTRIES} entries into three engines, ${keys} keys`);
  const engines = await context.openEngines(['cairn', ...context.peers], {
    keys,
    values: 'memory',
    valueBytes: VALUE_BYTES,
    entries: ENTRIES,
    durability: 'end',
  });
  try {
    // Loading is not what is measured here: all at once.
    await Promise.all([...engines.values()].map(prepare));
    context.say('hot get: reading');
    const contenders: Contender[] = [...engines].map(([name, engine]) => ({
      name,
      run: () => engine.sample({ stage: 'read-sync', milliseconds: context.sliceMilliseconds }),
    }));
    const measured = await interleave({ contenders, rounds: context.rounds });
    return compareWithPeers(measured, context.peers, {
      group: GROUP,
      name: `get of ${VALUE_BYTES} B from memory, ${keys === 'u64' ? 'u64' : '16 B string'} key`,
      configuration:
        `getSync, one key a call, ${ENTRIES} entries in random order, result copied out; ` +
        `DRAM_VALUE_STORE; lmdb get, classic-level getSync with a 256 MiB cache; ` +
        `${KEY_NAMES[keys]}; ${context.sliceMilliseconds} ms a turn after 300 ms of warm-up`,
      unit: 'gets/s',
      subject: 'cairn',
      goal: GOAL,
    });
  } finally {
    await closeEngines(engines);
  }
}

/** Single synchronous gets that never leave memory. */
export async function hotGet(context: BenchContext): Promise<RowResult[]> {
  const text = await measure(context, 'text');
  // Loading peers takes most of the time; quick mode has the keys that stores have by default.
  return context.quick ? text : [...text, ...(await measure(context, 'u64'))];
}
