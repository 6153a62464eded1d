// Installs what makes and mounts a file system of its own, builds the library that refuses O_DIRECT,
// then runs test/support/loop/run.ts.
import { mkdirSync } from 'node:fs';
import { inRoot, needFileSystems, run } from './support.mjs';

needFileSystems('test:loop');
const library = inRoot('build', 'loop', 'refuse-direct.so');
mkdirSync(inRoot('build', 'loop'), { recursive: true });
const source = inRoot('test', 'support', 'loop', 'refuse-direct.c');
const built = run('cc', ['-shared', '-fPIC', '-O1', '-Wall', '-o', library, source]);
const runner = inRoot('test', 'support', 'loop', 'run.ts');
const passed =
  built &&
  run(process.execPath, ['--import', 'tsx', runner, ...process.argv.slice(2)], {
    env: { ...process.env, LD_PRELOAD: library },
  });
process.exit(passed ? 0 : 1);
