/**
 * `npm run test:power -- --cycles 1000 --fs xfs`: the power of a file system is cut under load, on
 * both backends, with stores of all kinds; without --fs on ext4 and on xfs. For root.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { killCycle, newHistory } from '../kill/cycle.js';
import { makeStoreInTurn } from '../kill/kinds.js';
import { Writers } from '../kill/writers.js';
import {
  FILE_SYSTEMS,
  fileSystemsOf,
  removeAllAtEnd,
  type FileSystemKind,
} from '../loop/devices.js';
import { readCount, readOptions } from '../options.js';
import { LoopFileSystem } from './loop-file-system.js';

const CYCLES_OF_A_STORE = 20;
const CUT_AFTER_MS_MAX = 150;

const USAGE = `Options:
  --cycles N   power cuts on each file system (default 100)
  --seed S     of the moments, backends and durability levels (default 1)
  --fs NAME    one of ${FILE_SYSTEMS.join(', ')} (default: each)
`;

const values = readOptions(USAGE, {
  cycles: { type: 'string', default: '100' },
  seed: { type: 'string', default: '1' },
  fs: { type: 'string' },
});
const cycles = readCount('cycles', values.cycles, 1);
let state = readCount('seed', values.seed) >>> 0;
const random = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};

async function campaign(kind: FileSystemKind): Promise<number> {
  const fileSystem = new LoopFileSystem(kind, '/var/tmp');
  const path = join(fileSystem.path, 'store');
  let acknowledged = 0;
  let history = newHistory();
  let name = '';
  const writers = new Writers();
  try {
    for (let cycle = 0; cycle < cycles; cycle++) {
      // A store lives for some cycles, so that cuts hit recovered stores as well.
      if (cycle % CYCLES_OF_A_STORE === 0) {
        await rm(path, { recursive: true, force: true });
        name = await makeStoreInTurn(path, cycle / CYCLES_OF_A_STORE);
        history = newHistory();
      }
      const io = random() < 0.5 ? 'IOURING' : 'POSIX';
      const killAfterMs = Math.floor(random() * CUT_AFTER_MS_MAX);
      try {
        const how = { path, io, level: 'sync', killAfterMs, power: fileSystem, writers } as const;
        acknowledged += await killCycle(history, how);
      } catch (cause) {
        const what = `${name} on ${io}, cut after ${killAfterMs} ms`;
        throw new Error(`${kind}, cycle ${cycle} (${what})`, { cause });
      }
      if ((cycle + 1) % 10 === 0) {
        console.error(
          `${kind}: ${cycle + 1} of ${cycles} cuts, ${acknowledged} acknowledged writes kept`,
        );
      }
    }
  } finally {
    writers.close();
    fileSystem.remove();
  }
  console.error(`${kind}: ${cycles} power cuts, ${acknowledged} acknowledged writes, none lost`);
  return cycles;
}

const kinds = fileSystemsOf(values.fs);
let passed = 0;
removeAllAtEnd();
try {
  for (const kind of kinds) passed += await campaign(kind);
  console.log(`${passed} passed, 0 failed`);
} catch (error) {
  console.error(error);
  console.log(`${passed} passed, 1 failed`);
  process.exitCode = 1;
}
