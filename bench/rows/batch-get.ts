import { closeEngines, type BenchContext } from '../context.js';
import { interleave, type Contender } from '../measure.js';
import { fioCommand, fioSample, prewrite, runFio, type FioJob } from '../yardsticks/fio.js';
import { compare, medianExtra } from './compare.js';
import { skippedRow, type RowResult } from './result.js';

const GROUP = 'batch-get';
const ALLOCATORS = ['SSD_SLAB', 'SSD_BUDDY'] as const;
/** 4064: with header and u64 key the record fills a page. */
const VALUE_BYTES = [128, 512, 1024, 4064] as const;
const QUICK_BYTES = 128 * 1024 * 1024;
const FULL_BYTES = 512 * 1024 * 1024;
const BATCH = 512;
/** So that the device has work while one batch is handed out. */
const BATCHES_UNDER_WAY = 2;
const JOB: FioJob = { kind: 'random-read', depth: 128, blockBytes: 4096 };
const CACHE_BYTES = 4 * 1024 * 1024;

function documentOf(allocator: (typeof ALLOCATORS)[number]): Readonly<Record<string, unknown>> {
  return {
    cache: { capacity_bytes: CACHE_BYTES },
    value: {
      type: 'SSD_VALUE_STORE',
      ssd_allocator: {
        type: allocator,
        ...(allocator === 'SSD_SLAB' ? { size_classes: [...VALUE_BYTES] } : {}),
        ...(allocator === 'SSD_BUDDY' ? { min_block_size: 128, max_block_size: 4096 } : {}),
      },
    },
  };
}

async function measure(
  context: BenchContext,
  allocator: (typeof ALLOCATORS)[number],
  valueBytes: number,
  file: string,
): Promise<RowResult> {
  const bytes = context.quick ? QUICK_BYTES : FULL_BYTES;
  const entries = Math.floor(bytes / Math.max(valueBytes, 256));
  const milliseconds = context.sliceMilliseconds;
  const engines = await context.openEngines(['cairn'], {
    keys: 'u64',
    values: 'device',
    valueBytes,
    entries,
    durability: 'each',
    document: documentOf(allocator),
  });
  const engine = engines.get('cairn');
  if (engine === undefined) throw new Error('cairn did not open');
  try {
    await engine.sample({ stage: 'load', form: 'rows', order: 'random' });
    await engine.run({ stage: 'settle', loaded: true });
    await engine.sample({ stage: 'check', count: 100 });
    await engine.run({ stage: 'prepare-gather', distribution: 'uniform' });
    const fio = { job: JOB, file, fileBytes: bytes, milliseconds };
    const cairn: Contender = {
      name: 'cairn',
      run: async () => {
        const sample = await engine.sample({
          stage: 'batch-get',
          milliseconds,
          batch: BATCH,
          depth: BATCHES_UNDER_WAY,
        });
        return { ...sample, value: sample.extra?.['pagesPerSecond'] ?? Number.NaN };
      },
    };
    const measured = await interleave({
      yardstick: { name: 'fio io_uring', run: async () => fioSample(await runFio(fio)) },
      contenders: [cairn],
      rounds: context.rounds,
      warmups: 1,
    });
    const keys = medianExtra(measured, 'cairn', 'operations') * BATCH;
    const seconds = medianExtra(measured, 'cairn', 'seconds');
    return compare(measured, {
      group: GROUP,
      name: `batchGet of ${valueBytes} B, ${allocator}`,
      configuration:
        `${BATCHES_UNDER_WAY} batches of ${BATCH} uniform u64 keys under way, queue depth 128, ` +
        `${entries} entries, cache ${CACHE_BYTES / 1024 ** 2} MiB; the value is pages read from ` +
        `the device per second (a slot across two pages is one read of both); ${fioCommand(fio)}`,
      unit: 'pages/s',
      subject: 'cairn',
      yardstick: 'fio io_uring',
      bracketed: true,
      goal: { kind: 'ratio', atLeast: 0.95 },
      notes: [
        `${Math.round(keys / seconds)} keys/s`,
        `${Math.round(medianExtra(measured, 'cairn', 'readsPerSecond'))} reads/s`,
      ],
    });
  } finally {
    await closeEngines(engines);
  }
}

/** Values of every size out of both allocators, as many pages as the device gives. */
export async function batchGet(context: BenchContext): Promise<RowResult[]> {
  if (context.fio === null) {
    return [skippedRow(GROUP, 'batchGet', 'pages/s', 'fio', null, 'fio is missing')];
  }
  const file = await context.newPath('fio');
  await prewrite(file, context.quick ? QUICK_BYTES : FULL_BYTES);
  const rows: RowResult[] = [];
  for (const allocator of ALLOCATORS) {
    for (const valueBytes of VALUE_BYTES) {
      context.say(`batchGet: ${allocator}, ${valueBytes} B`);
      rows.push(await measure(context, allocator, valueBytes, file));
    }
  }
  await context.discard(file);
  return rows;
}
