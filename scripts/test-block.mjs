// Installs what makes and mounts a file system of its own and what serves a file through FUSE, then runs
// test/support/block/run.ts.
import { existsSync } from 'node:fs';
import { aptInstall, inRoot, needFileSystems, run } from './support.mjs';

needFileSystems('test:block');
if (!existsSync('/usr/include/fuse3/fuse.h')) {
  console.log('test:block: installing libfuse3-dev fuse3 with apt-get');
  aptInstall(['libfuse3-dev', 'fuse3']);
}
const runner = inRoot('test', 'support', 'block', 'run.ts');
const passed = run(process.execPath, ['--import', 'tsx', runner, ...process.argv.slice(2)]);
process.exit(passed ? 0 : 1);
