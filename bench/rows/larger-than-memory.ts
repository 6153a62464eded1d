import { closeEngines, type BenchContext } from '../context.js';
import { EngineProcess } from '../engine-process.js';
import { interleave, type Contender } from '../measure.js';
import { MemoryLimit } from '../memory-limit.js';
import { compareWithPeers } from './compare.js';
import { skippedRow, type RowResult } from './result.js';

const GROUP = 'larger-than-memory';
const ENTRIES = 512 * 1024;
const VALUE_BYTES = 4064;
const LIMIT_BYTES = 512 * 1024 * 1024;
const DEPTH = 32;
const NAME = `random 4 KiB get, ${DEPTH} in flight, four times larger than memory`;
const GOAL = { kind: 'ratio', atLeast: 2.5 } as const;
const OPTIONS = {
  keys: 'u64',
  values: 'device',
  valueBytes: VALUE_BYTES,
  entries: ENTRIES,
  durability: 'end',
} as const;
const NO_SAMPLE = { value: Number.NaN };

const skipped = (reason: string): RowResult[] => [
  skippedRow(GROUP, NAME, 'gets/s', 'fastest peer', GOAL, reason),
];

/** cairn and the peers, each with a data set of 2 GiB in a control group of 512 MiB. */
export async function largerThanMemory(context: BenchContext): Promise<RowResult[]> {
  if (context.quick) return skipped('peers in larger-than-memory rows are not run in quick mode');
  const limits: MemoryLimit[] = [];
  const engines = new Map<string, EngineProcess>();
  try {
    for (const name of ['cairn', ...context.peers]) {
      const limit = MemoryLimit.create(name, LIMIT_BYTES);
      if (limit === null) return skipped('this user may not make a control group with a limit');
      limits.push(limit);
      context.say(`larger than memory: loading ${name}`);
      const options = { ...OPTIONS, directory: await context.newPath(name) };
      const start = async (): Promise<EngineProcess> => {
        const engine = new EngineProcess(name);
        engines.set(name, engine);
        limit.add(engine.pid);
        await engine.run({ stage: 'open', engine: name, options });
        return engine;
      };
      const loader = await start();
      await loader.sample({ stage: 'load', form: 'batches', order: 'sorted' });
      // A compaction of 2 GiB in this little memory would take minutes; loading in key order needs none.
      await loader.run({ stage: 'settle', loaded: false });
      await loader.close();
      // Reading begins in a process in whose memory loading left nothing.
      await (await start()).sample({ stage: 'check', count: 50 });
    }
    context.say('larger than memory: reading');
    const failed = new Map<string, string>();
    const contenders: Contender[] = [...engines].map(([name, engine]) => ({
      name,
      run: async (round) => {
        if (failed.has(name)) return NO_SAMPLE;
        const milliseconds = round < 0 ? 500 : context.sliceMilliseconds;
        try {
          return await engine.sample({ stage: 'read', milliseconds, depth: DEPTH });
        } catch (error) {
          // A peer may run out of the little memory there is.
          if (name === 'cairn' || !(error instanceof Error)) throw error;
          failed.set(name, error.message);
          return NO_SAMPLE;
        }
      },
    }));
    const measured = await interleave({ contenders, rounds: context.rounds, warmups: 1 });
    const peers = context.peers.filter((name) => !failed.has(name));
    const rows = compareWithPeers(measured, peers, {
      group: GROUP,
      name: NAME,
      configuration:
        `${ENTRIES} entries of ${VALUE_BYTES} B (2 GiB), u64 keys, each engine in a control group ` +
        'of 512 MiB with the page cache in it; get() (lmdb: get, because its getAsync runs out of ' +
        'this memory, and noReadAhead); ' +
        `${context.sliceMilliseconds} ms a turn after 500 ms of warm-up`,
      unit: 'gets/s',
      subject: 'cairn',
      goal: GOAL,
    });
    const lost = [...failed].map(([name, why]) =>
      skippedRow(GROUP, NAME, 'gets/s', name, null, `${why}; it had 512 MiB, as the others`),
    );
    return [...rows, ...lost];
  } finally {
    await closeEngines(engines);
    for (const limit of limits) limit.remove();
  }
}
