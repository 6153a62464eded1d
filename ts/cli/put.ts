import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import type { Command } from 'commander';
import type { Context } from './context.js';
import { parseKey, parseValue, type ValueEncoding } from './encoding.js';
import { EXIT_OK, usageError } from './errors.js';
import {
  addDurability,
  addStoreOptions,
  addValueEncoding,
  type DurabilityOptions,
  type ValueOptions,
} from './options.js';
import type { Runner } from './program.js';
import { withStore, type StoreOptions } from './session.js';

type PutOptions = StoreOptions & ValueOptions & DurabilityOptions & { readonly file?: string };

export function addPut(program: Command, run: Runner): void {
  const command = program
    .command('put')
    .description('store a value; makes the store when it is not there')
    .argument('<store>', 'directory of the store')
    .argument('<key>', 'the key')
    .argument('[value]', 'the value, or - for stdin')
    .option('--file <path>', 'take the value from a file');
  addDurability(
    addValueEncoding(addStoreOptions(command), 'utf8; bytes as they are from stdin or a file'),
  );
  command.action((store: string, key: string, value: string | undefined) =>
    run((context) => put(context, store, key, value, command.opts<PutOptions>())),
  );
}

async function put(
  context: Context,
  path: string,
  keyText: string,
  valueText: string | undefined,
  options: PutOptions,
): Promise<number> {
  const value = await readValue(context, valueText, options);
  await withStore(context, path, options, 'create', async ({ store, codec }) => {
    const key = parseKey(keyText, codec);
    await store.put(key, value, {
      signal: context.signal,
      ...(options.durability === undefined ? {} : { durability: options.durability }),
    });
  });
  if (context.output.json) await context.output.jsonLine({ key: keyText, bytes: value.byteLength });
  return EXIT_OK;
}

/** Before the store is opened: a bad value must not make a store, and stdin may take its time. */
async function readValue(
  context: Context,
  text: string | undefined,
  options: PutOptions,
): Promise<Buffer> {
  if ((text === undefined) === (options.file === undefined)) {
    throw usageError(
      'put needs either a value or --file',
      'Give the value, - for stdin, or --file <path>.',
    );
  }
  if (text !== undefined && text !== '-') return parseValue(text, options.valueEncoding ?? 'utf8');
  const stream = options.file === undefined ? context.host.stdin : createReadStream(options.file);
  return interpret(await readAll(stream, context.signal), options.valueEncoding);
}

function interpret(bytes: Buffer, encoding: ValueEncoding | undefined): Buffer {
  if (encoding === undefined || encoding === 'utf8') return bytes;
  const text = bytes.toString('utf8');
  return parseValue(encoding === 'json' ? text : text.trim(), encoding);
}

async function readAll(stream: Readable, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const stop = (): void => void stream.destroy(signal.reason as Error);
  signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const chunk of stream) chunks.push(Buffer.from(chunk as Uint8Array));
  } finally {
    signal.removeEventListener('abort', stop);
  }
  return Buffer.concat(chunks);
}
