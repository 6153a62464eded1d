// The main job, on real input: imports a directory tree, kills the import in the middle, reopens,
// completes, compares every file with the disk, then measures. `npm start` runs it after setup.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import Table from 'cli-table3';
import { inRoot, root } from './support.mjs';

const FILES_MIN = 10_000;
const REPORT = inRoot('report', 'bench.html');
/** Files compared at a time: each is read from the disk and from the store. */
const COMPARED_AT_ONCE = 32;
const POLL_MS = 2;

const CLI = inRoot('dist', 'esm', 'cli', 'main.js');
const started = performance.now();
const children = new Map();

mkdirSync(inRoot('build'), { recursive: true });
const work = mkdtempSync(inRoot('build', 'main-job-'));
const storePath = join(work, 'store');

function cleanUp() {
  // The benchmark has data of its own to remove; an import has not.
  for (const [child, signal] of children) child.kill(signal);
  rmSync(work, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
}
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
]) {
  process.once(signal, () => {
    cleanUp();
    process.exit(code);
  });
}

const seconds = () => ((performance.now() - started) / 1000).toFixed(1).padStart(6);
const say = (text) => console.log(`${seconds()} s  ${text}`);
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const shown = (path) => (path.startsWith(root) ? relative(root, path) : path);
const number = (value) => value.toLocaleString('en-US');

/** Every regular file below a directory, as the import sees them: bytes of the path below it. */
async function filesBelow(directory) {
  const found = [];
  const visit = async (path) => {
    for (const child of await readdir(path, { withFileTypes: true, encoding: 'buffer' })) {
      const full = Buffer.concat([path, Buffer.from('/'), child.name]);
      if (child.isDirectory()) await visit(full);
      else if (child.isFile()) found.push(full);
    }
  };
  const top = Buffer.from(directory);
  await visit(top);
  const files = [];
  for (const path of found) {
    const { size } = await lstat(path);
    files.push({ key: path.subarray(top.length + 1), path, size });
  }
  return files;
}

/** The project's own dependencies, and trees that Debian brings when they are too few files. */
async function chooseTrees() {
  const trees = [];
  let count = 0;
  for (const directory of [inRoot('node_modules'), '/usr/include', '/usr/share/doc']) {
    if (count >= FILES_MIN) break;
    if (!existsSync(directory)) continue;
    const files = await filesBelow(directory);
    const bytes = files.reduce((sum, file) => sum + file.size, 0);
    trees.push({ directory, files, bytes });
    count += files.length;
    say(`input: ${shown(directory)}, ${number(files.length)} files, ${megabytes(bytes)}`);
    if (trees.length > 1) say(`       (a supplement: the trees before it have too few files)`);
  }
  if (count < FILES_MIN) throw new Error(`only ${count} files were found, ${FILES_MIN} are needed`);
  return trees;
}

/** `cairn ...`: resolves with how it ended and what it printed. */
function cairn(args, { onStart = () => undefined } = {}) {
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.set(child, 'SIGKILL');
  const printed = [];
  child.stdout.on('data', (chunk) => printed.push(chunk));
  onStart(child);
  return once(child, 'close').then(([code, signal]) => {
    children.delete(child);
    return { code, signal, stdout: Buffer.concat(printed).toString() };
  });
}

/** Bytes that a process has read so far: how far an import has come, without its help. */
function bytesRead(pid) {
  try {
    return Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

const importArgs = (tree) => ['import', storePath, tree.directory, '--format', 'dir', '--json'];

/** Kills the import when it has read half of the tree. @returns was it still running? */
async function importAndKill(tree) {
  let timer;
  const { signal, code } = await cairn(importArgs(tree), {
    onStart(child) {
      timer = setInterval(() => {
        if (bytesRead(child.pid) >= tree.bytes / 2) child.kill('SIGKILL');
      }, POLL_MS);
    },
  });
  clearInterval(timer);
  if (signal !== 'SIGKILL' && code !== 0) throw new Error(`the import failed with ${code}`);
  return signal === 'SIGKILL';
}

async function importWhole(tree) {
  const { code, stdout } = await cairn(importArgs(tree));
  if (code !== 0) throw new Error(`the import failed with ${code}`);
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Reads every file from the store and from the disk and compares the hashes. */
async function compareAll(store, trees) {
  // Trees are loaded one after the other: of a path that two of them have, the last one counts.
  const expected = new Map();
  for (const { files } of trees) {
    for (const file of files) expected.set(file.key.toString('latin1'), file);
  }
  const files = [...expected.values()];
  const wrong = [];
  let next = 0;
  let bytes = 0;
  const worker = async () => {
    while (next < files.length) {
      const file = files[next];
      next += 1;
      const [stored, onDisk] = await Promise.all([store.get(file.key), readFile(file.path)]);
      bytes += onDisk.length;
      if (stored === undefined || sha256(stored) !== sha256(onDisk)) wrong.push(file);
    }
  };
  await Promise.all(Array.from({ length: COMPARED_AT_ONCE }, worker));
  return { count: files.length, bytes, wrong };
}

async function openStore() {
  const { open } = await import(inRoot('dist', 'esm', 'index.js'));
  const begin = performance.now();
  const store = await open(storePath);
  return { store, milliseconds: performance.now() - begin };
}

async function bench() {
  say('bench: the quick rows, each beside its yardstick');
  // `cairn bench` from the sources: the benchmark and its peers are no part of the package.
  const args = ['--import', 'tsx', 'ts/cli/main.ts', 'bench', '--quick', '--report', REPORT];
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' });
  children.set(child, 'SIGTERM');
  const [code] = await once(child, 'close');
  children.delete(child);
  if (code !== 0) throw new Error(`the benchmark failed with ${code}`);
}

async function main() {
  const trees = await chooseTrees();
  const total = trees.reduce((sum, tree) => sum + tree.files.length, 0);
  const [first, ...others] = trees;
  const steps = [];

  say(`import: ${shown(first.directory)}, to be killed when half of it is read`);
  let begin = performance.now();
  const killed = await importAndKill(first);
  steps.push([
    'import until SIGKILL',
    `${((performance.now() - begin) / 1000).toFixed(2)} s`,
    killed ? 'killed in the middle' : 'ended before it could be killed',
  ]);
  say(killed ? 'import: killed' : 'import: had ended already');

  const crashed = await openStore();
  const survivors = crashed.store.size;
  const { recovery } = crashed.store.stats();
  await crashed.store.close();
  say(`reopen: ${number(survivors)} of ${number(first.files.length)} files are there`);
  steps.push([
    'reopen after SIGKILL',
    `${crashed.milliseconds.toFixed(0)} ms`,
    `${number(survivors)} files, ${number(recovery.records)} log records replayed`,
  ]);

  begin = performance.now();
  const resumed = await importWhole(first);
  for (const tree of others) await importWhole(tree);
  steps.push([
    'complete the import',
    `${((performance.now() - begin) / 1000).toFixed(2)} s`,
    `went on after ${number(resumed.resumedAt ?? 0)} files`,
  ]);
  say(`import: complete, went on after ${number(resumed.resumedAt ?? 0)} files`);

  const { store, milliseconds } = await openStore();
  begin = performance.now();
  const compared = await compareAll(store, trees);
  const size = store.size;
  await store.close();
  steps.push(
    ['reopen', `${milliseconds.toFixed(0)} ms`, `${number(size)} files`],
    [
      'SHA-256 of every file',
      `${((performance.now() - begin) / 1000).toFixed(2)} s`,
      `${number(compared.count)} files, ${megabytes(compared.bytes)}, ${compared.wrong.length} differ`,
    ],
  );
  say(`verify: ${number(compared.count)} files compared, ${compared.wrong.length} differ`);
  for (const file of compared.wrong.slice(0, 10)) say(`        differs: ${file.path}`);

  // The table before the benchmark: its rows are long, and this is the verdict.
  const table = new Table({ head: ['step', 'time', 'result'], style: { head: [], border: [] } });
  table.push(...steps);
  console.log(table.toString());
  const whole = compared.wrong.length === 0 && size === compared.count;
  if (!whole) {
    throw new Error(`${number(size)} keys for ${number(compared.count)} files of ${number(total)}`);
  }

  await bench();
  say(`done; report: ${relative(root, REPORT)}`);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  cleanUp();
}
