import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { isUtf8 } from 'node:buffer';
import {
  isByteEncoding,
  parseKey,
  parseU64,
  parseValue,
  type KeyCodec,
  type ValueEncoding,
} from './encoding.js';
import { CliError } from './errors.js';
import type { ImportSource, LoadedEntry, Position, SourceEntry } from './import-source.js';
import { sliceField } from './json-slice.js';
import { splitLines, type Line } from './lines.js';

export interface NdjsonMapping {
  readonly keyField: string;
  /** undefined: the whole object is the value. */
  readonly valueField: string | undefined;
  readonly codec: KeyCodec;
  readonly valueEncoding: ValueEncoding;
}

/** A JavaScript string ends at 512 MiB; half of it leaves room for escapes. */
const LINE_BYTES_MAX = 256 * 1024 * 1024;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** One JSON object a line. */
export class NdjsonSource implements ImportSource {
  readonly unit = 'bytes';
  readonly skipped = { blank: 0 };

  constructor(
    /** A path, or a stream that can be read once. */
    private readonly source: string | Readable,
    private readonly mapping: NdjsonMapping,
  ) {}

  async total(): Promise<number> {
    return typeof this.source === 'string' ? (await stat(this.source)).size : 0;
  }

  async *entries(from: Position, signal: AbortSignal): AsyncIterable<SourceEntry> {
    const seekable = typeof this.source === 'string';
    const start = { byte: seekable ? (from.byte ?? 0) : 0, line: seekable ? (from.line ?? 1) : 1 };
    const stream = openStream(this.source, start.byte, signal);
    let entries = from.entries;
    for await (const line of splitLines(stream, start, LINE_BYTES_MAX)) {
      signal.throwIfAborted();
      if (line.next <= (from.byte ?? 0)) continue; // a stream that could not be read from the middle
      const bytes = line.number === 1 ? withoutMark(line.bytes) : line.bytes;
      if (isBlank(bytes)) {
        this.skipped.blank++;
        continue;
      }
      entries++;
      const entry = parseLine({ ...line, bytes }, this.mapping);
      yield {
        bytes: line.bytes.length,
        position: { entries, byte: line.next, line: line.number + 1 },
        done: line.next,
        load: () => entry,
      };
    }
  }
}

/** Aborting destroys the stream: a pipe that never delivers must not hold the command. */
export function openStream(
  source: string | Readable,
  start: number,
  signal: AbortSignal,
): Readable {
  const stream =
    typeof source === 'string'
      ? createReadStream(source, { start, highWaterMark: 1024 * 1024 })
      : source;
  const stop = (): void => void stream.destroy(signal.reason as Error);
  signal.addEventListener('abort', stop, { once: true });
  stream.once('close', () => signal.removeEventListener('abort', stop));
  return stream;
}

export function parseLine(line: Line, mapping: NdjsonMapping): LoadedEntry {
  const name = `line ${line.number}`;
  try {
    if (!isUtf8(line.bytes)) throw new CliError('CLI_BAD_INPUT', 'not valid UTF-8');
    const text = line.bytes.toString('utf8').trim();
    const object = parseObject(text);
    return { key: keyOf(object, text, mapping), value: valueOf(object, text, mapping), name };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const hint = error instanceof CliError ? error.hint : undefined;
    throw new CliError('CLI_BAD_INPUT', `${name}: ${reason}`, {
      cause: error,
      ...(hint === undefined ? {} : { hint }),
    });
  }
}

type JsonObject = ReadonlyMap<string, unknown>;

/** A Map, since `__proto__` and `constructor` are field names like any other. */
function parseObject(text: string): JsonObject {
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new CliError('CLI_BAD_INPUT', 'not a JSON object');
  }
  return new Map(Object.entries(parsed));
}

function keyOf(
  object: JsonObject,
  text: string,
  { keyField, codec }: NdjsonMapping,
): Buffer | bigint {
  const field = object.get(keyField);
  if (typeof field === 'number' && codec.type === 'u64') {
    // As it was written: JSON.parse has rounded what lies beyond 2^53.
    return parseU64(sliceField(text, keyField) ?? '');
  }
  if (typeof field !== 'string') {
    throw new CliError(
      'CLI_BAD_INPUT',
      `${field === undefined ? 'no field' : 'no text in field'} "${keyField}"`,
      {
        hint: 'Name the field with --key-field; keys are strings (or numbers with --key-type u64).',
      },
    );
  }
  const encoding = overrideOf(object, 'key');
  return parseKey(field, encoding === undefined ? codec : { ...codec, encoding });
}

function valueOf(object: JsonObject, text: string, mapping: NdjsonMapping): Buffer {
  if (mapping.valueField === undefined) return Buffer.from(text, 'utf8');
  const field = object.get(mapping.valueField);
  if (field === undefined) {
    throw new CliError('CLI_BAD_INPUT', `no field "${mapping.valueField}"`, {
      hint: 'Name the field with --value-field.',
    });
  }
  const override = overrideOf(object, 'value');
  if (override !== undefined && typeof field === 'string') return parseValue(field, override);
  if (mapping.valueEncoding === 'json') {
    return Buffer.from(sliceField(text, mapping.valueField) ?? JSON.stringify(field), 'utf8');
  }
  if (typeof field !== 'string') {
    throw new CliError('CLI_BAD_INPUT', `field "${mapping.valueField}" is no string`, {
      hint: 'Use --value-encoding json to store it as JSON.',
    });
  }
  return parseValue(field, mapping.valueEncoding);
}

/** `cairn export` writes `value_encoding` beside a value that is not text. */
function overrideOf(
  object: JsonObject,
  what: 'key' | 'value',
): 'utf8' | 'hex' | 'base64' | undefined {
  const name = object.get(`${what}_encoding`);
  return isByteEncoding(name) ? name : undefined;
}

function withoutMark(bytes: Buffer): Buffer {
  return bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK)
    ? bytes.subarray(BYTE_ORDER_MARK.length)
    : bytes;
}

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}
