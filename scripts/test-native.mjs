// Builds and runs the native unit tests, each test/native/*_test.cc a program of its own, without
// Node. --sanitize=address,undefined or --sanitize=thread builds them in a folder of their own.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { countResults, explainMissing, inRoot, missingBuildPackages, run } from './support.mjs';

const sanitize =
  process.argv.find((arg) => arg.startsWith('--sanitize='))?.slice('--sanitize='.length) ?? '';
const filter = process.argv.slice(2).find((arg) => !arg.startsWith('--')) ?? '';

const missing = missingBuildPackages();
if (missing.length > 0) {
  console.error(explainMissing(missing));
  process.exit(1);
}

const folder = inRoot(
  'build',
  sanitize === '' ? 'native-tests' : `native-tests-${sanitize.replace(',', '-')}`,
);
const configured = run(
  'cmake',
  [
    '-S',
    '.',
    '-B',
    folder,
    '-DCAIRN_TESTS=ON',
    `-DCAIRN_SANITIZE=${sanitize}`,
    '--log-level=WARNING',
  ],
  {
    stdio: ['ignore', 'ignore', 'inherit'],
  },
);
const built =
  configured &&
  run('cmake', ['--build', folder, '--parallel', String(cpus().length)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
if (!built) {
  console.log('0 passed, 1 failed');
  process.exit(1);
}

// Running out of memory is an answer that the tests ask for, and no finding.
const env = {
  ASAN_OPTIONS: 'allocator_may_return_null=1',
  TSAN_OPTIONS: 'allocator_may_return_null=1',
  ...process.env,
};

let passed = 0;
let failed = 0;
for (const file of readdirSync(inRoot('test', 'native')).sort()) {
  const name = /^(.*_test)\.cc$/.exec(file)?.[1];
  if (name === undefined || !name.includes(filter)) continue;
  const program = join(folder, name);
  if (!existsSync(program)) continue;
  console.log(`native: ${name}`);
  const { status, signal, stdout } = spawnSync(program, [], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    env,
    maxBuffer: 1 << 28,
  });
  const results = countResults(stdout);
  // A crash, a leak report or a program that ran nothing is a failure of its own.
  const broken = (status !== 0 || results.passed === 0) && results.failed === 0;
  if (status !== 0 || broken) {
    process.stdout.write(stdout);
    console.log(`native: ${name} ended with ${signal ?? `exit code ${status}`}`);
  }
  passed += results.passed;
  failed += results.failed + (broken ? 1 : 0);
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
