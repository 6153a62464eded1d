// An addon built in another way, and mocha over it: what sanitizers and coverage share.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { capture, compiler, countResults, inRoot, root, run } from './support.mjs';

const require = createRequire(import.meta.url);

/** For mocha: what is watched or counted is slower than usual. */
export const PATIENCE = inRoot('scripts', 'patience.mjs');

function programOf(name) {
  const manifest = require.resolve(`${name}/package.json`);
  const { bin } = JSON.parse(readFileSync(manifest, 'utf8'));
  return join(dirname(manifest), typeof bin === 'string' ? bin : bin[name]);
}

/** Builds the addon in build/<name>, with definitions for CMake; its path, or undefined. */
export function buildAddon(name, definitions) {
  const built = run(process.execPath, [
    programOf('cmake-js'),
    'build',
    '--out',
    inRoot('build', name),
    ...definitions.map((definition) => `--CD${definition}`),
    '--parallel',
    String(cpus().length),
    '--log-level',
    'error',
  ]);
  return built ? inRoot('build', name, 'Release', 'cairn.node') : undefined;
}

/** node itself is not sanitized, so that the runtime libraries have to be there before it. */
export function runtimeLibraries(names) {
  const paths = names.map((name) => capture(compiler(), [`-print-file-name=${name}`]));
  return paths.every((path) => path?.includes('/')) ? paths.join(' ') : undefined;
}

/** @param before a program that starts node, with its arguments. */
export function mocha(files, { addon, env, more = [], before = [] }) {
  const [program, ...args] = [
    ...before,
    process.execPath,
    '--import',
    'tsx',
    // Not bin/mocha.js, whose second process would be the one that is looked at.
    inRoot('node_modules', 'mocha', 'bin', '_mocha'),
    '--require',
    PATIENCE,
    ...more,
    ...files,
  ];
  const { status, stdout } = spawnSync(program, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 28,
    env: { ...process.env, CAIRN_ADDON_PATH: addon, ...env },
  });
  process.stdout.write(stdout);
  const results = countResults(stdout);
  const broken = (status !== 0 || results.passed === 0) && results.failed === 0;
  return { passed: results.passed, failed: results.failed + (broken ? 1 : 0) };
}

/** Prints the sum and ends the process. */
export function finish(results) {
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.reduce((sum, result) => sum + result.failed, 0);
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}
