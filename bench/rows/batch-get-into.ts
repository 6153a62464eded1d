import { closeEngines, type BenchContext } from '../context.js';
import type { EngineProcess } from '../engine-process.js';
import { interleave, type Contender } from '../measure.js';
import { identities } from '../random.js';
import { gatherIdentities } from '../stages.js';
import { GATHER_FLAGS, NativeGather } from '../yardsticks/native-gather.js';
import { compare, compareWithPeers } from './compare.js';
import { skippedRow, type RowResult } from './result.js';

const GROUP = 'batch-get-into';
const ROW_BYTES = 512;
const ENTRIES = 500_000;
const BATCHES = [256, 1024] as const;
type Distribution = 'uniform' | 'zipfian';

const asKeys = (all: Uint32Array): BigUint64Array =>
  BigUint64Array.from(all, (identity) => BigInt(identity));

async function startNative(
  context: BenchContext,
  distribution: Distribution,
  entries: number,
): Promise<NativeGather | string> {
  const all = identities(entries);
  const picked = gatherIdentities(all, distribution);
  try {
    const directory = await context.place('gather');
    return await NativeGather.start(directory, asKeys(all), asKeys(picked), ROW_BYTES);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function measureBatch(
  context: BenchContext,
  engines: ReadonlyMap<string, EngineProcess>,
  native: NativeGather | null,
  batch: number,
  distribution: Distribution,
): Promise<RowResult[]> {
  const milliseconds = context.sliceMilliseconds;
  const contenders: Contender[] = [...engines].map(([name, engine]) => ({
    name,
    run: () => engine.sample({ stage: 'gather', milliseconds, batch, rowBytes: ROW_BYTES }),
  }));
  const yardstick =
    native === null
      ? null
      : { name: 'native gather', run: () => native.measure(batch, milliseconds) };
  const measured = await interleave({
    ...(yardstick === null ? {} : { yardstick }),
    contenders,
    rounds: context.rounds,
    warmups: 1,
  });
  const base = {
    group: GROUP,
    name: `batchGetInto of ${batch} rows of ${ROW_BYTES} B, ${distribution}`,
    configuration:
      `DRAM_VALUE_STORE, u64 keys, ${ENTRIES} rows, ${distribution} keys, one batch under way; ` +
      'lmdb getBinaryFast and a copy a row, classic-level getMany and a copy a row',
    unit: 'rows/s',
    subject: 'cairn',
  };
  const rows = compareWithPeers(measured, context.peers, {
    ...base,
    goal: { kind: 'ratio', atLeast: 10 },
  });
  if (yardstick === null) return rows;
  const nativeRow = compare(measured, {
    ...base,
    configuration: `${base.configuration}; native: g++ ${GATHER_FLAGS.join(' ')}, huge pages advised`,
    yardstick: yardstick.name,
    bracketed: true,
    goal: { kind: 'ratio', atLeast: 0.7 },
  });
  return [nativeRow, ...rows];
}

/** Gathering fixed rows from memory into one buffer. */
export async function batchGetInto(context: BenchContext): Promise<RowResult[]> {
  context.say(`batchGetInto: loading ${ENTRIES} rows into three engines`);
  const engines = await context.openEngines(['cairn', ...context.peers], {
    keys: 'u64',
    values: 'memory',
    valueBytes: ROW_BYTES,
    entries: ENTRIES,
    durability: 'end',
  });
  const rows: RowResult[] = [];
  try {
    await Promise.all(
      [...engines].map(async ([name, engine]) => {
        const form = name === 'cairn' ? 'rows' : 'batches';
        await engine.sample({ stage: 'load', form, order: 'sorted' });
        await engine.run({ stage: 'settle', loaded: true });
        await engine.sample({ stage: 'check', count: 200 });
      }),
    );
    const distributions: Distribution[] = context.quick ? ['uniform'] : ['uniform', 'zipfian'];
    for (const distribution of distributions) {
      context.say(`batchGetInto: ${distribution} keys`);
      const native = await startNative(context, distribution, ENTRIES);
      const running = typeof native === 'string' ? null : native;
      try {
        if (typeof native === 'string') {
          rows.push(skippedRow(GROUP, 'batchGetInto', 'rows/s', 'native gather', null, native));
        }
        for (const engine of engines.values()) {
          await engine.run({ stage: 'prepare-gather', distribution });
        }
        for (const batch of BATCHES) {
          rows.push(...(await measureBatch(context, engines, running, batch, distribution)));
        }
      } finally {
        running?.stop();
      }
    }
  } finally {
    await closeEngines(engines);
  }
  return rows;
}

/** What RecStore's C++ does in one thread is 8.46 M rows/s: a thousand rows a call out of a million. */
export async function gatherThousand(context: BenchContext): Promise<RowResult[]> {
  const entries = 1_000_000;
  const batch = 1000;
  const milliseconds = context.sliceMilliseconds;
  context.say(`batchGetInto: loading ${entries} rows`);
  const engines = await context.openEngines(['cairn'], {
    keys: 'u64',
    values: 'memory',
    valueBytes: ROW_BYTES,
    entries,
    durability: 'end',
  });
  const native = await startNative(context, 'uniform', entries);
  try {
    const engine = engines.get('cairn');
    if (engine === undefined) throw new Error('cairn did not open');
    if (typeof native === 'string') throw new Error(native);
    await engine.sample({ stage: 'load', form: 'rows', order: 'sorted' });
    await engine.run({ stage: 'prepare-gather', distribution: 'uniform' });
    const measured = await interleave({
      yardstick: { name: 'native gather', run: () => native.measure(batch, milliseconds) },
      contenders: [
        {
          name: 'cairn',
          run: () => engine.sample({ stage: 'gather', milliseconds, batch, rowBytes: ROW_BYTES }),
        },
      ],
      rounds: context.rounds,
      warmups: 1,
    });
    return [
      compare(measured, {
        group: 'gather-1000',
        name: `batchGetInto of ${batch} rows of ${ROW_BYTES} B out of ${entries}`,
        configuration: 'DRAM_PET_HASH, DRAM_VALUE_STORE, uniform u64 keys, one batch under way',
        unit: 'rows/s',
        subject: 'cairn',
        yardstick: 'native gather',
        bracketed: true,
        goal: { kind: 'ratio', atLeast: 0.7 },
        notes: ["RecStore's own C++: 8.46 M rows/s on another machine"],
      }),
    ];
  } finally {
    if (typeof native !== 'string') native.stop();
    await closeEngines(engines);
  }
}
