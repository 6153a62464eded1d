import { existsSync, statSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { extname, relative, resolve } from 'node:path';
import { Option, type Command } from 'commander';
import type { Context } from './context.js';
import type { KeyCodec } from './encoding.js';
import { CliError, EXIT_OK, usageError } from './errors.js';
import { formatBytes, formatCount, formatDuration, plural } from './format.js';
import { runImport, type ImportResult } from './import-run.js';
import type { ImportSource } from './import-source.js';
import { identify, removeState, statePath } from './import-state.js';
import { addStoreOptions, addValueEncoding, type ValueOptions } from './options.js';
import type { Runner } from './program.js';
import { withStore, type StoreOptions } from './session.js';
import { CsvSource } from './source-csv.js';
import { DirectorySource } from './source-dir.js';
import { NdjsonSource } from './source-ndjson.js';

export const FORMATS = ['dir', 'ndjson', 'csv'] as const;
export type Format = (typeof FORMATS)[number];

interface ImportOptions extends StoreOptions, ValueOptions {
  readonly format?: Format;
  readonly keyField?: string;
  readonly valueField?: string;
  readonly keyColumn?: string;
  readonly valueColumn?: string;
  readonly delimiter?: string;
  readonly resume?: boolean;
}

export function addImport(program: Command, run: Runner): void {
  const command = program
    .command('import')
    .description('load a directory tree, NDJSON or CSV; makes the store when it is not there')
    .argument('<store>', 'directory of the store')
    .argument('<source>', 'directory or file, or - for stdin')
    .addOption(
      new Option(
        '--format <format>',
        'format of the source (default: by its name; stdin: ndjson)',
      ).choices([...FORMATS]),
    )
    .option('--key-field <name>', 'ndjson: field that is the key (default: key)')
    .option(
      '--value-field <name>',
      'ndjson: field that is the value (default: value; the whole object with --key-field)',
    )
    .option('--key-column <name>', 'csv: column that is the key (default: the first)')
    .option(
      '--value-column <name>',
      'csv: column that is the value (default: the whole row as JSON)',
    )
    .option(
      '--delimiter <character>',
      'csv: what separates columns, \\t for tabs (default: a comma; a tab in .tsv files)',
    )
    .option(
      '--resume',
      'go on where an ended run has left off (default; stdin: only when asked for)',
    )
    .option('--no-resume', 'begin at the top');
  addValueEncoding(addStoreOptions(command), 'utf8').action((store: string, source: string) =>
    run((context) => importInto(context, store, source, command)),
  );
}

async function importInto(
  context: Context,
  path: string,
  source: string,
  command: Command,
): Promise<number> {
  const options = command.opts<ImportOptions>();
  const format = options.format ?? guessFormat(source);
  checkOptions(options, format, source);
  await refuseStoreInside(path, source);
  // The same bytes need not come out of a pipe twice, so there the user has to say so.
  const resume = options.resume ?? source !== '-';

  const started = performance.now();
  const result = await withStore(context, path, options, 'create', async ({ store, codec }) => {
    const reader = createSource(context, format, source, options, codec);
    const identity = await identify(path, source, mappingOf(options, format, codec));
    const state = { path: statePath(path), identity };
    if (!resume) await removeState(state.path);
    return runImport(context, store, reader, { state, keepState: resume || source !== '-' });
  });
  await printSummary(context, result, (performance.now() - started) / 1000);
  return EXIT_OK;
}

function createSource(
  context: Context,
  format: Format,
  source: string,
  options: ImportOptions,
  codec: KeyCodec,
): ImportSource {
  const input = source === '-' ? context.host.stdin : source;
  const valueEncoding = options.valueEncoding ?? 'utf8';
  switch (format) {
    case 'dir':
      return new DirectorySource(source, codec);
    case 'ndjson':
      return new NdjsonSource(input, { ...ndjsonFields(options), codec, valueEncoding });
    case 'csv':
      return new CsvSource(input, {
        keyColumn: options.keyColumn,
        valueColumn: options.valueColumn,
        delimiter: delimiterOf(options, source),
        codec,
        valueEncoding,
      });
  }
}

function delimiterOf({ delimiter }: ImportOptions, source: string): string {
  if (delimiter === undefined) return extname(source).toLowerCase() === '.tsv' ? '\t' : ',';
  return delimiter === '\\t' ? '\t' : delimiter;
}

function ndjsonFields({ keyField, valueField }: ImportOptions): {
  keyField: string;
  valueField: string | undefined;
} {
  return {
    keyField: keyField ?? 'key',
    valueField: valueField ?? (keyField === undefined ? 'value' : undefined),
  };
}

/** Everything that decides which bytes become which entry. */
function mappingOf(options: ImportOptions, format: Format, codec: KeyCodec): unknown {
  const { valueEncoding, keyColumn, valueColumn, delimiter } = options;
  return {
    format,
    codec,
    valueEncoding,
    ...ndjsonFields(options),
    keyColumn,
    valueColumn,
    delimiter,
  };
}

export function guessFormat(source: string): Format {
  if (source === '-') return 'ndjson';
  if (existsSync(source) && statSync(source).isDirectory()) return 'dir';
  switch (extname(source).toLowerCase()) {
    case '.ndjson':
    case '.jsonl':
      return 'ndjson';
    case '.csv':
    case '.tsv':
      return 'csv';
    default:
      throw usageError(
        `cannot tell the format of ${source}`,
        `Say it with --format ${FORMATS.join('|')}.`,
      );
  }
}

function checkOptions(options: ImportOptions, format: Format, source: string): void {
  const belongs: readonly (readonly [keyof ImportOptions, string, Format])[] = [
    ['keyField', '--key-field', 'ndjson'],
    ['valueField', '--value-field', 'ndjson'],
    ['keyColumn', '--key-column', 'csv'],
    ['valueColumn', '--value-column', 'csv'],
    ['delimiter', '--delimiter', 'csv'],
  ];
  for (const [name, flag, owner] of belongs) {
    if (options[name] !== undefined && format !== owner) {
      throw usageError(`${flag} goes with --format ${owner}, not with ${format}`);
    }
  }
  if (format === 'dir' && options.valueEncoding !== undefined) {
    throw usageError(
      '--value-encoding does not go with --format dir',
      'Files are stored as their bytes are.',
    );
  }
  if (source === '-') {
    if (format === 'dir') throw usageError('stdin is no directory');
    return;
  }
  const found = statSync(source, { throwIfNoEntry: false });
  if (found === undefined)
    throw new CliError('CLI_BAD_INPUT', `${source} does not exist`, {
      hint: 'Check the path of the source.',
    });
  if (found.isDirectory() !== (format === 'dir')) {
    throw usageError(
      `${source} is ${found.isDirectory() ? 'a directory' : 'no directory'}, the format is ${format}`,
    );
  }
}

/** A store that imports its own growing files never comes to an end. */
async function refuseStoreInside(store: string, source: string): Promise<void> {
  if (source === '-' || !statSync(source).isDirectory()) return;
  const inside = relative(
    await realpath(source),
    await realpath(store).catch(() => resolve(store)),
  );
  if (inside !== '..' && !inside.startsWith('../')) {
    throw usageError(
      `the store ${store} lies inside the source ${source}`,
      'Choose a store outside of the source.',
    );
  }
}

async function printSummary(
  { output }: Context,
  result: ImportResult,
  seconds: number,
): Promise<void> {
  if (output.json) {
    await output.jsonLine({ ...result, seconds });
    return;
  }
  const rate = seconds > 0 ? `, ${formatCount(result.entries / seconds)}/s` : '';
  await output.line(
    `${plural(result.entries, 'entry', 'entries')}, ${formatBytes(result.bytes)} in ${formatDuration(seconds)}${rate}`,
  );
  if (result.resumedAt > 0)
    await output.line(
      `${plural(result.resumedAt, 'entry', 'entries')} were there from an earlier run`,
    );
  const skipped = Object.entries(result.skipped).filter(([, count]) => count > 0);
  if (skipped.length > 0)
    await output.line(`skipped: ${skipped.map(([what, count]) => `${count} ${what}`).join(', ')}`);
}
