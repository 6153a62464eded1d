// Installs what makes and mounts a file system of its own, builds the library that refuses O_DIRECT,
// then runs test/support/loop/run.ts.
import { mkdirSync } from 'node:fs';
import { aptInstall, hasProgram, inRoot, run } from './support.mjs';

const PACKAGES = { 'mkfs.ext4': 'e2fsprogs', 'mkfs.xfs': 'xfsprogs', mount: 'mount' };

if (process.getuid() !== 0) {
  console.error('test:loop: only root may mount a file system');
  console.log('0 passed, 1 failed');
  process.exit(1);
}
const missing = Object.keys(PACKAGES).filter((name) => !hasProgram(name));
if (missing.length > 0) {
  const packages = missing.map((name) => PACKAGES[name]);
  console.log(`test:loop: installing ${packages.join(' ')} with apt-get`);
  aptInstall(packages);
}
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
