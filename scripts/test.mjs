// `npm test`: set-up, native unit tests, mocha, threads under sanitizers; the last line sums them.
// Arguments go to mocha: `npm test -- --grep torn`. CAIRN_TEST_LONG=1 tries more damage and faults.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { countResults, inRoot, root, run } from './support.mjs';

/**
 * Files of tests at once, one more than there are processors: some wait for devices and timers while others
 * compute. More would keep each other's stores waiting for the device.
 */
const JOBS = Math.min(availableParallelism() + 1, 4);
/** Starts a process for each processor: what ran beside it would only take them from each other. */
const ALONE = inRoot('test', 'ts', 'crash', 'crash.test.ts');
const forMocha = process.argv.slice(2);

/** Runs a program with its output kept, and shown: at once, or whole at its end when it is `held`. */
function follow(program, args, { held = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      if (!held) process.stdout.write(text);
    });
    child.on('close', (status) => {
      if (held) process.stdout.write(output);
      resolve({ status, ...countResults(output) });
    });
  });
}

function testFiles(directory) {
  return readdirSync(inRoot(directory), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

if (!run(process.execPath, [inRoot('scripts', 'setup.mjs')])) {
  console.log('0 passed, 1 failed');
  process.exit(1);
}

const results = [];
results.push(await follow(process.execPath, [inRoot('scripts', 'test-native.mjs')]));
const mocha = [inRoot('node_modules', 'mocha', 'bin', 'mocha.js'), '--reporter', 'spec'];
results.push(await follow(process.execPath, [...mocha, ...forMocha, ALONE]));
// Damage and faults take longest: begun last, they would be waited for alone.
const isLong = (file) => Number(file.startsWith(inRoot('test', 'ts', 'robustness')));
const files = testFiles('test/ts')
  .filter((file) => file !== ALONE)
  .sort((left, right) => isLong(right) - isLong(left));
const parallel = ['--parallel', '--jobs', String(JOBS), ...forMocha];
const together = [follow(process.execPath, [...mocha, ...parallel, ...files])];
// With a selection of tests the threads under sanitizers are not what is asked for. They wait for each
// other most of the time, so that they go beside.
if (forMocha.length === 0) {
  const sanitized = [inRoot('scripts', 'test-asan.mjs'), '--short'];
  together.push(follow(process.execPath, sanitized, { held: true }));
}
results.push(...(await Promise.all(together)));

let passed = 0;
let failed = 0;
for (const result of results) {
  passed += result.passed;
  // A run that died before it could report is one failure.
  failed += result.status !== 0 && result.failed === 0 ? 1 : result.failed;
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
