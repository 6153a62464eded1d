import type { KeyKind, LoadForm } from '../adapters/adapter.js';
import type { BenchContext } from '../context.js';
import { EngineProcess } from '../engine-process.js';
import { interleave, type Contender } from '../measure.js';
import { fioCommand, runFio, type FioRun } from '../yardsticks/fio.js';
import { compare, compareWithPeers, medianExtra } from './compare.js';
import type { RowResult } from './result.js';

const GROUP = 'bulk-load';
const VALUE_BYTES = 1024;
const QUICK_ENTRIES = 256 * 1024;
const FULL_ENTRIES = 2 * 1024 * 1024;
/** Peers load at a tenth of the speed: they get fewer entries, for about the same time. */
const FULL_PEER_ENTRIES = 256 * 1024;
const QUICK_PEER_ENTRIES = 64 * 1024;
const FIO_BLOCK_BYTES = 1024 * 1024;
const FIO_DEPTH = 8;

interface Form {
  readonly name: string;
  readonly form: LoadForm;
  readonly keys: KeyKind;
}

const FORMS: readonly Form[] = [
  { name: 'rows', form: 'rows', keys: 'u64' },
  { name: 'iterable', form: 'pairs', keys: 'text' },
];

/** A turn is a new store in a new process, loaded until durable, removed. */
function loader(
  context: BenchContext,
  engineName: string,
  name: string,
  how: { readonly form: LoadForm; readonly keys: KeyKind; readonly entries: number },
): Contender {
  return {
    name,
    run: async () => {
      const directory = await context.newPath(engineName);
      const engine = await EngineProcess.open(engineName, {
        directory,
        keys: how.keys,
        values: 'default',
        valueBytes: VALUE_BYTES,
        entries: how.entries,
        durability: 'end',
      });
      try {
        const sample = await engine.sample({ stage: 'load', form: how.form, order: 'random' });
        await engine.sample({ stage: 'check', count: 100 });
        return sample;
      } finally {
        await engine.close();
        await context.discard(directory);
      }
    },
  };
}

function fioWriter(context: BenchContext, entries: number): Contender {
  return {
    name: 'fio sequential write',
    run: async () => {
      const file = await context.newPath('fio-sequential');
      const result = await runFio(fioWrite(file, entries));
      await context.discard(file);
      return {
        value: result.bytesPerSecond / VALUE_BYTES,
        extra: { megabytesPerSecond: result.bytesPerSecond / 1e6 },
      };
    },
  };
}

function fioWrite(file: string, entries: number): FioRun {
  return {
    job: { kind: 'sequential-write', depth: FIO_DEPTH, blockBytes: FIO_BLOCK_BYTES },
    file,
    fileBytes: entries * VALUE_BYTES,
    milliseconds: 0,
  };
}

/** Loading a new store with rows of 1 KiB until all of it is durable. */
export async function bulkLoad(context: BenchContext): Promise<RowResult[]> {
  const entries = context.quick ? QUICK_ENTRIES : FULL_ENTRIES;
  const peerEntries = context.quick ? QUICK_PEER_ENTRIES : FULL_PEER_ENTRIES;
  context.say(`bulk load: ${entries} rows of ${VALUE_BYTES} B`);
  const fio = fioWriter(context, entries);
  const cairn = FORMS.map((form) =>
    loader(context, 'cairn', `cairn ${form.name}`, { ...form, entries }),
  );
  const peers = context.peers.map((name) =>
    loader(context, name, name, { form: 'batches', keys: 'text', entries: peerEntries }),
  );
  const measured = await interleave({
    ...(context.fio === null ? {} : { yardstick: fio }),
    contenders: [...cairn, ...peers],
    rounds: context.rounds,
  });
  const rows: RowResult[] = [];
  for (const form of FORMS) {
    const base = {
      group: GROUP,
      name: `bulkLoad of 1 KiB rows, ${form.name}`,
      configuration:
        `a new store a turn, ${entries} entries in random key order, ` +
        `${form.keys === 'u64' ? 'u64 keys, one buffer of rows' : '16 B string keys, [key, value] pairs'}; ` +
        `clock stops when durable; SSD_VALUE_STORE`,
      unit: 'rows/s',
      subject: `cairn ${form.name}`,
    };
    if (context.fio !== null) {
      const bandwidth = medianExtra(measured, fio.name, 'megabytesPerSecond').toFixed(0);
      rows.push(
        compare(measured, {
          ...base,
          configuration: `${base.configuration}; ${fioCommand(fioWrite('FILE', entries))}`,
          yardstick: fio.name,
          bracketed: true,
          goal: { kind: 'ratio', atLeast: 0.7 },
          notes: [`fio ${bandwidth} MB/s into a new file, its size over ${VALUE_BYTES} B a row`],
        }),
      );
    }
    rows.push(
      ...compareWithPeers(measured, context.peers, {
        ...base,
        goal: { kind: 'ratio', atLeast: 5 },
        notes: [
          `peers: batches of 1000 in the same order, ${peerEntries} entries, flushed once at the end`,
        ],
      }),
    );
  }
  return rows;
}
