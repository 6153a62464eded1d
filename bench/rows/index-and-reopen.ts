import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { OpenOptions } from '../adapters/adapter.js';
import type { BenchContext } from '../context.js';
import { EngineProcess } from '../engine-process.js';
import { run } from '../yardsticks/fio.js';
import type { Sample } from '../measure.js';
import { bounded } from './compare.js';
import { failedRow, type RowResult } from './result.js';

const VALUE_BYTES = 16;
const SMALL_ENTRIES = 1_000_000;
const LARGE_ENTRIES = 10_000_000;
/** Records that only the log holds when the process is killed. */
const DIRTY_RECORDS = 100_000;
const DELAY_MS = 3000;

const DELAY_GOAL = { kind: 'bound', atMost: 2 } as const;

function optionsOf(directory: string, entries: number): OpenOptions {
  return {
    directory,
    keys: 'u64',
    values: 'default',
    valueBytes: VALUE_BYTES,
    entries,
    durability: 'each',
  };
}

/** So that reopening reads the device; needs no privilege, unlike dropping all caches. */
async function forgetCachedPages(directory: string): Promise<void> {
  for (const child of await readdir(directory, { withFileTypes: true })) {
    if (!child.isFile()) continue;
    await run('dd', [
      `if=${join(directory, child.name)}`,
      'iflag=nocache',
      'count=0',
      'status=none',
    ]);
  }
}

function indexRow(entries: number, bytes: number): RowResult {
  return bounded(
    {
      group: 'index-memory',
      name: `index memory, ${entries / 1e6} M keys`,
      configuration: 'DRAM_PET_HASH, u64 keys, after bulkLoad: stats().index',
      unit: 'B/key',
      goal: { kind: 'bound', atMost: 20 },
    },
    [bytes],
  );
}

function delayRow(
  what: string,
  samples: readonly Sample[],
  idle: Sample,
  notes: string[],
): RowResult {
  const worst = Math.max(...samples.map((sample) => sample.extra?.['max'] ?? 0));
  return bounded(
    {
      group: 'event-loop',
      name: `event-loop delay p99, ${what}`,
      configuration:
        'perf_hooks monitorEventLoopDelay, resolution 1 ms, nothing subtracted (its own timer ' +
        'takes about 1 ms of it)',
      unit: 'ms',
      goal: DELAY_GOAL,
      notes: [
        ...notes,
        `idle baseline p99 ${idle.value.toFixed(2)} ms, max ${(idle.extra?.['max'] ?? 0).toFixed(2)} ms`,
        `longest delay ${worst.toFixed(2)} ms`,
      ],
    },
    samples.map((sample) => sample.value),
  );
}

function reopenRow(
  context: BenchContext,
  entries: number,
  after: string,
  milliseconds: readonly number[],
  notes: readonly string[],
): RowResult {
  const full = entries === LARGE_ENTRIES;
  return bounded(
    {
      group: 'reopen',
      name: `reopen, ${entries / 1e6} M keys, after ${after}`,
      configuration:
        `u64 keys, ${VALUE_BYTES} B values, SSD_VALUE_STORE, bulk loaded; open() in a new process, ` +
        'files dropped from the page cache before',
      unit: 'ms',
      goal: full ? { kind: 'bound', atMost: 1000 } : null,
      notes: full
        ? notes
        : [
            ...notes,
            `the goal is about ${LARGE_ENTRIES / 1e6} M keys: ${context.quick ? 'not in quick mode' : 'not measured'}`,
          ],
    },
    milliseconds,
  );
}

interface Reopened {
  readonly milliseconds: number[];
  readonly delays: Sample[];
  records: number;
}

/** Opens and watches the loop; the caller ends the process as the next turn needs it. */
async function reopen(
  context: BenchContext,
  options: OpenOptions,
  into: Reopened,
): Promise<EngineProcess> {
  await forgetCachedPages(options.directory);
  const engine = new EngineProcess('cairn');
  const sample = await engine.sample({ stage: 'delay-open', engine: 'cairn', options });
  into.milliseconds.push(sample.extra?.['milliseconds'] ?? Number.NaN);
  into.delays.push(sample);
  const counters = await engine.counters();
  into.records = counters.recoveredRecords;
  if (counters.indexEntries !== options.entries) {
    throw new Error(`reopened with ${counters.indexEntries} of ${options.entries} keys`);
  }
  context.say(`reopen: ${into.milliseconds.at(-1)?.toFixed(0)} ms`);
  await engine.sample({ stage: 'check', count: 100 });
  return engine;
}

async function measureReopen(
  context: BenchContext,
  options: OpenOptions,
  first: EngineProcess,
  rounds: number,
): Promise<{
  readonly clean: Reopened;
  readonly killed: Reopened;
  readonly engine: EngineProcess;
}> {
  const clean: Reopened = { milliseconds: [], delays: [], records: 0 };
  const killed: Reopened = { milliseconds: [], delays: [], records: 0 };
  let engine = first;
  for (let round = 0; round < rounds; round += 1) {
    await engine.close();
    engine = await reopen(context, options, clean);
    await engine.sample({ stage: 'dirty', count: DIRTY_RECORDS });
    await engine.crash();
    engine = await reopen(context, options, killed);
  }
  return { clean, killed, engine };
}

async function measureDelays(
  context: BenchContext,
  engine: EngineProcess,
  entries: number,
  idle: Sample,
): Promise<RowResult> {
  const samples: Sample[] = [];
  for (let turn = 0; turn < turns(context); turn += 1) {
    samples.push(
      await engine.sample({ stage: 'delay', during: 'checkpoint', milliseconds: DELAY_MS }),
    );
  }
  const count = samples.map((sample) => sample.extra?.['checkpoints'] ?? 0).join(', ');
  return delayRow('while checkpointing', samples, idle, [
    `${count} checkpoints of ${entries / 1e6} M keys in turns of ${DELAY_MS} ms`,
  ]);
}

const turns = (context: BenchContext): number => (context.quick ? 1 : 3);

/** The rows of one store; those that were measured stay when a later one fails. */
async function measureStore(
  context: BenchContext,
  options: OpenOptions,
  full: boolean,
): Promise<RowResult[]> {
  const { entries } = options;
  const rows: RowResult[] = [];
  let group = 'index-memory';
  context.say(`index and reopen: loading ${entries} keys`);
  let engine = await EngineProcess.open('cairn', options);
  try {
    await engine.sample({ stage: 'load', form: 'rows', order: 'random' });
    const counters = await engine.counters();
    rows.push(indexRow(entries, counters.indexBytes / counters.indexEntries));
    if (!full) return rows;
    group = 'event-loop';
    context.say('event loop: idle, then checkpoints');
    const idle = await engine.sample({ stage: 'delay', during: 'idle', milliseconds: DELAY_MS });
    rows.push(await measureDelays(context, engine, entries, idle));
    group = 'reopen';
    const reopened = await measureReopen(context, options, engine, turns(context));
    engine = reopened.engine;
    const { clean, killed } = reopened;
    rows.push(
      delayRow('while recovering', [...clean.delays, ...killed.delays], idle, [
        `open() of ${entries / 1e6} M keys, clean and after SIGKILL`,
      ]),
      reopenRow(context, entries, 'a clean close', clean.milliseconds, []),
      reopenRow(context, entries, 'SIGKILL', killed.milliseconds, [
        `${killed.records} log records replayed`,
      ]),
    );
  } catch (error) {
    rows.push(failedRow(group, error));
  } finally {
    engine.kill();
  }
  return rows;
}

/** Memory of the index, delay of the loop and time to open, all of one large store. */
export async function indexAndReopen(context: BenchContext): Promise<RowResult[]> {
  const rows: RowResult[] = [];
  const sizes = context.quick ? [SMALL_ENTRIES] : [SMALL_ENTRIES, LARGE_ENTRIES];
  for (const entries of sizes) {
    const options = optionsOf(await context.newPath('cairn'), entries);
    rows.push(...(await measureStore(context, options, entries === sizes.at(-1))));
    await context.discard(options.directory);
  }
  return rows;
}
