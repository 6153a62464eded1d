import { closeEngines, type BenchContext } from '../context.js';
import type { EngineProcess } from '../engine-process.js';
import { interleave, type Contender, type Interleaved, type Sample } from '../measure.js';
import {
  bareLogCommand,
  groupShape,
  LOG_FILE_BYTES,
  runBareLog,
  type GroupShape,
} from '../yardsticks/bare-log.js';
import { fioCommand, prewrite, runFio, type FioJob } from '../yardsticks/fio.js';
import { compare, compareWithPeers, medianExtra } from './compare.js';
import type { RowResult } from './result.js';

const GROUP = 'durable-put';
const VALUE_BYTES = 1024;
const QUICK_ENTRIES = 50_000;
const FULL_ENTRIES = 200_000;
const IN_FLIGHT = 128;
const RAW_JOB: FioJob = { kind: 'write-fdatasync', blockBytes: 4096 };

type Engines = ReadonlyMap<string, EngineProcess>;

function put(
  context: BenchContext,
  engine: EngineProcess,
  depth: number,
  name: string,
  sync = false,
): Contender {
  return {
    name,
    run: async (round) => {
      const milliseconds = round < 0 ? 300 : context.sliceMilliseconds;
      const sample = await engine.sample({ stage: 'put', milliseconds, depth, sync });
      // What an engine does behind its puts must not run into the next contender's turn.
      await engine.run({ stage: 'settle', loaded: false });
      return sample;
    },
  };
}

function peersOf(context: BenchContext, engines: Engines, depth: number): Contender[] {
  return context.peers.flatMap((name) => {
    const engine = engines.get(name);
    return engine === undefined ? [] : [put(context, engine, depth, name)];
  });
}

function configuration(context: BenchContext, entries: number, how: string): string {
  return (
    `${VALUE_BYTES} B values over ${entries} random 16 B string keys that exist, ${how}; durable ` +
    'when acknowledged in all (cairn: sync; lmdb: overlappingSync off; classic-level: ' +
    `sync: true); ${context.sliceMilliseconds} ms a turn after 300 ms of warm-up`
  );
}

function amplification(measured: Interleaved, contender: string): string {
  const bytes = medianExtra(measured, contender, 'amplification');
  return `write amplification ${bytes.toFixed(2)} bytes to the device per byte of value`;
}

async function oneWriter(
  context: BenchContext,
  engines: Engines,
  cairn: EngineProcess,
  entries: number,
): Promise<RowResult[]> {
  context.say('durable put: one writer');
  await context.quiesce();
  const file = await context.newPath('fio-raw');
  await prewrite(file, LOG_FILE_BYTES);
  const milliseconds = context.sliceMilliseconds;
  const fio = { job: RAW_JOB, file, fileBytes: LOG_FILE_BYTES, milliseconds };
  const raw: Contender = {
    name: 'raw write + fdatasync',
    run: async () => {
      const result = await runFio(fio);
      return { value: result.iops };
    },
  };
  const measured = await interleave({
    ...(context.fio === null ? {} : { yardstick: raw }),
    contenders: [
      put(context, cairn, 1, 'cairn put'),
      put(context, cairn, 1, 'cairn putSync', true),
      ...peersOf(context, engines, 1),
    ],
    rounds: context.rounds,
    warmups: 1,
  });
  const rows: RowResult[] = [];
  const base = { group: GROUP, unit: 'puts/s' };
  if (context.fio !== null) {
    for (const subject of ['cairn put', 'cairn putSync']) {
      rows.push(
        compare(measured, {
          ...base,
          name: `durable ${subject === 'cairn put' ? 'put' : 'putSync'} of 1 KiB, one writer`,
          configuration: `${configuration(context, entries, 'one at a time')}; ${fioCommand(fio)}`,
          subject,
          yardstick: raw.name,
          bracketed: true,
          goal: { kind: 'ratio', atLeast: 0.85 },
          notes: [amplification(measured, subject)],
        }),
      );
    }
  }
  rows.push(
    ...compareWithPeers(measured, context.peers, {
      ...base,
      name: 'durable put of 1 KiB, one writer',
      configuration: configuration(context, entries, 'one at a time'),
      subject: 'cairn put',
      goal: null,
    }),
  );
  return rows;
}

const shapeOf = (sample: Sample): GroupShape =>
  groupShape(
    sample.extra?.['puts'] ?? 0,
    sample.extra?.['groups'] ?? 0,
    sample.extra?.['logBytes'] ?? 0,
  );

async function manyWriters(
  context: BenchContext,
  engines: Engines,
  cairn: EngineProcess,
  entries: number,
): Promise<RowResult[]> {
  context.say(`durable put: ${IN_FLIGHT} in flight`);
  await context.quiesce();
  const file = await context.newPath('fio-log');
  await prewrite(file, LOG_FILE_BYTES);
  const subject = put(context, cairn, IN_FLIGHT, 'cairn');
  // The bare log has to write groups of the size that cairn's own log forms: known after a turn.
  let shape = shapeOf(await subject.run(-1));
  const measuring: Contender = {
    name: subject.name,
    run: async (round) => {
      const sample = await subject.run(round);
      shape = shapeOf(sample);
      return { ...sample, extra: { ...sample.extra, records: shape.records, bytes: shape.bytes } };
    },
  };
  const bareLog: Contender = {
    name: 'bare log',
    run: () => runBareLog(file, shape, context.sliceMilliseconds),
  };
  const measured = await interleave({
    ...(context.fio === null ? {} : { yardstick: bareLog }),
    contenders: [measuring, ...peersOf(context, engines, IN_FLIGHT)],
    rounds: context.rounds,
    warmups: 1,
  });
  const base = {
    group: GROUP,
    unit: 'puts/s',
    subject: 'cairn',
    name: `durable put of 1 KiB, ${IN_FLIGHT} in flight`,
    configuration: configuration(context, entries, `${IN_FLIGHT} in flight`),
  };
  const records = medianExtra(measured, 'cairn', 'records');
  const bytes = medianExtra(measured, 'cairn', 'bytes');
  const group = `groups of ${records.toFixed(1)} puts in ${bytes} bytes`;
  const rows: RowResult[] = [];
  if (context.fio !== null) {
    rows.push(
      compare(measured, {
        ...base,
        configuration: `${base.configuration}; ${bareLogCommand({ records, bytes })}`,
        yardstick: 'bare log',
        bracketed: true,
        goal: { kind: 'ratio', atLeast: 0.7 },
        notes: [group, amplification(measured, 'cairn')],
      }),
    );
  }
  rows.push(
    ...compareWithPeers(measured, context.peers, { ...base, goal: { kind: 'ratio', atLeast: 5 } }),
  );
  return rows;
}

/** Puts that survive power loss when they resolve. */
export async function durablePut(context: BenchContext): Promise<RowResult[]> {
  const entries = context.quick ? QUICK_ENTRIES : FULL_ENTRIES;
  context.say(`durable put: loading ${entries} entries`);
  const engines = await context.openEngines(['cairn', ...context.peers], {
    keys: 'text',
    values: 'default',
    valueBytes: VALUE_BYTES,
    entries,
    durability: 'each',
  });
  try {
    const cairn = engines.get('cairn');
    if (cairn === undefined) throw new Error('cairn did not open');
    await Promise.all(
      [...engines.values()].map(async (engine) => {
        await engine.sample({ stage: 'load', form: 'pairs', order: 'sorted' });
        await engine.run({ stage: 'settle', loaded: true });
        await engine.sample({ stage: 'check', count: 100 });
      }),
    );
    return [
      ...(await oneWriter(context, engines, cairn, entries)),
      ...(await manyWriters(context, engines, cairn, entries)),
    ];
  } finally {
    await closeEngines(engines);
  }
}
