// Installs an emulator and what its guest boots, then runs test/support/nvme/run.ts.
import { aptInstall, hasProgram, inRoot, run } from './support.mjs';

const PACKAGES = {
  'qemu-system-x86_64': 'qemu-system-x86',
  busybox: 'busybox-static',
  modprobe: 'kmod',
  'mkfs.ext4': 'e2fsprogs',
  'mkfs.xfs': 'xfsprogs',
};

const missing = Object.keys(PACKAGES).filter((name) => !hasProgram(name));
if (missing.length > 0) {
  const packages = missing.map((name) => PACKAGES[name]);
  console.log(`test:nvme: installing ${packages.join(' ')} with apt-get`);
  aptInstall(packages);
}
const runner = inRoot('test', 'support', 'nvme', 'run.ts');
process.exit(run(process.execPath, ['--import', 'tsx', runner, ...process.argv.slice(2)]) ? 0 : 1);
