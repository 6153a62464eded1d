import type { Command } from 'commander';
import type { Context } from './context.js';
import { parseKey } from './encoding.js';
import { EXIT_FAILED, EXIT_OK } from './errors.js';
import { escapeLine } from './format.js';
import { addDurability, addStoreOptions, type DurabilityOptions } from './options.js';
import type { Runner } from './program.js';
import { withStore, type StoreOptions } from './session.js';

type DelOptions = StoreOptions & DurabilityOptions;

export function addDel(program: Command, run: Runner): void {
  const command = program
    .command('del')
    .description('delete keys; exit code 1 when one of them is not there')
    .argument('<store>', 'directory of the store')
    .argument('<key...>', 'the keys');
  addDurability(addStoreOptions(command)).action((store: string, keys: string[]) =>
    run((context) => del(context, store, keys, command.opts<DelOptions>())),
  );
}

async function del(
  context: Context,
  path: string,
  texts: readonly string[],
  options: DelOptions,
): Promise<number> {
  const missing = await withStore(context, path, options, 'write', async ({ store, codec }) => {
    // All keys are read before the first is deleted: a misspelled one deletes nothing.
    const keys = texts.map((text) => parseKey(text, codec));
    const absent: string[] = [];
    for (const [i, key] of keys.entries()) {
      const there = await store.delete(key, {
        signal: context.signal,
        ...(options.durability === undefined ? {} : { durability: options.durability }),
      });
      if (!there) absent.push(texts[i] ?? '');
    }
    return absent;
  });
  const deleted = texts.length - missing.length;
  if (context.output.json) await context.output.jsonLine({ deleted, missing });
  else
    for (const text of missing)
      context.output.error(`cairn: CLI_KEY_NOT_FOUND: no such key: ${escapeLine(text)}\n`);
  return missing.length === 0 ? EXIT_OK : EXIT_FAILED;
}
