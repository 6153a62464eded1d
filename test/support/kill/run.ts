/** `npm run test:kill -- --cycles 500`: SIGKILL under load, stores of all kinds on both backends. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readCount, readOptions } from '../options.js';
import { killCycle, newHistory } from './cycle.js';
import { makeStoreInTurn } from './kinds.js';
import { Writers } from './writers.js';

const CYCLES_OF_A_STORE = 20;

const USAGE = `Options:
  --cycles N      processes to kill (default 100)
  --seed S        of the moments, backends and durability levels (default 1)
`;

const values = readOptions(USAGE, {
  cycles: { type: 'string', default: '100' },
  seed: { type: 'string', default: '1' },
});
const cycles = readCount('cycles', values.cycles, 1);
let state = readCount('seed', values.seed) >>> 0;
const random = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};

let passed = 0;
let acknowledged = 0;
let path = '';
let kind = '';
let history = newHistory();
const writers = new Writers();
for (let cycle = 0; cycle < cycles; cycle++) {
  // A store lives for some cycles, so that crashes hit recovered stores as well.
  if (cycle % CYCLES_OF_A_STORE === 0) {
    if (path !== '') await rm(path, { recursive: true, force: true });
    path = await mkdtemp(join(tmpdir(), 'cairn-kill-'));
    kind = await makeStoreInTurn(join(path, 'store'), cycle / CYCLES_OF_A_STORE);
    history = newHistory();
  }
  const io = random() < 0.5 ? 'IOURING' : 'POSIX';
  const level = random() < 0.5 ? 'sync' : 'process';
  const killAfterMs = Math.floor(random() * 150);
  try {
    const options = { path: join(path, 'store'), io, level, killAfterMs, writers } as const;
    acknowledged += await killCycle(history, options);
    passed++;
  } catch (error) {
    const how = `${kind}, ${io}, ${level}, ${killAfterMs} ms`;
    console.error(`cycle ${cycle} (${how}, store ${path}):`, error);
    console.log(`${passed} passed, 1 failed`);
    process.exit(1);
  }
  if ((cycle + 1) % 10 === 0) {
    console.error(`${cycle + 1} of ${cycles} cycles, ${acknowledged} acknowledged writes kept`);
  }
}
writers.close();
if (path !== '') await rm(path, { recursive: true, force: true });
console.error(`${cycles} SIGKILL cycles, ${acknowledged} acknowledged writes, none lost`);
console.log(`${passed} passed, 0 failed`);
