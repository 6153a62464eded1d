// `npm run test:coverage`: which ways of which branches of decoders, recovery and allocators no test
// goes. Native units, the inputs of fuzzing, and mocha over an addon that counts; clang and V8 count.
// What is left has a reason in test/coverage-reasons.json, by file and text of the line, or is listed.
//
//   --report    only counts again what the last run left in build/coverage
//   --mocha G   test files, as globs with commas; more than once adds to what was counted
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildAddon, PATIENCE } from './instrumented.mjs';
import { nativeBranches } from './coverage/native.mjs';
import { typescriptBranches } from './coverage/typescript.mjs';
import {
  aptInstall,
  explainMissing,
  hasProgram,
  inRoot,
  missingBuildPackages,
  root,
  run,
} from './support.mjs';

const { values: options } = parseArgs({
  options: { report: { type: 'boolean', default: false }, mocha: { type: 'string' } },
});
const GOAL = 95;
const BUILD = inRoot('build', 'coverage');
const PROFILES = join(BUILD, 'profiles');
const V8 = join(BUILD, 'v8');
const ADDON = join(BUILD, 'addon', 'Release', 'cairn.node');
const REASONS = inRoot('test', 'coverage-reasons.json');

const below = (directory, pattern) =>
  readdirSync(inRoot(directory))
    .filter((name) => pattern.test(name))
    .map((name) => `${directory}/${name}`);
const GROUPS = {
  decoders: {
    native: [
      'native/log/log_format.h',
      'native/log/log_reader.cc',
      'native/log/manifest.cc',
      'native/log/checkpoint.cc',
      'native/value/values_header.cc',
      'native/cache/slot_record.cc',
      'native/cache/record_scan.cc',
      'native/index/index_page.cc',
      'native/index/directory_table_chunks.cc',
    ],
    typescript: [
      'ts/log/manifest.ts',
      'ts/log/checkpoint.ts',
      'ts/index/index-groups.ts',
      'ts/index/index-page.ts',
      'ts/index/page-checkpoint.ts',
      'ts/config/document.ts',
      'ts/config/section.ts',
      'ts/config/stored.ts',
      'ts/value-store/slot-records.ts',
      'ts/cli/encoding.ts',
      'ts/cli/import-state.ts',
      'ts/cli/json-slice.ts',
      'ts/cli/lines.ts',
      'ts/cli/source-csv.ts',
      'ts/cli/source-ndjson.ts',
    ],
  },
  recovery: {
    native: [
      'native/cache/pool_file.cc',
      'native/cache/virtual_memory.cc',
      'native/value/memory_slots.cc',
    ],
    typescript: [
      'ts/engine/open.ts',
      'ts/engine/recovery.ts',
      'ts/engine/repair.ts',
      'ts/engine/restore.ts',
      'ts/log/checkpoint-reserve.ts',
      'ts/log/plan.ts',
      'ts/log/replay.ts',
      'ts/log/segment-files.ts',
      'ts/log/segment-pool.ts',
      'ts/value-store/memory-pool.ts',
      'ts/value-store/values-file.ts',
    ],
  },
  allocators: {
    native: [
      ...below('native/alloc', /\.(cc|h)$/),
      'native/value/retire_queue.cc',
      'native/value/space_keeper.cc',
    ],
    typescript: ['ts/index/page-file.ts'],
  },
};
/** Without those that start many processes of their own, or run for the sake of time. */
const ROOMS = [
  ...['bindings', 'config', 'engine', 'index', 'log', 'robustness', 'value-store'].map((room) => [
    `test/ts/${room}/*.test.ts`,
  ]),
  ['test/ts/crash/known-images.test.ts'],
  ['test/ts/cli/import*.test.ts', 'test/ts/cli/units.test.ts'],
];
/** Of the campaign that `npm test` has 300,000 of: each kind of state is among them. */
const CRASH_STATES = 5000;

function fail(message) {
  console.error(message);
  console.log('0 passed, 1 failed');
  process.exit(1);
}

function build() {
  const missing = missingBuildPackages();
  if (missing.length > 0) fail(explainMissing(missing));
  if (!hasProgram('clang++') || !hasProgram('llvm-cov')) {
    console.log('test:coverage: installing clang and llvm with apt-get');
    aptInstall(['clang', 'llvm', 'libclang-rt-14-dev']);
    if (!hasProgram('clang++') || !hasProgram('llvm-cov'))
      fail('test:coverage: needs clang++ and llvm-cov: apt-get install clang llvm');
  }
  const parallel = ['--parallel', String(cpus().length)];
  const quiet = { stdio: ['ignore', 'ignore', 'inherit'] };
  const definitions = ['CAIRN_COVERAGE=ON', 'CMAKE_CXX_COMPILER=clang++'];
  const folder = join(BUILD, 'native');
  const setUp = ['-S', '.', '-B', folder, '-DCAIRN_TESTS=ON', '--log-level=WARNING'];
  const units =
    run('cmake', [...setUp, ...definitions.map((each) => `-D${each}`)], quiet) &&
    run('cmake', ['--build', folder, ...parallel], quiet);
  if (!units) fail('test:coverage: the native units did not build');
  if (buildAddon('coverage/addon', definitions) === undefined)
    fail('test:coverage: the addon did not build');
}

function programs() {
  const folder = join(BUILD, 'native');
  const units = readdirSync(folder).filter((name) => name.endsWith('_test'));
  return units.map((name) => join(folder, name));
}

/** @returns whether it ended well; the figures are of what ran, in any case. */
function counted(name, program, args) {
  console.log(`test:coverage: ${name}`);
  const { status, signal, stdout } = spawnSync(program, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 28,
    env: {
      ...process.env,
      CAIRN_ADDON_PATH: ADDON,
      LLVM_PROFILE_FILE: join(PROFILES, '%p-%m.profraw'),
      NODE_V8_COVERAGE: V8,
    },
  });
  if (status !== 0) console.log(`${stdout}test:coverage: ${name} ended with ${status ?? signal}`);
  return status === 0;
}

/** A process for each room: what one that ends badly has counted is lost. @returns whether all passed. */
function runTests() {
  const node = (name, ...args) => counted(name, process.execPath, ['--import', 'tsx', ...args]);
  const mocha = inRoot('node_modules', 'mocha', 'bin', '_mocha');
  const room = (files) =>
    node(files.join(' '), mocha, '--reporter', 'dot', '--require', PATIENCE, ...files);
  mkdirSync(PROFILES, { recursive: true });
  if (options.mocha !== undefined) return room(options.mocha.split(','));
  rmSync(PROFILES, { recursive: true });
  rmSync(V8, { recursive: true, force: true });
  mkdirSync(PROFILES);
  const campaign = ['test/support/crash/run.ts', '--states', String(CRASH_STATES)];
  return [
    ...programs().map((program) => counted(program.slice(BUILD.length + 1), program, [])),
    ...ROOMS.map(room),
    node('crash states', ...campaign, '--per-point', '2', '--seed', '1'),
  ].every(Boolean);
}

/** @returns whether each group has what the goal says. */
function report() {
  const reasons = existsSync(REASONS) ? JSON.parse(readFileSync(REASONS, 'utf8')) : {};
  const used = new Set();
  const open = [];
  let ways = [];
  let good = true;
  for (const [group, { native, typescript }] of Object.entries(GROUPS)) {
    const found = [
      ...nativeBranches(root, [...programs(), ADDON], PROFILES, native),
      ...typescriptBranches(root, V8, typescript),
    ];
    good = print(group, found) >= GOAL && good;
    ways = ways.concat(found);
  }
  for (const way of ways.filter(({ count }) => count === 0)) {
    const reason = reasons[way.file]?.[way.text];
    if (reason === undefined) open.push(way);
    else used.add(`${way.file}: ${way.text}`);
  }
  for (const { file, line, what, text } of open) console.log(`  ${file}:${line} ${what}: ${text}`);
  const stale = Object.entries(reasons).flatMap(([file, lines]) =>
    Object.keys(lines)
      .map((text) => `${file}: ${text}`)
      .filter((place) => !used.has(place)),
  );
  for (const place of stale) console.log(`  gone this time, whatever the reason says: ${place}`);
  print('all', ways);
  console.log(`${open.length} without a reason, ${used.size} lines with one`);
  return good;
}

function print(name, ways) {
  const gone = ways.filter(({ count }) => count > 0).length;
  const percent = (100 * gone) / ways.length;
  console.log(`${name}: ${gone} of ${ways.length} ways of branches, ${percent.toFixed(2)} %`);
  return percent;
}

let passed = true;
if (!options.report) {
  build();
  passed = runTests();
} else if (!existsSync(ADDON) || !existsSync(PROFILES)) {
  fail('test:coverage: --report counts what a run left, and there was none');
}
const good = report() && passed;
console.log(good ? '1 passed, 0 failed' : '0 passed, 1 failed');
process.exit(good ? 0 : 1);
