import { parseArgs } from 'node:util';
import type { BenchOptions } from './context.js';

export const ROW_GROUPS = [
  'bulk-load',
  'cold-get',
  'hot-get',
  'durable-put',
  'batch-get-into',
  'larger-than-memory',
  'index-memory',
  'event-loop',
  'reopen',
] as const;
/** What part the composite plays: allocators, an index on the device, other durability. */
export const COMPOSITE_GROUPS = [
  'gather-1000',
  'batch-get',
  'ssd-index',
  'tiered',
  'process-put',
  'churn',
] as const;
const SUITES = ['yardsticks', 'composite'] as const;
const ALL_GROUPS = [...ROW_GROUPS, ...COMPOSITE_GROUPS];
export type RowGroup = (typeof ALL_GROUPS)[number];

/** Fill, get, put and gather; the rest takes minutes to load. */
export const QUICK_GROUPS: readonly RowGroup[] = [
  'bulk-load',
  'cold-get',
  'hot-get',
  'durable-put',
  'batch-get-into',
];

export const USAGE = `usage: npm run bench -- [options]     (or: cairn bench [options])

  --quick             3 short turns a row instead of 5 of 2 s; not the rows that load 10 M keys
  --suite name        yardsticks (the rows of the design, the default) or composite
  --only row,row      row groups: ${ROW_GROUPS.join(', ')};
                      of the composite: ${COMPOSITE_GROUPS.join(', ')}
  --rounds n          turns a row, 1 to 100
  --dir path          where the data goes (removed at the end); default: build/ of the project
  --json              one JSON document on the standard output instead of the table
  --report file       also writes one self-contained HTML file
  --help
`;

/** A command line that cannot be followed. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

function rounds(text: string | undefined): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 100) {
    throw new UsageError(`--rounds ${text}: an integer of 1 to 100 is needed`);
  }
  return value;
}

function groups(text: string | undefined): RowGroup[] {
  if (text === undefined) return [];
  const names = text.split(',').map((name) => name.trim());
  return names.map((name) => {
    const found = ALL_GROUPS.find((group) => group === name);
    if (found !== undefined) return found;
    throw new UsageError(`--only ${name}: no such row; there are ${ALL_GROUPS.join(', ')}`);
  });
}

function suite(text: string): BenchOptions['suite'] {
  const found = SUITES.find((name) => name === text);
  if (found !== undefined) return found;
  throw new UsageError(`--suite ${text}: no such suite; there are ${SUITES.join(', ')}`);
}

/** @returns null when help is wanted. @throws UsageError */
export function parseOptions(argv: readonly string[]): BenchOptions | null {
  // npm hands over the `--` that separates its own options, and so does the command `cairn bench`.
  const args = argv.filter((argument) => argument !== '--');
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        json: { type: 'boolean', default: false },
        quick: { type: 'boolean', default: false },
        suite: { type: 'string', default: 'yardsticks' },
        only: { type: 'string' },
        dir: { type: 'string' },
        report: { type: 'string' },
        rounds: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  if (values.help) return null;
  return {
    json: values.json,
    quick: values.quick,
    suite: suite(values.suite),
    only: groups(values.only),
    directory: values.dir ?? null,
    report: values.report ?? null,
    rounds: rounds(values.rounds),
  };
}
