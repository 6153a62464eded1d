// Brings a fresh checkout to where everything runs: system packages, node_modules, addon, dist.
// Each step does nothing when its result is there, so running it again takes well under 2 s.
import { existsSync } from 'node:fs';
import {
  addonIsCurrent,
  aptInstall,
  distIsCurrent,
  explainMissing,
  hasProgram,
  inRoot,
  missingBuildPackages,
  modified,
  run,
  stamp,
} from './support.mjs';

function fail(message) {
  console.error(message);
  process.exit(1);
}

function installSystemPackages() {
  const required = missingBuildPackages();
  // fio is only the yardstick of the benchmarks: its absence stops nothing.
  const fio = hasProgram('fio') ? [] : [{ package: 'fio', what: 'fio' }];
  const packages = [...required, ...fio].flatMap((entry) => entry.package ?? []);
  if (packages.length === 0 && required.length === 0) return;

  console.log(`setup: installing ${packages.join(' ')} with apt-get`);
  aptInstall(packages);
  const still = missingBuildPackages();
  if (still.length > 0) fail(explainMissing(still));
  if (!hasProgram('fio')) {
    console.error(
      'setup: the benchmarks need fio, which could not be installed: apt-get install fio',
    );
  }
}

function installNodeModules() {
  const installed = inRoot('node_modules', '.cairn-installed');
  const lock = inRoot('package-lock.json');
  // npm keeps its own record of what it installed; ours is newer only after a run of this script.
  const done = Math.max(
    modified(installed),
    modified(inRoot('node_modules', '.package-lock.json')),
  );
  if (done > 0 && done >= modified(lock)) return;
  console.log('setup: installing the npm packages');
  if (!hasProgram('npm')) fail('setup: npm is missing: install the one that comes with Node.js');
  // Without scripts: the addon is built below, and the other packages bring theirs prebuilt.
  const command = existsSync(lock) ? 'ci' : 'install';
  if (!run('npm', [command, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']))
    fail(
      'setup: npm could not install the packages. It needs the registry that ' +
        '`npm config get registry` names, or a cache that has them: see what it says above',
    );
  stamp(installed);
}

function build(what, script) {
  console.log(`setup: building ${what}`);
  if (!run(process.execPath, [inRoot('scripts', script)])) fail(`setup: ${what} did not build`);
}

installSystemPackages();
installNodeModules();
if (!addonIsCurrent()) build('the addon', 'build-addon.mjs');
if (!distIsCurrent()) build('dist', 'build.mjs');
