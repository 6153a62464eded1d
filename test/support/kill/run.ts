/** `npm run test:kill -- --cycles 500`: SIGKILL under load, on both backends. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readCount, readOptions } from '../options.js';
import { killCycle, newHistory } from './cycle.js';

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
let history = newHistory();
for (let cycle = 0; cycle < cycles; cycle++) {
  // A store lives for some cycles, so that crashes hit recovered stores as well.
  if (cycle % 20 === 0) {
    if (path !== '') await rm(path, { recursive: true, force: true });
    path = await mkdtemp(join(tmpdir(), 'cairn-kill-'));
    history = newHistory();
  }
  const io = random() < 0.5 ? 'IOURING' : 'POSIX';
  const level = random() < 0.5 ? 'sync' : 'process';
  const killAfterMs = Math.floor(random() * 150);
  try {
    acknowledged += await killCycle(history, { path: join(path, 'store'), io, level, killAfterMs });
    passed++;
  } catch (error) {
    console.error(`cycle ${cycle} (${io}, ${level}, ${killAfterMs} ms, store ${path}):`, error);
    console.log(`${passed} passed, 1 failed`);
    process.exit(1);
  }
  if ((cycle + 1) % 10 === 0) {
    console.error(`${cycle + 1} of ${cycles} cycles, ${acknowledged} acknowledged writes kept`);
  }
}
if (path !== '') await rm(path, { recursive: true, force: true });
console.error(`${cycles} SIGKILL cycles, ${acknowledged} acknowledged writes, none lost`);
console.log(`${passed} passed, 0 failed`);
