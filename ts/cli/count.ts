import type { Command } from 'commander';
import { EXIT_OK } from './errors.js';
import { addStoreOptions } from './options.js';
import type { Runner } from './program.js';
import { withStore, type StoreOptions } from './session.js';

export function addCount(program: Command, run: Runner): void {
  const command = program
    .command('count')
    .description('print how many keys there are')
    .argument('<store>', 'directory of the store');
  addStoreOptions(command).action((path: string) =>
    run(async (context) => {
      const count = await withStore(
        context,
        path,
        command.opts<StoreOptions>(),
        'read',
        ({ store }) => Promise.resolve(store.size),
      );
      if (context.output.json) await context.output.jsonLine({ count });
      else await context.output.line(String(count));
      return EXIT_OK;
    }),
  );
}
