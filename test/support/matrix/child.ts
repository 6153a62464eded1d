/**
 * A process that runs the behaviours in a store and writes on until it is killed. Prints one JSON
 * document per line: a result per behaviour, then `{ "done": true }`.
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { open } from '../../../ts/index.js';
import { Keys, valueOf } from './behaviour.js';
import { BEHAVIOURS, reasonOf, type ChildLine } from './cell.js';
import { configOf, type Site } from './combination.js';

const site = JSON.parse(process.argv[2] as string) as Site;
const say = (line: ChildLine): void => void writeSync(1, `${JSON.stringify(line)}\n`);

const store = await open(join(site.directory, 'store'), configOf(site, site.io));
for (const { number, notFor, run } of BEHAVIOURS) {
  if (notFor?.(site) !== undefined) continue;
  say({ number, failure: await reasonOf(() => run(store, new Keys(number), site)) });
}
say({ done: true });

// What is under way when the process ends belongs to no behaviour.
const noise = new Keys(99);
for (let turn = 0; ; turn++) {
  await Promise.all(noise.range(64).map((key) => store.put(key, valueOf(key, 500, turn))));
}
