import { stat } from 'node:fs/promises';
import { Transform, type Readable, type TransformCallback } from 'node:stream';
import { CsvError, parse, type Parser } from 'csv-parse';
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
    const text = stream.pipe(utf8Only());
    const parser = text.pipe(createParser(this.mapping));
    // pipe() does not hand errors on; the reader below must hear of them.
    for (const from of [stream, text]) from.once('error', (error) => parser.destroy(error));
    let header: readonly string[] | undefined;
    let entries = 0;
    try {
      for await (const row of parser as AsyncIterable<readonly string[]>) {
        signal.throwIfAborted();
        if (header === undefined) {
          header = checkHeader(row, this.mapping);
          continue;
        }
        // A quoted field may hold line ends, so rows are counted from the top; parsing is the cheap part.
        if (++entries <= from.entries) continue;
        const entry = toEntry(header, row, this.mapping, entries);
        yield {
          bytes: entry.value.length,
          position: { entries },
          done: parser.info.bytes,
          load: () => entry,
        };
      }
    } catch (error) {
      throw error instanceof CsvError
        ? new CliError('CLI_BAD_INPUT', `CSV: ${error.message}`, { cause: error })
        : error;
    } finally {
      stream.destroy();
    }
  }
}

/** Passes UTF-8 on and refuses the rest: the parser would put U+FFFD in its place. */
function utf8Only(): Transform {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let bytes = 0;
  const check = (chunk: Uint8Array | undefined, done: TransformCallback): void => {
    try {
      decoder.decode(chunk, { stream: chunk !== undefined });
    } catch (cause) {
      const where = `CSV: not valid UTF-8 after byte ${bytes}`;
      return done(new CliError('CLI_BAD_INPUT', where, { cause }));
    }
    bytes += chunk?.length ?? 0;
    done(null, chunk);
  };
  return new Transform({
    transform: (chunk: Uint8Array, _encoding, done) => check(chunk, done),
    flush: (done) => check(undefined, done),
  });
}

function createParser({ delimiter }: CsvMapping): Parser {
  return parse({ bom: true, delimiter, skip_empty_lines: true, max_record_size: ROW_BYTES_MAX });
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
  number: number,
): LoadedEntry {
  const name = `row ${number}`;
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
