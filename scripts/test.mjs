// `npm test`: set-up, native unit tests, mocha; the last line sums both. Arguments go to mocha:
// `npm test -- --grep torn`. --only=crash or --only=kill runs the long form of those tests alone.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { countResults, inRoot, root, run } from './support.mjs';

const own = process.argv.slice(2).filter((arg) => arg.startsWith('--only='));
const forMocha = process.argv.slice(2).filter((arg) => !arg.startsWith('--only='));
const only = own[0]?.slice('--only='.length);

/** Runs a program with its output shown and kept. */
function follow(program, args, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      process.stdout.write(text);
    });
    child.on('close', (status) => resolve({ status, ...countResults(output) }));
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
if (only === undefined)
  results.push(await follow(process.execPath, [inRoot('scripts', 'test-native.mjs')]));
const files = testFiles(only === undefined ? 'test/ts' : `test/ts/${only}`);
const mocha = inRoot('node_modules', 'mocha', 'bin', 'mocha.js');
if (files.length > 0) {
  const long = only === undefined ? {} : { CAIRN_TEST_LONG: '1' };
  results.push(
    await follow(process.execPath, [mocha, '--reporter', 'spec', ...forMocha, ...files], long),
  );
}

let passed = 0;
let failed = 0;
for (const result of results) {
  passed += result.passed;
  // A run that died before it could report is one failure.
  failed += result.status !== 0 && result.failed === 0 ? 1 : result.failed;
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
