import type { Command } from 'commander';
import type { VerifyReport } from '../index.js';
import type { Context } from './context.js';
import { EXIT_FAILED, EXIT_OK } from './errors.js';
import { escapeLine, formatBytes, plural } from './format.js';
import { addStoreOptions } from './options.js';
import type { Progress } from './progress.js';
import type { Runner } from './program.js';
import { withStore, type StoreOptions } from './session.js';

export function addVerify(program: Command, run: Runner): void {
  const command = program
    .command('verify')
    .description('read and check every record; exit code 1 when something is damaged')
    .argument('<store>', 'directory of the store');
  addStoreOptions(command).action((store: string) =>
    run((context) => verify(context, store, command.opts<StoreOptions>())),
  );
}

async function verify(context: Context, path: string, options: StoreOptions): Promise<number> {
  const started = performance.now();
  const report = await withStore(context, path, options, 'read', async ({ store }) => {
    let progress: Progress | undefined;
    try {
      return await store.verify({
        signal: context.signal,
        progress: (done, total) => {
          progress ??= context.progress({ label: 'verify', unit: 'records', total });
          progress.update(done);
        },
      });
    } finally {
      progress?.stop();
    }
  });
  const seconds = (performance.now() - started) / 1000;
  if (context.output.json)
    await context.output.jsonLine({ ok: report.damagedCount === 0, ...report, seconds });
  else await print(context, report);
  return report.damagedCount === 0 ? EXIT_OK : EXIT_FAILED;
}

async function print(context: Context, report: VerifyReport): Promise<void> {
  const { output } = context;
  for (const { file, offset, reason } of report.damaged) {
    await output.line(
      `${output.red('damaged')} ${escapeLine(file)} at ${offset}: ${escapeLine(reason)}`,
    );
  }
  const unlisted = report.damagedCount - report.damaged.length;
  if (unlisted > 0) await output.line(`... and ${unlisted} more`);
  const checked = `${plural(report.records, 'record')}, ${formatBytes(report.bytes)} checked`;
  if (report.damagedCount === 0) {
    await output.line(`${output.green('ok')}: ${checked}, no damage`);
    return;
  }
  await output.line(`${output.red('DAMAGED')}: ${checked}, ${report.damagedCount} damaged`);
  output.error(
    'cairn: CLI_DAMAGED: damage found\n' +
      '  what to do: copy the store directory before anything else; the listed entries are lost,\n' +
      '  the others can still be read.\n',
  );
}
