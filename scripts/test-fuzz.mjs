// `npm run test:fuzz`: builds the targets of test/native/fuzz with libFuzzer, address and
// undefined-behaviour sanitizers, those of test/support/fuzz with libFuzzer in node, and runs each
// from its inputs in test/fixtures/fuzz on.
//
//   --seconds N   for each target, 60 when not given
//   --target T    only those with T in the name
//   --seeds       only writes what the encoders make of each format to test/fixtures/fuzz
//   --keep        then adds inputs that reach what those in test/fixtures/fuzz do not
//
// What is found stays in build/fuzz/found: once it is fixed, the file goes to the inputs.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { cpus } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildTypeScript, TARGETS as TYPESCRIPT } from './fuzz/typescript.mjs';
import {
  aptInstall,
  explainMissing,
  hasProgram,
  inRoot,
  missingBuildPackages,
  run,
} from './support.mjs';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    target: { type: 'string', default: '' },
    seeds: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});
const INPUTS = inRoot('test', 'fixtures', 'fuzz');
const BUILD = inRoot('build', 'fuzz');
const FOUND = join(BUILD, 'found');
/** Larger ones say nothing that smaller ones do not, and are slow; 100 steps of an allocator are 800 B. */
function inputBytesMax(target) {
  if (TYPESCRIPT.includes(target)) return target.startsWith('import_') ? 1024 : 4096;
  return target.endsWith('_allocator') ? 800 : 8192;
}
const KEPT_BYTES_MAX = 1024;
/** Seeds of TypeScript are many small ones. */
const keptMax = (target) => (TYPESCRIPT.includes(target) ? 24 : 16);

function fail(message) {
  console.error(message);
  console.log('0 passed, 1 failed');
  process.exit(1);
}

function build(folder, program, definitions) {
  const configured = run(
    'cmake',
    ['-S', '.', '-B', folder, '-DCAIRN_TESTS=ON', '--log-level=WARNING', ...definitions],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const args = ['--build', folder, '--target', program, '--parallel', String(cpus().length)];
  if (!configured || !run('cmake', args, { stdio: ['ignore', 'ignore', 'inherit'] })) {
    fail(`test:fuzz: ${program} did not build`);
  }
  return join(folder, program);
}

function needClang() {
  if (hasProgram('clang++')) return;
  console.log('test:fuzz: installing clang with apt-get');
  aptInstall(['clang', 'libclang-rt-14-dev']);
  if (!hasProgram('clang++')) fail('test:fuzz: needs clang++: apt-get install clang');
}

function buildNative() {
  return build(join(BUILD, 'program'), 'fuzz_main', [
    '-DCMAKE_CXX_COMPILER=clang++',
    '-DCAIRN_FUZZ=ON',
    '-DCAIRN_SANITIZE=address,undefined',
  ]);
}

/** For each target the program with its first arguments; built is only what one of them needs. */
async function buildFuzzers(targets) {
  const native = targets.filter((target) => !TYPESCRIPT.includes(target));
  const program = native.length > 0 ? buildNative() : undefined;
  const commands = new Map(native.map((target) => [target, [program]]));
  if (native.length === targets.length) return commands;
  const more = await buildTypeScript(join(BUILD, 'typescript'));
  if (more === undefined) fail('test:fuzz: the targets in TypeScript did not build');
  return new Map([...commands, ...more]);
}

function writeSeeds() {
  const native = build(inRoot('build', 'native-tests'), 'fuzz_seeds', ['-DCAIRN_SANITIZE=']);
  const typescript = inRoot('test', 'support', 'fuzz', 'write-seeds.ts');
  return run(native, [INPUTS]) && run(process.execPath, ['--import', 'tsx', typescript, INPUTS]);
}

function filesIn(directory) {
  return readdirSync(directory).map((name) => join(directory, name));
}

function libFuzzer([program, ...first], target, args) {
  const all = [...first, `-artifact_prefix=${FOUND}/${target}-`, ...args];
  const { status, stderr } = spawnSync(program, all, {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
    maxBuffer: 1 << 28,
    env: { ...process.env, CAIRN_FUZZ_TARGET: target },
  });
  return { status, stderr };
}

/** Puts small inputs that reach something new with the seeds and with what was found earlier. */
function keep(command, target, corpus) {
  const merged = join(BUILD, 'merged', target);
  rmSync(merged, { recursive: true, force: true });
  mkdirSync(merged, { recursive: true });
  // What is in the first folder counts as known.
  cpSync(join(INPUTS, target), merged, { recursive: true });
  libFuzzer(command, target, ['-merge=1', `-max_len=${KEPT_BYTES_MAX}`, merged, corpus]);
  const known = new Set(readdirSync(join(INPUTS, target)));
  const fresh = filesIn(merged)
    .filter((file) => !known.has(basename(file)))
    .sort((a, b) => statSync(a).size - statSync(b).size);
  const room = Math.max(0, keptMax(target) - known.size);
  for (const file of fresh.slice(0, room)) {
    cpSync(file, join(INPUTS, target, `grown-${basename(file).slice(0, 12)}`));
  }
  return Math.min(room, fresh.length);
}

function fuzz(command, target) {
  const corpus = join(BUILD, 'corpus', target);
  mkdirSync(corpus, { recursive: true });
  const { status, stderr } = libFuzzer(command, target, [
    `-max_total_time=${options.seconds}`,
    `-max_len=${inputBytesMax(target)}`,
    '-timeout=20',
    '-rss_limit_mb=3000',
    '-print_final_stats=1',
    corpus,
    join(INPUTS, target),
  ]);
  const executions = Number(/number_of_executed_units:\s*(\d+)/.exec(stderr)?.[1] ?? 0);
  const edges = [...stderr.matchAll(/cov: (\d+)/g)].at(-1)?.[1] ?? '?';
  const passed = status === 0;
  const kept = passed && options.keep ? `, ${keep(command, target, corpus)} inputs kept` : '';
  const verdict = passed ? 'nothing found' : 'FOUND';
  console.log(`${target}: ${executions} inputs, ${edges} edges, ${verdict}${kept}`);
  if (!passed) console.log(stderr.split('\n').slice(-60).join('\n'));
  return passed;
}

const missing = missingBuildPackages();
if (missing.length > 0) fail(explainMissing(missing));
if (options.seeds) process.exit(writeSeeds() ? 0 : 1);
needClang();
mkdirSync(FOUND, { recursive: true });
const targets = readdirSync(INPUTS).filter((name) => name.includes(options.target));
const commands = await buildFuzzers(targets);
const results = targets.map((target) => fuzz(commands.get(target), target));
const passed = results.filter(Boolean).length;
console.log(`${passed} passed, ${results.length - passed} failed`);
process.exit(passed === results.length ? 0 : 1);
