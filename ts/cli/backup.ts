import type { Command } from 'commander';
import type { BackupReport } from '../index.js';
import type { Context } from './context.js';
import { EXIT_FAILED, EXIT_OK } from './errors.js';
import { escapeLine, formatBytes, formatDuration, plural } from './format.js';
import { addStoreOptions } from './options.js';
import type { Progress } from './progress.js';
import type { Runner } from './program.js';
import { withStore, type StoreOptions } from './session.js';

interface BackupCommandOptions extends StoreOptions {
  readonly keepDamaged?: boolean;
}

export function addBackup(program: Command, run: Runner): void {
  add(program, run, 'backup', 'store', 'copy a store to an empty directory, checking every record');
}

/** A backup is a store: to restore it is to copy it again. */
export function addRestore(program: Command, run: Runner): void {
  add(program, run, 'restore', 'backup', 'make a store from a backup, checking every record');
}

function add(
  program: Command,
  run: Runner,
  name: 'backup' | 'restore',
  source: string,
  description: string,
): void {
  const command = program
    .command(name)
    .description(description)
    .argument(`<${source}>`, `directory of the ${source}`)
    .argument('<target>', 'a new or an empty directory')
    .option('--keep-damaged', 'copy damaged records as they are and list them, instead of failing');
  addStoreOptions(command).action((from: string, target: string) =>
    run((context) => copy(context, name, from, target, command.opts<BackupCommandOptions>())),
  );
}

async function copy(
  context: Context,
  label: string,
  from: string,
  target: string,
  options: BackupCommandOptions,
): Promise<number> {
  const started = performance.now();
  const report = await withStore(context, from, options, 'read', async ({ store }) => {
    let progress: Progress | undefined;
    try {
      return await store.backup(target, {
        signal: context.signal,
        keepDamaged: options.keepDamaged === true,
        progress: ({ bytes, totalBytes }) => {
          progress ??= context.progress({ label, unit: 'bytes', total: totalBytes });
          progress.update(bytes);
        },
      });
    } finally {
      progress?.stop();
    }
  });
  const seconds = (performance.now() - started) / 1000;
  if (context.output.json) {
    await context.output.jsonLine({ ok: report.damagedCount === 0, ...report, seconds });
  } else await print(context, report, seconds);
  return report.damagedCount === 0 ? EXIT_OK : EXIT_FAILED;
}

async function print({ output }: Context, report: BackupReport, seconds: number): Promise<void> {
  for (const { file, offset, reason } of report.damaged) {
    await output.line(
      `${output.red('damaged')} ${escapeLine(file)} at ${offset}: ${escapeLine(reason)}`,
    );
  }
  await output.line(
    `${formatBytes(report.bytes)} in ${formatDuration(seconds)}, up to sequence ${report.sequence}`,
  );
  if (report.damagedCount === 0) return;
  output.error(
    `cairn: CLI_DAMAGED: ${plural(report.damagedCount, 'record')} did not check\n` +
      '  what to do: the copy has them as they are and says CAIRN_CORRUPTION for their keys;\n' +
      '  all others can be read.\n',
  );
}
