import { isUtf8 } from 'node:buffer';
import { stat } from 'node:fs/promises';
import { Transform, type Readable } from 'node:stream';
import { CsvError, parse, type Options, type Parser } from 'csv-parse';
import { parseKey, parseValue, type KeyCodec, type ValueEncoding } from './encoding.js';
import { CliError } from './errors.js';
import type { ImportSource, LoadedEntry, Position, SourceEntry } from './import-source.js';
import { openStream } from './source-ndjson.js';

export interface CsvMapping {
  /** undefined: the first column. */
  readonly keyColumn: string | undefined;
  /** undefined: the whole row as a JSON object. */
  readonly valueColumn: string | undefined;
  readonly delimiter: string;
  readonly codec: KeyCodec;
  readonly valueEncoding: ValueEncoding;
}

const MARK = Buffer.from('\ufeff', 'utf8');
const ROW_BYTES_MAX = 256 * 1024 * 1024;

/** Rows under a header line (RFC 4180). */
export class CsvSource implements ImportSource {
  readonly unit = 'bytes';
  readonly skipped = {};

  constructor(
    private readonly source: string | Readable,
    private readonly mapping: CsvMapping,
  ) {}

  async total(): Promise<number> {
    return typeof this.source === 'string' ? (await stat(this.source)).size : 0;
  }

  async *entries(from: Position, signal: AbortSignal): AsyncIterable<SourceEntry> {
    const stream = openStream(this.source, 0, signal);
    const parser = stream.pipe(withoutMark()).pipe(createParser(this.mapping));
    // pipe() does not hand errors on; the reader below must hear of them.
    stream.once('error', (error) => parser.destroy(error));
    let header: readonly string[] | undefined;
    let entries = 0;
    try {
      for await (const row of parser as AsyncIterable<readonly Buffer[]>) {
        signal.throwIfAborted();
        if (header === undefined) {
          header = checkHeader(decodeRow(row, 'the header'), this.mapping);
          continue;
        }
        // A quoted field may hold line ends, so rows are counted from the top; parsing is the cheap part.
        if (++entries <= from.entries) continue;
        const name = `row ${entries}`;
        const entry = toEntry(header, decodeRow(row, name), this.mapping, name);
        yield {
          bytes: entry.value.length,
          position: { entries },
          done: parser.info.bytes,
          load: () => entry,
        };
      }
    } catch (error) {
      throw error instanceof CsvError
        ? new CliError('CLI_BAD_INPUT', `CSV: ${reasonOf(error)}`, { cause: error })
        : error;
    } finally {
      stream.destroy();
    }
  }
}

/** Without the mark before UTF-8, behind which the parser would decode the text by itself. */
function withoutMark(): Transform {
  let head: Buffer | undefined = Buffer.alloc(0);
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      if (head === undefined) return done(null, chunk);
      head = Buffer.concat([head, chunk]);
      if (head.length < MARK.length) return done();
      const marked = head.subarray(0, MARK.length).equals(MARK);
      done(null, marked ? head.subarray(MARK.length) : head);
      head = undefined;
    },
    flush: (done) => done(null, head),
  });
}

function createParser({ delimiter }: CsvMapping): Parser {
  const options: Options & { readonly autoDestroy: boolean } = {
    delimiter,
    // Rows before a wrong one are handed out, wherever the text was cut.
    autoDestroy: false,
    // As bytes: decoded by the parser, what is not UTF-8 would be U+FFFD.
    encoding: null,
    skip_empty_lines: true,
    max_record_size: ROW_BYTES_MAX,
  };
  return parse(options);
}

/** Without the field itself, which the parser writes out byte by byte. */
function reasonOf({ message }: CsvError): string {
  return message.replace(/, value is \{.*$/s, '');
}

function decodeRow(row: readonly Buffer[], name: string): string[] {
  const bad = row.findIndex((field) => !isUtf8(field));
  if (bad < 0) return row.map((field) => field.toString('utf8'));
  throw new CliError('CLI_BAD_INPUT', `${name}: field ${bad + 1} is not valid UTF-8`);
}

function checkHeader(
  header: readonly string[],
  { keyColumn, valueColumn }: CsvMapping,
): readonly string[] {
  for (const column of [keyColumn, valueColumn]) {
    if (column !== undefined && !header.includes(column)) {
      throw new CliError(
        'CLI_BAD_INPUT',
        `no column "${column}" in the header: ${header.join(', ')}`,
        {
          hint: 'Name columns with --key-column and --value-column, the separator with --delimiter.',
        },
      );
    }
  }
  const repeated = header.find((name, i) => header.indexOf(name) !== i);
  if (repeated !== undefined)
    throw new CliError('CLI_BAD_INPUT', `column "${repeated}" is there twice`);
  return header;
}

function toEntry(
  header: readonly string[],
  row: readonly string[],
  mapping: CsvMapping,
  name: string,
): LoadedEntry {
  const column = (wanted: string | undefined): string =>
    row[wanted === undefined ? 0 : header.indexOf(wanted)] ?? '';
  try {
    const key = parseKey(column(mapping.keyColumn), mapping.codec);
    const value =
      mapping.valueColumn === undefined
        ? Buffer.from(rowObject(header, row), 'utf8')
        : parseValue(column(mapping.valueColumn), mapping.valueEncoding);
    return { key, value, name };
  } catch (error) {
    throw new CliError(
      'CLI_BAD_INPUT',
      `${name}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}

/** Written out by hand: an object would reorder columns that are named by numbers. */
function rowObject(header: readonly string[], row: readonly string[]): string {
  return `{${header.map((name, i) => `${JSON.stringify(name)}:${JSON.stringify(row[i] ?? '')}`).join(',')}}`;
}
