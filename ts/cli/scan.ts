import type { Command } from 'commander';
import type { StoredKey } from '../index.js';
import type { Context } from './context.js';
import {
  encodeBytes,
  entryLine,
  formatKey,
  type KeyCodec,
  type ValueEncoding,
} from './encoding.js';
import { EXIT_OK } from './errors.js';
import { escapeLine } from './format.js';
import { addStoreOptions, addValueEncoding, parseWhole, type ValueOptions } from './options.js';
import type { Runner } from './program.js';
import { withStore, type Session, type StoreOptions } from './session.js';

type ScanOptions = StoreOptions &
  ValueOptions & { readonly limit?: number; readonly keysOnly?: boolean };

export function addScan(program: Command, run: Runner): void {
  const command = program
    .command('scan')
    .description(
      'list entries, one a line: key, tab, value (control characters escaped); NDJSON with --json',
    )
    .argument('<store>', 'directory of the store')
    .option('--limit <count>', 'stop after so many entries', parseWhole)
    .option('--keys-only', 'leave the values out; they are not read');
  addValueEncoding(addStoreOptions(command), 'utf8').action((store: string) =>
    run((context) => scan(context, store, command.opts<ScanOptions>())),
  );
}

async function scan(context: Context, path: string, options: ScanOptions): Promise<number> {
  await withStore(context, path, options, 'read', async (session) => {
    const limit = options.limit ?? Number.POSITIVE_INFINITY;
    let count = 0;
    if (limit === 0) return;
    const encoding = options.valueEncoding ?? 'utf8';
    for await (const [key, value] of pairs(session, options.keysOnly === true, context.signal)) {
      await context.output.line(
        context.output.json
          ? entryLine(key, value, session.codec, encoding)
          : plainLine(key, value, session.codec, encoding),
      );
      if (++count >= limit) break;
    }
  });
  return EXIT_OK;
}

async function* pairs(
  { store }: Session,
  keysOnly: boolean,
  signal: AbortSignal,
): AsyncIterable<readonly [StoredKey, Buffer | undefined]> {
  if (!keysOnly) yield* store.entries({ signal });
  else for await (const key of store.keys({ signal })) yield [key, undefined];
}

/** For people: what is not text is shown as base64 and marked; NDJSON is the exact form. */
function plainLine(
  key: StoredKey,
  value: Buffer | undefined,
  codec: KeyCodec,
  encoding: ValueEncoding,
): string {
  const name = formatKey(key, codec);
  const left = name.encoding === undefined ? escapeLine(name.text) : `base64:${name.text}`;
  if (value === undefined) return left;
  const text = encodeBytes(value, encoding === 'json' ? 'utf8' : encoding);
  return `${left}\t${text === undefined ? `base64:${value.toString('base64')}` : escapeLine(text)}`;
}
