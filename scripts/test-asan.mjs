// Builds the addon with address and undefined-behaviour sanitizers into build/asan and runs those
// mocha files over it that exercise native code: buffers in flight, threads, every end of both.
// A second pass looks for leaks. --short runs the first pass over the threads alone.
//
// The sanitizers see native code only: what JavaScript reads of freed external memory goes unseen.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { capture, compiler, countResults, inRoot, root, run } from './support.mjs';

const short = process.argv.includes('--short');
const require = createRequire(import.meta.url);
const THREADS = 'test/ts/robustness/threads.test.ts';
const FILES = short
  ? [THREADS]
  : [THREADS, 'test/ts/engine/*.test.ts', 'test/ts/bindings/*.test.ts'];

function programOf(name) {
  const manifest = require.resolve(`${name}/package.json`);
  const { bin } = JSON.parse(readFileSync(manifest, 'utf8'));
  return join(dirname(manifest), typeof bin === 'string' ? bin : bin[name]);
}

function build() {
  return run(process.execPath, [
    programOf('cmake-js'),
    'build',
    '--out',
    inRoot('build', 'asan'),
    '--CDCAIRN_SANITIZE=address,undefined',
    '--parallel',
    String(cpus().length),
    '--log-level',
    'error',
  ]);
}

/** node itself is not sanitized, so that the runtime libraries have to be there before it. */
function runtimeLibraries() {
  const names = ['libasan.so', 'libubsan.so'];
  const paths = names.map((name) => capture(compiler(), [`-print-file-name=${name}`]));
  return paths.every((path) => path?.includes('/')) ? paths.join(' ') : undefined;
}

/** @param leaks node leaks a few bytes of its own for each external it makes. */
function mocha(files, libraries, leaks, more = []) {
  const suppressions = inRoot('build', 'asan', 'leaks.txt');
  writeFileSync(suppressions, 'leak:napi_create_external\n');
  const { status, stdout } = spawnSync(
    process.execPath,
    // Not bin/mocha.js, whose second process would be the one that is looked at.
    [
      '--import',
      'tsx',
      inRoot('node_modules', 'mocha', 'bin', '_mocha'),
      '--timeout',
      '120000',
      ...more,
      ...files,
    ],
    {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      maxBuffer: 1 << 28,
      env: {
        ...process.env,
        CAIRN_ADDON_PATH: inRoot('build', 'asan', 'Release', 'cairn.node'),
        LD_PRELOAD: libraries,
        // A test asks for more memory than there is, on purpose.
        ASAN_OPTIONS: `detect_leaks=${leaks ? 1 : 0}:allocator_may_return_null=1`,
        LSAN_OPTIONS: `suppressions=${suppressions}:print_suppressions=0`,
        UBSAN_OPTIONS: 'print_stacktrace=1',
      },
    },
  );
  process.stdout.write(stdout);
  const results = countResults(stdout);
  const broken = (status !== 0 || results.passed === 0) && results.failed === 0;
  return { passed: results.passed, failed: results.failed + (broken ? 1 : 0) };
}

const libraries = runtimeLibraries();
if (libraries === undefined) {
  console.log('sanitizers: skipped, the compiler has no libasan and libubsan');
  console.log('0 passed, 0 failed');
  process.exit(0);
}
if (!build()) {
  console.log('0 passed, 1 failed');
  process.exit(1);
}
const results = [mocha(FILES, libraries, false)];
if (!short) {
  // process.exit() leaves the heap of V8 as it is.
  results.push(mocha(FILES, libraries, true, ['--grep', 'exit', '--invert']));
}
const passed = results.reduce((sum, result) => sum + result.passed, 0);
const failed = results.reduce((sum, result) => sum + result.failed, 0);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
