// Installs what makes and mounts a file system of its own, then runs test/support/power/run.ts.
import { aptInstall, hasProgram, inRoot, run } from './support.mjs';

const PACKAGES = { 'mkfs.ext4': 'e2fsprogs', 'mkfs.xfs': 'xfsprogs', mount: 'mount' };

if (process.getuid() !== 0) {
  console.error('test:power: only root may mount a file system');
  console.log('0 passed, 1 failed');
  process.exit(1);
}
const missing = Object.keys(PACKAGES).filter((name) => !hasProgram(name));
if (missing.length > 0) {
  const packages = missing.map((name) => PACKAGES[name]);
  console.log(`test:power: installing ${packages.join(' ')} with apt-get`);
  aptInstall(packages);
}
const runner = inRoot('test', 'support', 'power', 'run.ts');
const passed = run(process.execPath, ['--import', 'tsx', runner, ...process.argv.slice(2)]);
process.exit(passed ? 0 : 1);
