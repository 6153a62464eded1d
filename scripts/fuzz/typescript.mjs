// Targets of test/support/fuzz, for decoders in TypeScript: compiled into one file, in which each
// statement and each way of a branch counts, and a small addon that brings libFuzzer into node.
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { nodePrefix } from '../node-include.mjs';
import { capture, inRoot, run } from '../support.mjs';

const require = createRequire(import.meta.url);

export const TARGETS = ['import_ndjson', 'import_csv', 'config_document'];

/** Otherwise a quarter of the time goes into small collections of what inputs leave behind. */
const FLAGS = ['--max-semi-space-size=64', '--single-threaded-gc'];

/** Names of the processor that node and clang do not share. */
const PROCESSORS = { x64: 'x86_64', arm64: 'aarch64' };

function buildDriver(folder) {
  const name = `libclang_rt.fuzzer_no_main-${PROCESSORS[process.arch]}.a`;
  // The compiler prints the bare name back when it has no such file.
  const library = capture('clang++', [`-print-file-name=${name}`]);
  if (!library?.includes('/')) return false;
  return run('clang++', [
    ...['-std=c++20', '-O2', '-fPIC', '-shared', '-pthread', '-Wall', '-Wextra'],
    ...['-fno-exceptions', '-fno-rtti', '-DNAPI_VERSION=9', '-DNAPI_DISABLE_CPP_EXCEPTIONS'],
    ...['-isystem', join(nodePrefix(), 'include', 'node')],
    ...['-isystem', require('node-addon-api').include_dir],
    inRoot('test', 'native', 'fuzz', 'js_driver.cc'),
    library,
    ...['-o', join(folder, 'js_driver.node')],
  ]);
}

function bundle() {
  // The compiler of tsx: the same version sees the same sources.
  const { buildSync } = createRequire(require.resolve('tsx'))('esbuild');
  const { outputFiles } = buildSync({
    entryPoints: [inRoot('test', 'support', 'fuzz', 'targets.ts')],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
    target: `node${process.versions.node}`,
    logLevel: 'error',
  });
  return outputFiles[0].text;
}

/** Each word as the dictionary of libFuzzer writes it: every byte in hexadecimal. */
function dictionary(words) {
  const escaped = (byte) => `\\x${byte.toString(16).padStart(2, '0')}`;
  const lines = words.map((word) => `"${[...Buffer.from(word, 'utf8')].map(escaped).join('')}"\n`);
  return lines.join('');
}

/**
 * Builds all that run-target.mjs needs into the folder.
 *
 * @returns for each target the program with its first arguments; undefined when it did not build.
 */
export async function buildTypeScript(folder) {
  mkdirSync(folder, { recursive: true });
  if (!buildDriver(folder)) return undefined;
  const { createInstrumenter, readInitialCoverage } = await import('istanbul-lib-instrument');
  const file = join(folder, 'targets.cjs');
  const code = createInstrumenter({ esModules: false }).instrumentSync(bundle(), file);
  writeFileSync(file, code);
  const { path, hash, coverageData } = readInitialCoverage(code);
  const { s, f, b } = coverageData;
  writeFileSync(join(folder, 'coverage.json'), JSON.stringify({ path, hash, s, f, b }));
  const runTarget = inRoot('scripts', 'fuzz', 'run-target.mjs');
  const commands = new Map();
  for (const { name, words } of require(file).TARGETS) {
    writeFileSync(join(folder, `${name}.dict`), dictionary(words));
    commands.set(name, [
      ...[process.execPath, ...FLAGS, runTarget, folder, name],
      // Long inputs take long: only when short ones bring nothing new, as without changes of our own.
      '-len_control=100',
      `-dict=${join(folder, `${name}.dict`)}`,
    ]);
  }
  return commands;
}
