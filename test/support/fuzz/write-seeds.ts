// Writes the inputs that are there to begin with: <directory> -> <directory>/<target>/seed-<n>.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TARGETS } from './targets.js';

const [directory = ''] = process.argv.slice(2);
for (const target of TARGETS) {
  const folder = join(directory, target.name);
  mkdirSync(folder, { recursive: true });
  const seeds = target.seeds();
  seeds.forEach((seed, at) => writeFileSync(join(folder, `seed-${at}`), seed));
  console.log(`${target.name}: ${seeds.length}`);
}
