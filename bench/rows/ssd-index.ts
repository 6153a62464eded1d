import type { OpenOptions } from '../adapters/adapter.js';
import type { BenchContext } from '../context.js';
import { EngineProcess } from '../engine-process.js';
import { interleave } from '../measure.js';
import { fioCommand, fioSample, prewrite, runFio, type FioJob } from '../yardsticks/fio.js';
import { bounded, compare, medianExtra } from './compare.js';
import { skippedRow, type RowResult } from './result.js';

const GROUP = 'ssd-index';
const VALUE_BYTES = 16;
const MIB = 1024 * 1024;
/** Pages of the index that fit into its cache: 3 to 6 in 100. */
const QUICK = { entries: 1_000_000, indexCacheBytes: MIB };
const FULL = { entries: 20_000_000, indexCacheBytes: 64 * MIB };
/** What the index may take beside its cache: changes that wait and pages being written; per key. */
const OTHER_BYTES = 4 * MIB;
const BYTES_PER_KEY = 1;
const DEPTH = 32;
const FILE_BYTES = 256 * 1024 * 1024;
const JOB: FioJob = { kind: 'random-read', depth: DEPTH, blockBytes: 4096 };

/**
 * A get whose index page and value are both on the device: two reads, no more; and what an index
 * much larger than its cache takes of memory.
 */
export async function ssdIndex(context: BenchContext): Promise<RowResult[]> {
  const name = `cold get by an index on the device, ${DEPTH} in flight`;
  if (context.fio === null) {
    return [skippedRow(GROUP, name, 'gets/s', 'fio', null, 'fio is missing')];
  }
  const { entries, indexCacheBytes } = context.quick ? QUICK : FULL;
  const milliseconds = context.sliceMilliseconds;
  const file = await context.newPath('fio');
  await prewrite(file, FILE_BYTES);
  const options: OpenOptions = {
    directory: await context.newPath('cairn'),
    keys: 'u64',
    values: 'device',
    valueBytes: VALUE_BYTES,
    entries,
    durability: 'each',
    document: {
      index: { type: 'SSD_EXTENDIBLE_HASH', cache_bytes: indexCacheBytes },
      cache: { capacity_bytes: MIB },
    },
  };
  context.say(`SSD index: loading ${entries} entries`);
  const engine = await EngineProcess.open('cairn', options);
  try {
    const load = await engine.sample({ stage: 'load', form: 'rows', order: 'random' });
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
    const { indexBytes } = await engine.counters();
    context.say('SSD index: opening it again');
    await engine.run({ stage: 'close' });
    const opened = await engine.sample({ stage: 'open', engine: 'cairn', options });
    const { indexEntries } = await engine.counters();
    if (indexEntries !== entries) throw new Error(`reopened with ${indexEntries} of ${entries}`);
    await engine.sample({ stage: 'check', count: 100 });
    const gets = medianExtra(measured, 'cairn', 'operations');
    const perGet = (what: string): number => medianExtra(measured, 'cairn', what) / gets;
    const configuration =
      `SSD_EXTENDIBLE_HASH with a cache of ${indexCacheBytes / MIB} MiB, SSD_VALUE_STORE with a ` +
      `cache of 1 MiB, ${entries} values of ${VALUE_BYTES} B, uniform u64 keys, ${DEPTH} gets in flight`;
    const bound = (what: string, unit: string, value: number, atMost: number): RowResult =>
      bounded({ group: GROUP, name: what, configuration, unit, goal: { kind: 'bound', atMost } }, [
        value,
      ]);
    return [
      compare(measured, {
        group: GROUP,
        name,
        configuration: `${configuration}; two reads a get; ${fioCommand(fio)}`,
        unit: 'gets/s',
        subject: 'cairn',
        yardstick: 'fio io_uring',
        bracketed: true,
        goal: null,
        notes: [
          `bulkLoad of the ${entries} keys: ${Math.round(load.value)} keys/s`,
          `opened again, with all of them, in ${(opened.value / 1000).toFixed(1)} s`,
        ],
      }),
      bound('index reads of a cold get', 'reads/get', perGet('indexReads'), 1),
      bound('value reads of a cold get', 'reads/get', perGet('deviceReads'), 1),
      bound(
        `memory of the index on the device, ${entries / 1e6} M keys`,
        'bytes',
        indexBytes,
        indexCacheBytes + OTHER_BYTES + entries * BYTES_PER_KEY,
      ),
    ];
  } finally {
    await engine.close().catch(() => engine.kill());
    await context.discard(options.directory);
    await context.discard(file);
  }
}
