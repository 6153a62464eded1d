import { CliError } from './errors.js';

/** A line without its end, and where the next one begins. */
export interface Line {
  readonly bytes: Buffer;
  readonly number: number;
  readonly next: number;
}

const NEWLINE = 0x0a;

/**
 * Splits a stream into lines, keeping count of bytes, so that reading can begin again in the middle.
 *
 * @param start byte and line number at which the stream begins.
 * @param lengthMax a longer line is an error: it would be held in memory whole.
 */
export async function* splitLines(
  stream: AsyncIterable<unknown>,
  start: { readonly byte: number; readonly line: number },
  lengthMax: number,
): AsyncGenerator<Line> {
  let pieces: Buffer[] = [];
  let held = 0;
  let { byte: next, line: number } = start;
  for await (const part of stream) {
    const chunk = Buffer.from(part as Uint8Array);
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      const tail = chunk.subarray(from, at);
      const bytes = held === 0 ? tail : Buffer.concat([...pieces, tail]);
      pieces = [];
      held = 0;
      from = at + 1;
      next += bytes.length + 1;
      yield { bytes, number: number++, next };
    }
    if (from === chunk.length) continue;
    pieces.push(chunk.subarray(from));
    held += chunk.length - from;
    if (held > lengthMax) {
      throw new CliError('CLI_BAD_INPUT', `line ${number} is longer than ${lengthMax} bytes`, {
        hint: 'NDJSON has one object per line; is this another format?',
      });
    }
  }
  if (held > 0) yield { bytes: Buffer.concat(pieces), number, next: next + held };
}
