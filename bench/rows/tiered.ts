import { closeEngines, type BenchContext } from '../context.js';
import { EngineProcess } from '../engine-process.js';
import { interleave, type Sample } from '../measure.js';
import { Random, Zipfian } from '../random.js';
import { bounded, medianExtra } from './compare.js';
import type { RowResult } from './result.js';

const GROUP = 'tiered';
const VALUE_BYTES = 1000;
const RECORD_BYTES = VALUE_BYTES + 8 + 24;
const QUICK_ENTRIES = 200_000;
const FULL_ENTRIES = 1_000_000;
/** Of the data, in memory. */
const SHARE = 0.1;
const DEPTH = 32;
/** Gets before anything is measured, as a multiple of the entries. */
const WARM_UP = 6;
const WARM_UP_SLICE_MS = 1000;
const POINTS_MAX = 3;
const P99_TIMES_MAX = 1.5;

/** How often zipfian gets are of the tenth of the entries that is asked for most. */
function bestHitRate(entries: number): number {
  const random = new Random(17);
  const zipfian = new Zipfian(entries);
  const draws = 2_000_000;
  let hits = 0;
  for (let i = 0; i < draws; i += 1) if (zipfian.next(random) < entries * SHARE) hits += 1;
  return hits / draws;
}

async function warmUp(engine: EngineProcess, entries: number): Promise<void> {
  const read = { stage: 'read', milliseconds: WARM_UP_SLICE_MS, depth: DEPTH, hottest: 0 } as const;
  for (let gets = 0; gets < WARM_UP * entries;) {
    gets += (await engine.sample(read)).extra?.['operations'] ?? Number.POSITIVE_INFINITY;
  }
}

/** Gets of a store with memory for a tenth of its values, beside one with none. */
export async function tiered(context: BenchContext): Promise<RowResult[]> {
  const entries = context.quick ? QUICK_ENTRIES : FULL_ENTRIES;
  const capacityBytes = Math.floor(entries * RECORD_BYTES * SHARE);
  const dramAllocator = { capacity_bytes: capacityBytes };
  const engines = new Map<string, EngineProcess>();
  try {
    context.say(`tiered: loading ${entries} entries, twice`);
    for (const [name, value] of [
      ['tiered', { type: 'TIERED_VALUE_STORE', dram_allocator: dramAllocator }],
      ['device', { type: 'SSD_VALUE_STORE' }],
    ] as const) {
      engines.set(name, await load(context, entries, value));
    }
    const [tier, device] = [...engines.values()];
    if (tier === undefined || device === undefined) throw new Error('cairn did not open');
    context.say('tiered: warming up');
    await warmUp(tier, entries);
    const base = {
      group: GROUP,
      configuration:
        `TIERED_VALUE_STORE, ${entries} values of ${VALUE_BYTES} B, u64 keys, ` +
        `${capacityBytes} B of memory (a tenth of the records) for copies and what finds them, ` +
        `a cache of 1 MiB; zipfian 0.99 gets, ${WARM_UP} for each entry as warm-up`,
    };
    return [
      await hitRateRow(context, base, tier, entries),
      await latencyRow(context, base, { tier, device }, entries),
    ];
  } finally {
    await closeEngines(engines);
  }
}

async function load(
  context: BenchContext,
  entries: number,
  value: Readonly<Record<string, unknown>>,
): Promise<EngineProcess> {
  const engine = await EngineProcess.open('cairn', {
    directory: await context.newPath('cairn'),
    keys: 'u64',
    values: 'device',
    valueBytes: VALUE_BYTES,
    entries,
    durability: 'end',
    document: { value, cache: { capacity_bytes: 1024 * 1024 } },
  });
  await engine.sample({ stage: 'load', form: 'rows', order: 'random' });
  await engine.run({ stage: 'settle', loaded: true });
  await engine.sample({ stage: 'check', count: 100 });
  return engine;
}

interface Base {
  readonly group: string;
  readonly configuration: string;
}

function read(
  context: BenchContext,
  engine: EngineProcess,
  depth: number,
  hottest: number,
): Promise<Sample> {
  const milliseconds = context.sliceMilliseconds;
  return engine.sample({ stage: 'read', milliseconds, depth, hottest });
}

async function hitRateRow(
  context: BenchContext,
  base: Base,
  tier: EngineProcess,
  entries: number,
): Promise<RowResult> {
  const measured = await interleave({
    contenders: [{ name: 'tier', run: () => read(context, tier, DEPTH, 0) }],
    rounds: context.rounds,
  });
  const best = bestHitRate(entries);
  const hitRates = (measured.samples.get('tier') ?? []).map(
    ({ extra }) => (extra?.['tierHits'] ?? Number.NaN) / (extra?.['operations'] ?? Number.NaN),
  );
  return bounded(
    {
      ...base,
      name: 'hit rate below that of the best fixed placement',
      unit: 'points',
      goal: { kind: 'bound', atMost: POINTS_MAX },
      notes: [
        `the tenth of the entries that is asked for most gets ${(best * 100).toFixed(2)} % of the ` +
          `gets; copies answered ${hitRates.map((rate) => (rate * 100).toFixed(2)).join(', ')} %`,
      ],
    },
    hitRates.map((rate) => (best - rate) * 100),
  );
}

/**
 * One get at a time, of entries that were cold until this turn: copies are made and dropped. Beside it
 * the same gets where nothing is done but the reads.
 */
async function latencyRow(
  context: BenchContext,
  base: Base,
  { tier, device }: { readonly tier: EngineProcess; readonly device: EngineProcess },
  entries: number,
): Promise<RowResult> {
  context.say('tiered: reading while copies are made and dropped');
  const hottest = (round: number): number =>
    Math.floor((entries * (round + 2)) / (context.rounds + 2));
  const measured = await interleave({
    contenders: [
      { name: 'device', run: (round) => read(context, device, 1, hottest(round)) },
      { name: 'tier', run: (round) => read(context, tier, 1, hottest(round)) },
    ],
    rounds: context.rounds,
    warmups: 1,
  });
  const p99 = (name: string): number[] =>
    (measured.samples.get(name) ?? []).map(({ latency }) => latency?.p99 ?? Number.NaN);
  const idle = p99('device');
  return bounded(
    {
      ...base,
      configuration:
        `${base.configuration}; then one get at a time, ${context.sliceMilliseconds} ms a turn, ` +
        'other entries hot in each turn; the same of an SSD_VALUE_STORE',
      name: 'p99 of a get while copies are made and dropped, over that without copies',
      unit: 'times',
      goal: { kind: 'bound', atMost: P99_TIMES_MAX },
      notes: [
        `p99 without copies ${idle.map((us) => us.toFixed(0)).join(', ')} us; ` +
          `${medianExtra(measured, 'tier', 'promotions')} promotions in a turn of ` +
          `${medianExtra(measured, 'tier', 'operations')} gets`,
      ],
    },
    p99('tier').map((us, at) => us / (idle[at] ?? Number.NaN)),
  );
}
