// What has to hold beside the tests: formatting, lint, types, and the packed package.
// Prints one line per check and 'N passed, N failed' at the end.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inRoot, run } from './support.mjs';

function program(name, file) {
  return (...args) => run(process.execPath, [inRoot('node_modules', name, file), ...args]);
}
const eslint = program('eslint', 'bin/eslint.js');
const tsc = program('typescript', 'bin/tsc');
const publint = program('publint', 'src/cli.js');
const attw = program('@arethetypeswrong/cli', 'dist/index.js');

function checkPackage() {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-pack-'));
  try {
    if (!run('npm', ['pack', '--pack-destination', folder, '--loglevel=error'])) return false;
    const tarball = join(folder, readdirSync(folder)[0]);
    // node10 resolution predates "exports"; the package needs Node 20.
    const typesGood = attw(tarball, '--profile', 'node16', '--no-emoji');
    return publint('run', tarball, '--strict') && typesGood;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const checks = [
  ['format', () => run(process.execPath, [inRoot('scripts', 'format.mjs'), '--check'])],
  ['lint', () => eslint('--max-warnings=0', '.')],
  ['types', () => tsc('--noEmit')],
  ['package', checkPackage],
];
let passed = 0;
for (const [name, check] of checks) {
  const good = check();
  console.log(`check: ${name} ${good ? 'passed' : 'FAILED'}`);
  if (good) passed += 1;
}
console.log(`${passed} passed, ${checks.length - passed} failed`);
process.exit(passed === checks.length ? 0 : 1);
