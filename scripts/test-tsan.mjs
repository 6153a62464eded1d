// Builds the addon with the thread sanitizer into build/tsan and runs the mocha files over it in
// which several threads have stores: opened, used, torn down, ended in the middle.
//
// node is not sanitized: what it does between its own threads looks like races, and is suppressed
// (test/tsan-suppressions.txt). Its code is not watched either, but every access of ours is, whatever
// thread of node makes it.
import { buildAddon, finish, mocha, runtimeLibraries } from './instrumented.mjs';
import { capture, hasProgram, inRoot, run } from './support.mjs';

const FILES = [
  'test/ts/robustness/threads.test.ts',
  'test/ts/robustness/ending.test.ts',
  'test/ts/linearizability/*.test.ts',
  'test/ts/bindings/*.test.ts',
];

const libraries = runtimeLibraries(['libtsan.so']);
// The sanitizer has fixed places for its memory, which a random layout of addresses may have taken.
const before = ['setarch', '-R'];
const layoutStays = hasProgram('setarch') && capture('setarch', ['-R', 'true']) !== undefined;
if (libraries === undefined || !layoutStays) {
  console.log('tsan: skipped, needs libtsan and setarch -R');
  finish([]);
}
const addon = buildAddon('tsan', ['CAIRN_SANITIZE=thread']);
const openat = inRoot('build', 'tsan', 'openat.so');
const source = inRoot('test', 'support', 'tsan', 'openat.c');
if (addon === undefined || !run('cc', ['-shared', '-fPIC', '-O1', '-o', openat, source])) {
  finish([{ passed: 0, failed: 1 }]);
}
const options = [
  `suppressions=${inRoot('test', 'tsan-suppressions.txt')}`,
  // A test asks for more memory than there is, on purpose.
  'allocator_may_return_null=1',
  'second_deadlock_stack=1',
];
const env = { LD_PRELOAD: `${libraries} ${openat}`, TSAN_OPTIONS: options.join(':') };
finish([mocha(FILES, { addon, env, before })]);
