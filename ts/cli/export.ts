import { once } from 'node:events';
import { createWriteStream, existsSync, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import { extname } from 'node:path';
import { Option, type Command } from 'commander';
import type { StoredKey } from '../index.js';
import type { Context } from './context.js';
import {
  encodeBytes,
  entryLine,
  formatKey,
  type KeyCodec,
  type ValueEncoding,
} from './encoding.js';
import { CliError, EXIT_FAILED, EXIT_OK, usageError } from './errors.js';
import { exportTree } from './export-tree.js';
import { escapeLine, formatBytes, formatDuration, plural } from './format.js';
import { FORMATS, type Format } from './import.js';
import { addStoreOptions, addValueEncoding, type ValueOptions } from './options.js';
import type { Runner } from './program.js';
import { withStore, type Session, type StoreOptions } from './session.js';

interface ExportOptions extends StoreOptions, ValueOptions {
  readonly format?: Format;
  readonly overwrite?: boolean;
}

/** What went out; `refused` entries have keys that are no safe path. */
export interface ExportResult {
  entries: number;
  bytes: number;
  refused: number;
}

export function addExport(program: Command, run: Runner): void {
  const command = program
    .command('export')
    .description('write all entries to a directory tree, NDJSON or CSV')
    .argument('<store>', 'directory of the store')
    .argument('<target>', 'directory or file, or - for stdout')
    .addOption(
      new Option(
        '--format <format>',
        'format of the target (default: by its name; stdout: ndjson)',
      ).choices([...FORMATS]),
    )
    .option('--overwrite', 'replace files that are there');
  addValueEncoding(addStoreOptions(command), 'utf8').action((store: string, target: string) =>
    run((context) => exportFrom(context, store, target, command.opts<ExportOptions>())),
  );
}

async function exportFrom(
  context: Context,
  path: string,
  target: string,
  options: ExportOptions,
): Promise<number> {
  const format = options.format ?? guessFormat(target);
  if (format === 'dir' && target === '-') throw usageError('stdout is no directory');
  if (format === 'dir' && options.valueEncoding !== undefined) {
    throw usageError(
      '--value-encoding does not go with --format dir',
      'Values are written as their bytes are.',
    );
  }
  if (format !== 'dir' && target !== '-' && existsSync(target) && options.overwrite !== true) {
    throw new CliError('CLI_REFUSED', `${target} is there already`, {
      hint: 'Choose another file, or pass --overwrite.',
    });
  }
  const started = performance.now();
  const result = await withStore(context, path, options, 'read', (session) =>
    format === 'dir'
      ? exportTree(context, session, target, options.overwrite === true)
      : exportLines(
          context,
          session,
          target,
          lineWriter(format, session.codec, options.valueEncoding ?? 'utf8'),
        ),
  );
  await printSummary(context, target, result, (performance.now() - started) / 1000);
  return result.refused === 0 ? EXIT_OK : EXIT_FAILED;
}

interface LineWriter {
  readonly header: string;
  line(key: StoredKey, value: Buffer): string;
}

function lineWriter(
  format: 'ndjson' | 'csv',
  codec: KeyCodec,
  encoding: ValueEncoding,
): LineWriter {
  return format === 'ndjson'
    ? { header: '', line: (key, value) => `${entryLine(key, value, codec, encoding)}\n` }
    : { header: 'key,value\r\n', line: (key, value) => csvLine(key, value, codec, encoding) };
}

/** RFC 4180. A cell has no room to say that it is base64, so what is not text has to be asked for. */
export function csvLine(
  key: StoredKey,
  value: Buffer,
  codec: KeyCodec,
  encoding: ValueEncoding,
): string {
  const name = formatKey(key, codec);
  const text = encodeBytes(value, encoding === 'json' ? 'utf8' : encoding);
  if (name.encoding !== undefined || text === undefined) {
    const what = name.encoding !== undefined ? 'key' : 'value';
    throw new CliError(
      'CLI_NOT_TEXT',
      `the ${what} of ${escapeLine(name.text)} is not valid UTF-8`,
      {
        hint: `Use --${what}-encoding hex or base64, or --format ndjson.`,
      },
    );
  }
  return `${quote(name.text)},${quote(text)}\r\n`;
}

function quote(cell: string): string {
  // A byte order mark is quoted as well: at the start of a file a reader would drop it.
  return cell === '' || /[",\r\n\uFEFF]|^\s|\s$/.test(cell)
    ? `"${cell.replaceAll('"', '""')}"`
    : cell;
}

async function exportLines(
  context: Context,
  { store }: Session,
  target: string,
  writer: LineWriter,
): Promise<ExportResult> {
  const sink = target === '-' ? stdoutSink(context) : fileSink(target);
  const progress = context.progress({ label: 'export', unit: 'entries', total: store.size });
  const result: ExportResult = { entries: 0, bytes: 0, refused: 0 };
  try {
    if (writer.header !== '') await sink.write(writer.header);
    for await (const [key, value] of store.entries({ signal: context.signal })) {
      await sink.write(writer.line(key, value));
      result.bytes += value.length;
      progress.update(++result.entries);
    }
    await sink.finish();
  } catch (error) {
    await sink.discard();
    throw error;
  } finally {
    progress.stop();
  }
  return result;
}

interface Sink {
  write(text: string): Promise<void>;
  finish(): Promise<void>;
  discard(): Promise<void>;
}

function stdoutSink({ output, signal }: Context): Sink {
  return {
    write: async (text) => {
      await output.data(text);
      signal.throwIfAborted();
    },
    finish: () => Promise.resolve(),
    discard: () => Promise.resolve(),
  };
}

/** The name appears when the file is whole: a half export cannot be taken for one. */
function fileSink(target: string): Sink {
  const temporary = `${target}.partial`;
  const stream = createWriteStream(temporary, { mode: 0o600, highWaterMark: 1024 * 1024 });
  const done = finished(stream);
  done.catch(() => undefined); // looked at in finish(); a failure may come before
  return {
    write: async (text) => {
      if (stream.errored !== null) await done;
      if (stream.write(text)) return;
      await Promise.race([once(stream, 'drain'), done]);
    },
    finish: async () => {
      stream.end();
      await done;
      await rename(temporary, target);
    },
    discard: async () => {
      stream.destroy();
      await done.catch(() => undefined);
      await rm(temporary, { force: true });
    },
  };
}

function guessFormat(target: string): Format {
  if (target === '-') return 'ndjson';
  if (target.endsWith('/') || (existsSync(target) && statSync(target).isDirectory())) return 'dir';
  switch (extname(target).toLowerCase()) {
    case '.ndjson':
    case '.jsonl':
      return 'ndjson';
    case '.csv':
      return 'csv';
    default:
      throw usageError(
        `cannot tell the format of ${target}`,
        `Say it with --format ${FORMATS.join('|')}.`,
      );
  }
}

async function printSummary(
  { output }: Context,
  target: string,
  result: ExportResult,
  seconds: number,
): Promise<void> {
  // stdout holds the entries themselves then.
  if (target === '-') return;
  if (output.json) {
    await output.jsonLine({ ...result, seconds });
    return;
  }
  await output.line(
    `${plural(result.entries, 'entry', 'entries')}, ${formatBytes(result.bytes)} in ${formatDuration(seconds)}`,
  );
  if (result.refused > 0)
    await output.line(
      `${plural(result.refused, 'entry', 'entries')} refused: the key is no path below the target`,
    );
}
