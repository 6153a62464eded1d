// Brings a fresh checkout to where everything runs: system packages, node_modules, addon, dist.
// Each step does nothing when its result is there, so running it again takes well under 2 s.
import { existsSync } from 'node:fs';
import {
  addonIsCurrent,
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
  const missing = missingBuildPackages();
  if (!hasProgram('fio')) missing.push({ package: 'fio', what: 'fio (for the benchmarks)' });
  if (missing.length === 0) return;

  const packages = missing.map((entry) => entry.package);
  const asRoot = process.getuid() === 0 ? [] : ['sudo', '-n'];
  if (!hasProgram('apt-get') || (asRoot.length > 0 && !hasProgram('sudo')))
    fail(explainMissing(missing));
  console.log(`setup: installing ${packages.join(' ')} with apt-get`);
  const apt = (...args) => {
    const [program, ...rest] = [
      ...asRoot,
      'env',
      'DEBIAN_FRONTEND=noninteractive',
      'apt-get',
      '-qq',
      ...args,
    ];
    return run(program, rest, { stdio: ['ignore', 'ignore', 'inherit'] });
  };
  // The lists of a fresh container are empty, and stale ones name files that are gone.
  apt('update');
  apt('install', '-y', '--no-install-recommends', ...packages);
  // fio is only the yardstick of the benchmarks: its absence stops nothing here.
  const still = missingBuildPackages();
  if (still.length > 0) fail(explainMissing(still));
  if (!hasProgram('fio'))
    console.error('setup: fio could not be installed, the benchmarks need it: apt-get install fio');
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
  // Without scripts: the addon is built below, and the other packages bring theirs prebuilt.
  const command = existsSync(lock) ? 'ci' : 'install';
  if (!run('npm', [command, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']))
    fail('setup: npm could not install the packages');
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
