import type { Command } from 'commander';
import type { Context } from './context.js';
import { encodeBytes, entryLine, parseKey } from './encoding.js';
import { CliError, EXIT_OK } from './errors.js';
import { addStoreOptions, addValueEncoding, type ValueOptions } from './options.js';
import type { Runner } from './program.js';
import { withStore, type StoreOptions } from './session.js';

type GetOptions = StoreOptions & ValueOptions;

export function addGet(program: Command, run: Runner): void {
  const command = program
    .command('get')
    .description(
      'write the value of a key to stdout: its bytes as they are, or text with --value-encoding',
    )
    .argument('<store>', 'directory of the store')
    .argument('<key>', 'the key');
  addValueEncoding(addStoreOptions(command), 'the raw bytes').action((store: string, key: string) =>
    run((context) => get(context, store, key, command.opts<GetOptions>())),
  );
}

async function get(
  context: Context,
  path: string,
  keyText: string,
  options: GetOptions,
): Promise<number> {
  const { value, codec, key } = await withStore(context, path, options, 'read', async (session) => {
    const parsed = parseKey(keyText, session.codec);
    const found = await session.store.get(parsed, { signal: context.signal });
    return { value: found, codec: session.codec, key: parsed };
  });
  if (value === undefined) {
    throw new CliError('CLI_KEY_NOT_FOUND', `no such key: ${keyText}`);
  }
  const encoding = options.valueEncoding;
  if (context.output.json) {
    await context.output.line(entryLine(key, value, codec, encoding ?? 'utf8'));
  } else if (encoding === undefined) {
    await context.output.data(value);
  } else {
    const text = encodeBytes(value, encoding === 'json' ? 'utf8' : encoding);
    if (text === undefined) {
      throw new CliError('CLI_NOT_TEXT', 'the value is not valid UTF-8', {
        hint: 'Use --value-encoding hex or base64, or leave it out for the raw bytes.',
      });
    }
    await context.output.line(encoding === 'json' ? pretty(text) : text);
  }
  return EXIT_OK;
}

/** Indented where it is JSON and printing it again keeps every digit. */
function pretty(text: string): string {
  try {
    const parsed: unknown = JSON.parse(text);
    return JSON.stringify(parsed) === text ? JSON.stringify(parsed, null, 2) : text;
  } catch (cause) {
    throw new CliError('CLI_NOT_TEXT', 'the value is not JSON', {
      cause,
      hint: 'Leave --value-encoding out for the raw bytes.',
    });
  }
}
