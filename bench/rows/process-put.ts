import { closeEngines, type BenchContext } from '../context.js';
import { interleave } from '../measure.js';
import { fioCommand, fioSample, prewrite, runFio, type FioJob } from '../yardsticks/fio.js';
import { compare } from './compare.js';
import { skippedRow, type RowResult } from './result.js';

const GROUP = 'process-put';
const VALUE_BYTES = 1024;
const ENTRIES = 100_000;
const DEPTH = 128;
const FILE_BYTES = 256 * 1024 * 1024;
const JOB: FioJob = { kind: 'random-write', depth: 1, blockBytes: 4096 };

/** Puts that survive the process when they resolve, one at a time and many. */
export async function processPut(context: BenchContext): Promise<RowResult[]> {
  const name = `put of ${VALUE_BYTES} B that survives the process`;
  if (context.fio === null) {
    return [skippedRow(GROUP, name, 'puts/s', 'fio', null, 'fio is missing')];
  }
  const milliseconds = context.sliceMilliseconds;
  context.say(`process put: loading ${ENTRIES} entries`);
  const file = await context.newPath('fio');
  await prewrite(file, FILE_BYTES);
  const engines = await context.openEngines(['cairn'], {
    keys: 'text',
    values: 'default',
    valueBytes: VALUE_BYTES,
    entries: ENTRIES,
    durability: 'end',
  });
  const engine = engines.get('cairn');
  if (engine === undefined) throw new Error('cairn did not open');
  try {
    await engine.sample({ stage: 'load', form: 'pairs', order: 'random' });
    await engine.run({ stage: 'settle', loaded: true });
    const fio = { job: JOB, file, fileBytes: FILE_BYTES, milliseconds };
    const put = (depth: number) => ({
      name: `cairn ${depth}`,
      run: async () => {
        const sample = await engine.sample({ stage: 'put', milliseconds, depth, sync: false });
        await engine.run({ stage: 'settle', loaded: false });
        return sample;
      },
    });
    const measured = await interleave({
      yardstick: { name: 'fio random write', run: async () => fioSample(await runFio(fio)) },
      contenders: [put(1), put(DEPTH)],
      rounds: context.rounds,
      warmups: 1,
    });
    const base = {
      group: GROUP,
      unit: 'puts/s',
      yardstick: 'fio random write',
      bracketed: true,
      configuration:
        `SSD_VALUE_STORE, durability process, ${ENTRIES} random 16 B string keys that exist; ` +
        fioCommand(fio),
    };
    return [
      compare(measured, {
        ...base,
        name: `${name}, one at a time`,
        subject: 'cairn 1',
        goal: { kind: 'ratio', atLeast: 0.9 },
      }),
      compare(measured, {
        ...base,
        name: `${name}, ${DEPTH} in flight`,
        subject: `cairn ${DEPTH}`,
        goal: null,
        notes: ['the goal is 100000 puts/s; the yardstick is fio at depth 1'],
      }),
    ];
  } finally {
    await closeEngines(engines);
    await context.discard(file);
  }
}
