// `npm run test:nightly`: the long forms of everything, one after the other, however each ends, and
// one table. --hours N is how long it may take, 8 when not given: what would begin later is left out, and
// the night is not good then.
//
//   --only NAME   steps with NAME in theirs
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { inRoot, packageJson, root } from './support.mjs';

const { values: options } = parseArgs({
  options: { hours: { type: 'string', default: '8' }, only: { type: 'string', default: '' } },
});
const LOGS = inRoot('build', 'nightly');
const LONG_TESTS = [
  'test/ts/robustness/corruption.test.ts',
  'test/ts/robustness/faults.test.ts',
  'test/ts/robustness/repair.test.ts',
  'test/ts/robustness/concurrent-faults.test.ts',
  'test/ts/robustness/hostile.test.ts',
  'test/ts/robustness/fuzz-corpus.test.ts',
  'test/ts/robustness/nth-calls.test.ts',
  'test/ts/engine/model.test.ts',
  'test/ts/config/*fuzz.test.ts',
  'test/ts/cli/*fuzz.test.ts',
];
/** Scripts of package.json with their arguments; those that are not there are left out. */
const STEPS = [
  ['test', []],
  ['test:posix', []],
  ['test:fuzz', ['--seconds', '60']],
  ['test:asan', []],
  ['test:tsan', []],
  ['test:coverage', []],
  ['test:planted', []],
  ['test:concurrency', ['--seeds', '20', '--operations', '100000']],
  ['test:matrix', []],
  ['test:crash', ['--states', '20000000']],
  ['test:crash', ['--sequences', '3', '--per-sequence', '2']],
  ['test:kill', ['--cycles', '10000']],
  ['test:power', ['--cycles', '1000']],
  ['test:block', ['--images', '1000']],
  ['test:loop', ['--cycles', '50']],
  ['test:nvme', []],
];

/** Runs a program, keeps what it prints, and shows its last line. */
function follow(name, program, args, env = {}) {
  const log = join(LOGS, `${name.replace(/[^\w]+/g, '-')}.log`);
  const began = performance.now();
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    const file = createWriteStream(log);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        file.write(text);
        output = (output + text).slice(-100_000);
      });
    }
    child.on('close', (status) => {
      file.end();
      const minutes = (performance.now() - began) / 60_000;
      const last = output.trim().split('\n').at(-1) ?? '';
      // What cannot run on this machine says so, and that nothing passed.
      const skipped = status === 0 && /^0 passed, 0 failed$/.test(last);
      const verdict = skipped ? 'SKIPPED' : status === 0 ? 'good' : 'FAILED';
      resolve({ name, verdict, minutes, last, log });
    });
  });
}

const { scripts } = packageJson();
const steps = STEPS.filter(([script]) => scripts[script] !== undefined).map(([script, args]) => [
  script,
  () => follow([script, ...args].join(' '), 'npm', ['run', '--silent', script, '--', ...args]),
]);
const mocha = inRoot('node_modules', 'mocha', 'bin', 'mocha.js');
steps.push([
  'long tests',
  () =>
    follow('long tests', process.execPath, [mocha, '--timeout', '7200000', ...LONG_TESTS], {
      CAIRN_TEST_LONG: '1',
    }),
]);

mkdirSync(LOGS, { recursive: true });
const end = performance.now() + Number(options.hours) * 3_600_000;
const results = [];
for (const [name, run] of steps.filter(([each]) => each.includes(options.only))) {
  if (performance.now() > end) {
    results.push({ name, verdict: 'LEFT OUT', minutes: 0, last: 'the time is over', log: '' });
    continue;
  }
  console.log(`${name} ...`);
  results.push(await run());
}
console.log('\nstep | result | minutes | its last line');
for (const { name, verdict, minutes, last, log } of results) {
  const where = verdict === 'FAILED' ? `, see ${log.slice(root.length + 1)}` : '';
  console.log(`${name} | ${verdict}${where} | ${minutes.toFixed(1)} | ${last.slice(0, 100)}`);
}
const passed = results.filter(({ verdict }) => verdict === 'good').length;
console.log(`${passed} passed, ${results.length - passed} failed`);
process.exit(passed === results.length && passed > 0 ? 0 : 1);
