import { existsSync, realpathSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BenchContext, type BenchOptions } from './context.js';
import { machineFacts } from './machine.js';
import {
  COMPOSITE_GROUPS,
  parseOptions,
  QUICK_GROUPS,
  ROW_GROUPS,
  USAGE,
  UsageError,
} from './options.js';
import { jsonDocument, renderReport, type BenchResult } from './report.js';
import { batchGetInto, gatherThousand } from './rows/batch-get-into.js';
import { bulkLoad } from './rows/bulk-load.js';
import { batchGet } from './rows/batch-get.js';
import { churnSpace } from './rows/churn.js';
import { coldGet } from './rows/cold-get.js';
import { durablePut } from './rows/durable-put.js';
import { hotGet } from './rows/hot-get.js';
import { indexAndReopen } from './rows/index-and-reopen.js';
import { largerThanMemory } from './rows/larger-than-memory.js';
import { processPut } from './rows/process-put.js';
import { failedRow, hasFailed, type RowResult } from './rows/result.js';
import { ssdIndex } from './rows/ssd-index.js';
import { tiered } from './rows/tiered.js';
import { renderTable, summary } from './table.js';

const EXIT_USAGE = 2;
const EXIT_FAILED = 1;
const EXIT_INTERRUPTED = 130;

/** Which rows a function gives, so that one that makes three groups runs once. */
const RUNNERS: readonly {
  readonly groups: readonly string[];
  readonly run: (context: BenchContext) => Promise<RowResult[]>;
}[] = [
  { groups: ['bulk-load'], run: bulkLoad },
  { groups: ['cold-get'], run: coldGet },
  { groups: ['hot-get'], run: hotGet },
  { groups: ['durable-put'], run: durablePut },
  { groups: ['batch-get-into'], run: batchGetInto },
  { groups: ['larger-than-memory'], run: largerThanMemory },
  { groups: ['index-memory', 'event-loop', 'reopen'], run: indexAndReopen },
  { groups: ['gather-1000'], run: gatherThousand },
  { groups: ['batch-get'], run: batchGet },
  { groups: ['ssd-index'], run: ssdIndex },
  { groups: ['tiered'], run: tiered },
  { groups: ['process-put'], run: processPut },
  { groups: ['churn'], run: churnSpace },
];

function wantedGroups(options: BenchOptions): ReadonlySet<string> {
  if (options.only.length > 0) return new Set(options.only);
  if (options.suite === 'composite') return new Set(COMPOSITE_GROUPS);
  return new Set(options.quick ? QUICK_GROUPS : ROW_GROUPS);
}

/** A row that fails is a row that says so; the others are measured all the same. */
async function runRows(context: BenchContext, wanted: ReadonlySet<string>): Promise<RowResult[]> {
  const rows: RowResult[] = [];
  for (const runner of RUNNERS) {
    const groups = runner.groups.filter((group) => wanted.has(group));
    if (groups.length === 0) continue;
    try {
      await context.quiesce();
      const found = await runner.run(context);
      rows.push(...found.filter((row) => wanted.has(row.group)));
    } catch (error) {
      context.say(`${groups.join(', ')} failed`);
      rows.push(...groups.map((group) => failedRow(group, error)));
    }
  }
  return rows;
}

async function measure(
  context: BenchContext,
  options: BenchOptions,
  argv: readonly string[],
): Promise<number> {
  const machine = await machineFacts(context.directory);
  const rows = await runRows(context, wantedGroups(options));
  const result: BenchResult = {
    mode: options.quick ? 'quick' : 'full',
    command: ['npm run bench --', ...argv.filter((one) => one !== '--')].join(' '),
    rounds: context.rounds,
    sliceMilliseconds: context.sliceMilliseconds,
    seconds: context.seconds(),
    machine,
    rows,
  };
  if (options.report !== null) {
    const file = resolve(options.report);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, await renderReport(result));
    context.say(`report: ${file}`);
  }
  const text = options.json
    ? JSON.stringify(jsonDocument(result), null, 2)
    : `${renderTable(rows)}\n${summary(rows)}`;
  await new Promise<void>((done) => process.stdout.write(`${text}\n`, () => done()));
  return rows.some(hasFailed) ? EXIT_FAILED : 0;
}

/** Runs the benchmark. @returns the exit code. */
export async function runBench(argv: string[]): Promise<number> {
  let options: BenchOptions | null;
  try {
    options = parseOptions(argv);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return EXIT_USAGE;
  }
  if (options === null) {
    process.stdout.write(USAGE);
    return 0;
  }
  const context = await BenchContext.create(options);
  const interrupted = (): void => {
    context.cleanUp();
    process.exit(EXIT_INTERRUPTED);
  };
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  try {
    return await measure(context, options, argv);
  } finally {
    process.off('SIGINT', interrupted);
    process.off('SIGTERM', interrupted);
    context.cleanUp();
  }
}

const started = process.argv[1];
const isProgram =
  started !== undefined &&
  existsSync(started) &&
  realpathSync(started) === fileURLToPath(import.meta.url);
if (isProgram) {
  runBench(process.argv.slice(2)).then(
    (code) => {
      process.exitCode = code;
    },
    (error: unknown) => {
      process.stderr.write(
        `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
      );
      process.exitCode = EXIT_FAILED;
    },
  );
}
