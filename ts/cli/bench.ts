import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import type { Context } from './context.js';
import { CliError, EXIT_FAILED, hasCode } from './errors.js';
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
  const checkout = checkoutOf(process.argv[1]);
  if (checkout !== undefined) {
    context.host.releaseSignals?.();
    return benchFromSources(checkout, args);
  }
  const benchmark = await loadBench();
  context.host.releaseSignals?.();
  return benchmark.runBench([...args]);
}

/** The folder above the built program that has the sources of the benchmark and what runs them. */
function checkoutOf(programFile: string | undefined): string | undefined {
  if (programFile === undefined || programFile.endsWith('.ts')) return undefined;
  // dist/esm/cli/main.js
  const root = join(dirname(realpathSync(programFile)), '..', '..', '..');
  const needed = ['bench/main.ts', 'node_modules/tsx/package.json'];
  return needed.every((name) => existsSync(join(root, name))) ? root : undefined;
}

/** As `npm run bench`, in a process of its own, which ends by itself at a signal of the terminal. */
async function benchFromSources(root: string, args: readonly string[]): Promise<number> {
  const tsx = pathToFileURL(createRequire(join(root, 'package.json')).resolve('tsx')).href;
  const child = spawn(process.execPath, ['--import', tsx, join(root, 'bench/main.ts'), ...args], {
    stdio: 'inherit',
  });
  const wait = (): void => undefined;
  const hand = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on('SIGINT', wait).on('SIGTERM', hand).on('SIGHUP', hand);
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    return code ?? EXIT_FAILED;
  } finally {
    process.off('SIGINT', wait).off('SIGTERM', hand).off('SIGHUP', hand);
  }
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
