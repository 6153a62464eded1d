import type { Command } from 'commander';
import type { RepairReport } from '../index.js';
import type { Context } from './context.js';
import { EXIT_FAILED, EXIT_OK } from './errors.js';
import { escapeLine, formatBytes, formatDuration, plural } from './format.js';
import { parseWhole } from './options.js';
import type { Runner } from './program.js';
import { readConfig } from './session.js';

interface RepairCommandOptions {
  readonly config?: string;
  readonly lockTimeoutMs?: number;
}

export function addRepair(program: Command, run: Runner): void {
  const command = program
    .command('repair')
    .description(
      'make a store of what checks in a damaged one, and list what was given up; exit code 1 when there is such',
    )
    .argument('<store>', 'directory of the damaged store, which stays as it is')
    .argument('<target>', 'a new or an empty directory')
    .option('--config <file|json>', 'configuration document of the new store (default: as the old)')
    .option('--lock-timeout-ms <ms>', 'how long to wait for the damaged store', parseWhole);
  command.action((store: string, target: string) =>
    run((context) => repairStore(context, store, target, command.opts<RepairCommandOptions>())),
  );
}

async function repairStore(
  context: Context,
  path: string,
  target: string,
  { config, lockTimeoutMs }: RepairCommandOptions,
): Promise<number> {
  const started = performance.now();
  // Loaded when it is used, as for opening a store.
  const { repair } = await import('../index.js');
  const report = await repair(path, target, {
    signal: context.signal,
    ...(lockTimeoutMs === undefined ? {} : { config: { lock_timeout_ms: lockTimeoutMs } }),
    ...(config === undefined ? {} : { target: readConfig(config) }),
  });
  const seconds = (performance.now() - started) / 1000;
  if (context.output.json) {
    await context.output.jsonLine({ ok: report.damagedCount === 0, ...report, seconds });
  } else await print(context, report, seconds);
  return report.damagedCount === 0 ? EXIT_OK : EXIT_FAILED;
}

async function print({ output }: Context, report: RepairReport, seconds: number): Promise<void> {
  for (const { file, offset, reason } of report.damaged) {
    await output.line(
      `${output.red('given up')} ${escapeLine(file)} at ${offset}: ${escapeLine(reason)}`,
    );
  }
  await output.line(
    `${plural(report.entries, 'record')}, ${formatBytes(report.bytes)} saved in ${formatDuration(seconds)}`,
  );
  if (report.damagedCount === 0) return;
  output.error(
    `cairn: CLI_DAMAGED: ${plural(report.damagedCount, 'place')} did not check\n` +
      '  what to do: entries may be missing, or as they were before; compare with a backup, and\n' +
      '  keep the damaged store until you have.\n',
  );
}
