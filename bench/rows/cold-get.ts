import { COLD_CACHE_BYTES } from '../adapters/cairn.js';
import { closeEngines, type BenchContext } from '../context.js';
import { EngineProcess } from '../engine-process.js';
import { interleave, type Contender, type Interleaved } from '../measure.js';
import { fioCommand, fioSample, prewrite, runFio, type FioJob } from '../yardsticks/fio.js';
import { compare, medianExtra } from './compare.js';
import { skippedRow, type RowResult } from './result.js';

const GROUP = 'cold-get';
const SLOT_BYTES = 4096;
/** With its header of 24 bytes and its key of 8 the record fills a 4 KiB slot. */
const VALUE_BYTES = SLOT_BYTES - 24 - 8;
const DEPTHS = [1, 32, 128] as const;
const GOALS: Readonly<Record<number, number>> = { 1: 0.9, 32: 0.95, 128: 0.95 };
const QUICK_BYTES = 512 * 1024 * 1024;
const FULL_BYTES = 2 * 1024 * 1024 * 1024;
/** For one get at a time: near the latency of a device. */
const BUSY_POLL_US = 100;
/** Below this share of gets answered by the device a cache was measured. */
const DEVICE_SHARE_MIN = 0.97;

const fioJob = (depth: number): FioJob => ({
  kind: 'random-read',
  depth,
  blockBytes: SLOT_BYTES,
});

async function load(
  context: BenchContext,
  entries: number,
  busyPollUs = 0,
): Promise<EngineProcess> {
  const directory = await context.newPath('cairn');
  const engine = await EngineProcess.open('cairn', {
    directory,
    keys: 'u64',
    values: 'device',
    valueBytes: VALUE_BYTES,
    entries,
    durability: 'each',
    document: { io: { busy_poll_us: busyPollUs } },
  });
  await engine.sample({ stage: 'load', form: 'pairs', order: 'random' });
  await engine.run({ stage: 'settle', loaded: true });
  await engine.sample({ stage: 'check', count: 200 });
  return engine;
}

async function measureDepth(
  context: BenchContext,
  engine: EngineProcess,
  fio: { readonly file: string; readonly bytes: number },
  depth: number,
): Promise<Interleaved> {
  const milliseconds = context.sliceMilliseconds;
  const yardstick: Contender = {
    name: 'fio io_uring',
    run: async () =>
      fioSample(
        await runFio({ job: fioJob(depth), file: fio.file, fileBytes: fio.bytes, milliseconds }),
      ),
  };
  const cairn: Contender = {
    name: 'cairn',
    run: (round) =>
      engine.sample({ stage: 'read', milliseconds: round < 0 ? 300 : milliseconds, depth }),
  };
  return interleave({ yardstick, contenders: [cairn], rounds: context.rounds, warmups: 1 });
}

function rowOf(
  context: BenchContext,
  measured: Interleaved,
  bytes: number,
  depth: number,
  how: { readonly direct: boolean; readonly backend: string },
  busyPollUs: number,
): RowResult {
  const share =
    medianExtra(measured, 'cairn', 'deviceReads') / medianExtra(measured, 'cairn', 'operations');
  const notes = [
    `${(share * 100).toFixed(1)} % of the gets read the device (O_DIRECT ${how.direct}, ${how.backend})`,
  ];
  if (!(share >= DEVICE_SHARE_MIN) || !how.direct) {
    notes.push('NOT A MEASUREMENT OF THE DEVICE: a cache answered; the goal does not count');
  }
  const job = { job: fioJob(depth), file: 'FILE', fileBytes: bytes, milliseconds: 0 };
  const fair = share >= DEVICE_SHARE_MIN && how.direct;
  return compare(measured, {
    group: GROUP,
    name: `cold random 4 KiB get, ${depth} in flight${busyPollUs > 0 ? ', busy polling' : ''}`,
    configuration:
      `SSD_VALUE_STORE, u64 keys, ${VALUE_BYTES} B values in ${SLOT_BYTES} B slots, ` +
      `${bytes / 1024 ** 2} MiB of slots, cache ${COLD_CACHE_BYTES / 1024 ** 2} MiB, ` +
      `io.busy_poll_us ${busyPollUs}, get() ` +
      `${context.sliceMilliseconds} ms a turn after 300 ms of warm-up; ` +
      fioCommand({ ...job, milliseconds: context.sliceMilliseconds }),
    unit: 'gets/s',
    subject: 'cairn',
    yardstick: 'fio io_uring',
    bracketed: true,
    goal: fair ? { kind: 'ratio', atLeast: GOALS[depth] ?? 0.95 } : null,
    notes,
  });
}

/** Random reads that the device answers, beside fio on a file of the same size. */
export async function coldGet(context: BenchContext): Promise<RowResult[]> {
  if (context.fio === null) {
    return [skippedRow(GROUP, 'cold random 4 KiB get', 'gets/s', 'fio', null, 'fio is missing')];
  }
  const bytes = context.quick ? QUICK_BYTES : FULL_BYTES;
  context.say(`cold get: loading ${bytes / 1024 ** 2} MiB`);
  const file = await context.newPath('fio');
  await prewrite(file, bytes);
  const rows: RowResult[] = [];
  for (const [busyPollUs, depths] of [
    [0, DEPTHS],
    [BUSY_POLL_US, [1]],
  ] as const) {
    const engine = await load(context, bytes / SLOT_BYTES, busyPollUs);
    try {
      const how = await engine.counters();
      for (const depth of depths) {
        context.say(`cold get: ${depth} in flight`);
        const measured = await measureDepth(context, engine, { file, bytes }, depth);
        rows.push(rowOf(context, measured, bytes, depth, how, busyPollUs));
      }
    } finally {
      await closeEngines(new Map([['cairn', engine]]));
    }
  }
  await context.discard(file);
  return rows;
}
