// One target of test/support/fuzz under libFuzzer: run-target.mjs <folder> <target> <arguments of
// libFuzzer>. The folder has what typescript.mjs built.
import { readFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';

const [folder, name, ...args] = process.argv.slice(2);
const require = createRequire(import.meta.url);

/** Puts the counters where the instrumented code looks for its own, one after the other in memory. */
function shareCounters() {
  const { path, ...coverage } = JSON.parse(readFileSync(join(folder, 'coverage.json'), 'utf8'));
  const branches = Object.values(coverage.b);
  const sizes = [coverage.s, coverage.f, ...branches].map((each) => Object.keys(each).length);
  const counters = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  const [s, f, ...b] = sizes.map((size) => counters.subarray(at, (at += size)));
  globalThis.__coverage__ = { [path]: { ...coverage, path, s, f, b } };
  return counters;
}

const counters = shareCounters();
const { TARGETS, changeOf } = require(join(folder, 'targets.cjs'));
const target = TARGETS.find((each) => each.name === name);
if (target === undefined) {
  console.error(`no target ${name} in test/support/fuzz`);
  process.exit(2);
}
if (counters.every((count) => count === 0)) {
  console.error('the targets count elsewhere: istanbul-lib-instrument has changed');
  process.exit(2);
}

const driver = require(join(folder, 'js_driver.node'));
/** Not by console.error, which makes a pipe non-blocking: what libFuzzer says then gets lost. */
const report = (error) => writeSync(2, `${inspect(error)}\n`);
/** Without the signal that libFuzzer waits for, the input would be lost. */
function abort(error) {
  report(error);
  process.abort();
}
process.on('uncaughtException', abort);
process.on('unhandledRejection', abort);
// A merge starts this again, through a shell.
const script = fileURLToPath(import.meta.url);
const program = [process.execPath, ...process.execArgv, script, folder, name];
const command = program.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
// Most inputs are refused with an error, and its stack is a sixth of the time.
const { stackTraceLimit } = Error;
Error.stackTraceLimit = 0;
const attempt = async (input) => target.run(input);
driver.run([command, ...args], counters, async (input, seed) => {
  if (seed !== 0) return driver.answer(true, changeOf(target, input, seed));
  try {
    await attempt(input);
    driver.answer(true);
  } catch (failure) {
    Error.stackTraceLimit = stackTraceLimit;
    // Once more for the stack; the first failure where it does not fail again.
    await attempt(input).then(() => report(failure), report);
    driver.answer(false);
  }
});
