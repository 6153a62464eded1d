import { closeEngines, type BenchContext } from '../context.js';
import { interleave } from '../measure.js';
import { fioCommand, fioSample, prewrite, runFio, type FioJob } from '../yardsticks/fio.js';
import { bounded, compare, medianExtra } from './compare.js';
import { skippedRow, type RowResult } from './result.js';

const GROUP = 'ssd-index';
const VALUE_BYTES = 100;
const QUICK_ENTRIES = 1_000_000;
const FULL_ENTRIES = 4_000_000;
const DEPTH = 32;
const FILE_BYTES = 256 * 1024 * 1024;
const JOB: FioJob = { kind: 'random-read', depth: DEPTH, blockBytes: 4096 };
const DOCUMENT = {
  index: { type: 'SSD_EXTENDIBLE_HASH', cache_bytes: 1024 * 1024 },
  cache: { capacity_bytes: 1024 * 1024 },
};

/** A get whose index page and value are both on the device: two reads, no more. */
export async function ssdIndex(context: BenchContext): Promise<RowResult[]> {
  const name = `cold get by an index on the device, ${DEPTH} in flight`;
  if (context.fio === null) {
    return [skippedRow(GROUP, name, 'gets/s', 'fio', null, 'fio is missing')];
  }
  const entries = context.quick ? QUICK_ENTRIES : FULL_ENTRIES;
  const milliseconds = context.sliceMilliseconds;
  context.say(`SSD index: loading ${entries} entries`);
  const file = await context.newPath('fio');
  await prewrite(file, FILE_BYTES);
  const engines = await context.openEngines(['cairn'], {
    keys: 'u64',
    values: 'device',
    valueBytes: VALUE_BYTES,
    entries,
    durability: 'each',
    document: DOCUMENT,
  });
  const engine = engines.get('cairn');
  if (engine === undefined) throw new Error('cairn did not open');
  try {
    await engine.sample({ stage: 'load', form: 'rows', order: 'random' });
    await engine.run({ stage: 'settle', loaded: true });
    await engine.sample({ stage: 'check', count: 100 });
    const fio = { job: JOB, file, fileBytes: FILE_BYTES, milliseconds };
    const measured = await interleave({
      yardstick: { name: 'fio io_uring', run: async () => fioSample(await runFio(fio)) },
      contenders: [
        {
          name: 'cairn',
          run: () => engine.sample({ stage: 'read', milliseconds, depth: DEPTH }),
        },
      ],
      rounds: context.rounds,
      warmups: 1,
    });
    const gets = medianExtra(measured, 'cairn', 'operations');
    const base = {
      group: GROUP,
      configuration:
        `SSD_EXTENDIBLE_HASH with a cache of 1 MiB, SSD_VALUE_STORE with a cache of 1 MiB, ` +
        `${entries} values of ${VALUE_BYTES} B, uniform u64 keys, ${DEPTH} gets in flight`,
    };
    const perGet = (what: string): number => medianExtra(measured, 'cairn', what) / gets;
    return [
      compare(measured, {
        ...base,
        configuration: `${base.configuration}; two reads a get; ${fioCommand(fio)}`,
        name,
        unit: 'gets/s',
        subject: 'cairn',
        yardstick: 'fio io_uring',
        bracketed: true,
        goal: null,
      }),
      bounded(
        {
          ...base,
          name: 'index reads of a cold get',
          unit: 'reads/get',
          goal: { kind: 'bound', atMost: 1 },
        },
        [perGet('indexReads')],
      ),
      bounded(
        {
          ...base,
          name: 'value reads of a cold get',
          unit: 'reads/get',
          goal: { kind: 'bound', atMost: 1 },
        },
        [perGet('deviceReads')],
      ),
    ];
  } finally {
    await closeEngines(engines);
    await context.discard(file);
  }
}
