// Builds the addon with address and undefined-behaviour sanitizers into build/asan and runs those
// mocha files over it that exercise native code: buffers in flight, threads, every end of both.
// A second pass looks for leaks. --short runs the first pass over the threads alone.
//
// The sanitizers see native code only: what JavaScript reads of freed external memory goes unseen.
import { writeFileSync } from 'node:fs';
import { buildAddon, finish, mocha, runtimeLibraries } from './instrumented.mjs';
import { inRoot } from './support.mjs';

const short = process.argv.includes('--short');
const THREADS = ['test/ts/robustness/threads.test.ts', 'test/ts/robustness/ending.test.ts'];
const FILES = short
  ? THREADS
  : [...THREADS, 'test/ts/engine/*.test.ts', 'test/ts/bindings/*.test.ts'];

/** @param leaks node leaks a few bytes of its own for each external it makes. */
function run(addon, libraries, leaks, more = []) {
  const suppressions = inRoot('build', 'asan', 'leaks.txt');
  writeFileSync(suppressions, 'leak:napi_create_external\n');
  return mocha(FILES, {
    addon,
    more,
    env: {
      LD_PRELOAD: libraries,
      // A test asks for more memory than there is, on purpose.
      ASAN_OPTIONS: `detect_leaks=${leaks ? 1 : 0}:allocator_may_return_null=1`,
      LSAN_OPTIONS: `suppressions=${suppressions}:print_suppressions=0`,
      UBSAN_OPTIONS: 'print_stacktrace=1',
    },
  });
}

const libraries = runtimeLibraries(['libasan.so', 'libubsan.so']);
if (libraries === undefined) {
  console.log('sanitizers: skipped, the compiler has no libasan and libubsan');
  finish([]);
}
const addon = buildAddon('asan', ['CAIRN_SANITIZE=address,undefined']);
if (addon === undefined) finish([{ passed: 0, failed: 1 }]);
const results = [run(addon, libraries, false)];
// process.exit() leaves the heap of V8 as it is.
if (!short) results.push(run(addon, libraries, true, ['--grep', 'exit', '--invert']));
finish(results);
