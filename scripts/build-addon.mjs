// Builds build/Release/cairn.node: `npm install` of the package runs this. With --gyp through
// node-gyp instead of cmake-js, into the same place; --if-needed does nothing when it is current.
import { readFileSync, utimesSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { nodePrefix } from './node-include.mjs';
import { addonIsCurrent, explainMissing, inRoot, missingBuildPackages, run } from './support.mjs';

const require = createRequire(import.meta.url);

function fail(message) {
  console.error(message);
  process.exit(1);
}

function programOf(name) {
  const manifest = require.resolve(`${name}/package.json`);
  const { bin } = JSON.parse(readFileSync(manifest, 'utf8'));
  return join(dirname(manifest), typeof bin === 'string' ? bin : bin[name]);
}

const options = new Set(process.argv.slice(2));
if (options.has('--if-needed') && addonIsCurrent()) process.exit(0);

if (process.platform !== 'linux') fail(`cairn-kv runs on Linux only, this is ${process.platform}`);
const missing = missingBuildPackages();
if (missing.length > 0) fail(explainMissing(missing));

const started = new Date();
const jobs = String(cpus().length);
const built = options.has('--gyp')
  ? run(process.execPath, [
      programOf('node-gyp'),
      'rebuild',
      `--nodedir=${nodePrefix()}`,
      '--jobs',
      jobs,
    ])
  : run(process.execPath, [
      programOf('cmake-js'),
      'build',
      '--out',
      inRoot('build'),
      '--parallel',
      jobs,
      '--log-level',
      'error',
    ]);
if (!built) fail('cairn-kv: the native addon did not build, see the compiler messages above');
// A build that had nothing to link leaves the old time, and --if-needed would build for ever.
utimesSync(inRoot('build', 'Release', 'cairn.node'), started, started);
