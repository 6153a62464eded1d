// Builds the addon with address and undefined-behaviour sanitizers into build/asan and runs those
// mocha files over it whose stores are in its process; the others are about programs, tools and whole
// machines, or load a library of their own before libc (nth-calls). A second pass, over those in which
// buffers are in flight and threads end, looks for leaks. --short runs the threads alone, without it.
//
// The sanitizers see native code only: what JavaScript reads of freed external memory goes unseen.
import { writeFileSync } from 'node:fs';
import { buildAddon, finish, mocha, runtimeLibraries } from './instrumented.mjs';
import { inRoot } from './support.mjs';

const short = process.argv.includes('--short');
const THREADS = ['test/ts/robustness/threads.test.ts', 'test/ts/robustness/ending.test.ts'];
const ENDING = [...THREADS, 'test/ts/engine/*.test.ts', 'test/ts/bindings/*.test.ts'];
const OTHER = [
  'cli',
  'common',
  'config',
  'index',
  'linearizability',
  'log',
  'registry',
  'value-store',
];
const ALL = [
  ...ENDING,
  ...OTHER.map((name) => `test/ts/${name}/*.test.ts`),
  'test/ts/robustness/!(nth-calls|threads|ending).test.ts',
];

/** @param leaks node leaks a few bytes of its own for each external it makes. */
function run(files, addon, libraries, leaks, more = []) {
  const suppressions = inRoot('build', 'asan', 'leaks.txt');
  writeFileSync(suppressions, 'leak:napi_create_external\n');
  return mocha(files, {
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
const results = [run(short ? THREADS : ALL, addon, libraries, false)];
// process.exit() leaves the heap of V8 as it is.
if (!short) results.push(run(ENDING, addon, libraries, true, ['--grep', 'exit', '--invert']));
finish(results);
