// What the scripts share. Node built-ins only: setup runs before node_modules exists.
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodePrefix } from './node-include.mjs';

/** The package root; every path in the scripts is relative to it. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

export function inRoot(...parts) {
  return join(root, ...parts);
}

/** Runs a program in the package root with its output shown; true when it exits with 0. */
export function run(program, args, options = {}) {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: 'inherit', ...options });
  if (error) console.error(`${program}: ${error.message}`);
  return status === 0;
}

/** Runs a program and returns what it printed, or undefined when it failed. */
export function capture(program, args, input = '') {
  const { status, stdout } = spawnSync(program, args, { cwd: root, input, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/** Is the program on PATH? Starting each one to ask would cost setup its two seconds. */
export function hasProgram(name) {
  if (name.includes('/')) return existsSync(name);
  return (process.env.PATH ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * Runs apt-get, as root or through sudo that asks nothing; false when that is not possible. What it
 * complains about is in our own message, but for what it says last.
 */
function aptGet(args, { quietly = false } = {}) {
  const asRoot = process.getuid() === 0 ? [] : ['sudo', '-n'];
  const quiet = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq'];
  const [program, ...rest] = [...asRoot, ...quiet, ...args];
  if (!hasProgram('apt-get') || !hasProgram(program)) return false;
  return run(program, rest, { stdio: ['ignore', 'ignore', quietly ? 'ignore' : 'inherit'] });
}

/** Installs Debian packages without asking; whether they are there then is the caller's to find out. */
export function aptInstall(packages) {
  const install = ['install', '-y', '--no-install-recommends', ...packages];
  // The lists of a fresh container are empty, and stale ones name files that are gone.
  if (!aptGet(install, { quietly: true }) && aptGet(['update'], { quietly: true })) aptGet(install);
}

/** For tests on file systems of their own: installs what makes and mounts them, or ends the process. */
export function needFileSystems(test) {
  if (process.getuid() !== 0) {
    console.error(`${test}: only root may mount a file system`);
    console.log('0 passed, 1 failed');
    process.exit(1);
  }
  const brings = { 'mkfs.ext4': 'e2fsprogs', 'mkfs.xfs': 'xfsprogs', mount: 'mount' };
  const missing = Object.keys(brings).filter((name) => !hasProgram(name));
  if (missing.length === 0) return;
  const packages = missing.map((name) => brings[name]);
  console.log(`${test}: installing ${packages.join(' ')} with apt-get`);
  aptInstall(packages);
}

/** Modification time in ms; 0 when there is no such file. */
export function modified(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** The newest modification time below the given files and directories, directories included. */
export function newest(paths) {
  let latest = 0;
  for (const path of paths) {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) continue;
    latest = Math.max(latest, stat.mtimeMs);
    if (stat.isDirectory())
      latest = Math.max(latest, newest(readdirSync(path).map((name) => join(path, name))));
  }
  return latest;
}

/** Writes a file whose modification time says when a step last succeeded. */
export function stamp(path, content = '') {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

export function compiler() {
  return process.env.CXX || 'g++';
}

function hasLiburing() {
  if (!hasProgram(compiler())) return false;
  // The compiler prints the bare name back when it has no such file.
  const archive = capture(compiler(), ['-print-file-name=liburing.a']);
  if (archive === undefined || !archive.includes('/')) return false;
  return capture(compiler(), ['-E', '-x', 'c++', '-'], '#include <liburing.h>\n') !== undefined;
}

/** What building the addon needs and is not there, and the Debian package that brings it, if one does. */
export function missingBuildPackages() {
  const missing = [];
  if (!hasProgram(compiler())) missing.push({ package: 'g++', what: 'a C++20 compiler' });
  if (!hasProgram('make') && !hasProgram('ninja')) missing.push({ package: 'make', what: 'make' });
  if (!hasProgram('cmake')) missing.push({ package: 'cmake', what: 'CMake' });
  if (!hasLiburing()) missing.push({ package: 'liburing-dev', what: 'liburing' });
  if (nodePrefix() === undefined) missing.push(missingHeaders());
  return missing;
}

/**
 * Debian's own Node.js has its headers in a package; others bring them or are without. That package
 * would replace a Node.js that is none of Debian's.
 */
function missingHeaders() {
  const what = 'the headers of Node.js (include/node beside its bin folder)';
  if (capture('dpkg', ['-S', process.execPath])?.startsWith('nodejs:')) {
    return { package: 'libnode-dev', what };
  }
  const hint =
    'The official Node.js archives, the NodeSource packages and the docker images have the headers; ' +
    'npm_config_nodedir names another folder with include/node.';
  return { package: undefined, what, hint };
}

/** One message for the user: what is missing and the command that installs it. */
export function explainMissing(missing) {
  const what = missing.map((entry) => entry.what).join(', ');
  const packages = missing.flatMap((entry) => entry.package ?? []).join(' ');
  const hints = missing.flatMap((entry) => entry.hint ?? []);
  if (packages !== '') hints.unshift(`On Debian or Ubuntu, as root: apt-get install ${packages}`);
  return `cairn-kv: its native addon is built on this machine and needs ${what}. ${hints.join('. ')}`;
}

const addonFile = inRoot('build', 'Release', 'cairn.node');
const addonInputs = ['native', 'CMakeLists.txt', 'binding.gyp'].map((name) => inRoot(name));

export function addonIsCurrent() {
  return modified(addonFile) > newest(addonInputs);
}

const distStamp = inRoot('dist', '.built');
const distInputs = [
  'ts',
  'package.json',
  'tsconfig.json',
  'tsconfig.esm.json',
  'tsconfig.cjs.json',
];

export function distIsCurrent() {
  return modified(distStamp) > newest(distInputs.map((name) => inRoot(name)));
}

export function markDistBuilt() {
  stamp(distStamp);
}

/** The numbers of the last 'N passed, N failed' or of mocha's 'N passing' and 'N failing'. */
export function countResults(output) {
  const own = [...output.matchAll(/^(\d+) passed, (\d+) failed$/gm)].at(-1);
  if (own) return { passed: Number(own[1]), failed: Number(own[2]) };
  const passing = [...output.matchAll(/^\s*(\d+) passing\b/gm)].at(-1);
  const failing = [...output.matchAll(/^\s*(\d+) failing\b/gm)].at(-1);
  return { passed: Number(passing?.[1] ?? 0), failed: Number(failing?.[1] ?? 0) };
}

/** The name of the package, to tell a checkout from an installed copy. */
export function packageJson() {
  return JSON.parse(readFileSync(inRoot('package.json'), 'utf8'));
}
