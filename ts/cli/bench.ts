import type { Command } from 'commander';
import type { Context } from './context.js';
import { CliError, hasCode } from './errors.js';
import type { Runner } from './program.js';

/** Relative to this file, in the sources (bench/main.ts) as in the package (dist/bench/main.js). */
const BENCH_MODULE = '../../bench/main.js';

export function addBench(program: Command, run: Runner): void {
  program
    .command('bench')
    .description('measure throughput, latency and amplification; options: cairn bench --help')
    .argument('[arguments...]', 'handed to the benchmark as they are')
    .helpOption(false)
    .allowUnknownOption()
    .action((args: string[]) => run((context) => bench(context, args)));
}

async function bench(context: Context, args: readonly string[]): Promise<number> {
  const benchmark = await loadBench();
  context.host.releaseSignals?.();
  return benchmark.runBench([...args]);
}

/** Hides the benchmark's options from our own parser: `cairn bench --json` is the benchmark's --json. */
export function shieldBenchArguments(argv: readonly string[]): string[] {
  const at = argv.findIndex((argument) => !argument.startsWith('-'));
  if (argv[at] !== 'bench') return [...argv];
  return ['bench', '--', ...argv.slice(0, at), ...argv.slice(at + 1)];
}

interface BenchModule {
  runBench(argv: string[]): Promise<number>;
}

/** The benchmark is a tool of its own: loaded by name so that this room does not depend on it. */
async function loadBench(): Promise<BenchModule> {
  try {
    return (await import(BENCH_MODULE)) as BenchModule;
  } catch (cause) {
    const absent = hasCode(cause, 'ERR_MODULE_NOT_FOUND') || hasCode(cause, 'MODULE_NOT_FOUND');
    throw new CliError(
      'CLI_MISSING',
      absent ? 'the benchmark is not installed' : 'the benchmark does not load',
      {
        cause,
        hint: 'It needs fio, lmdb and classic-level beside it: run `npm run bench` in a checkout.',
      },
    );
  }
}
