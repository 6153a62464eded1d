import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, createWriteStream, existsSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { useProgram } from '../../support/program.js';

const program = useProgram(new URL('../../../ts/cli/main.ts', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

function start(...argv: string[]): ChildProcess {
  return spawn(process.execPath, [...program(), ...argv], {
    stdio: 'pipe',
    // What Node.js warns of is said by the host (no io_uring), not by the command.
    env: { ...process.env, NO_COLOR: '', NODE_NO_WARNINGS: '1' },
  });
}

async function end(child: ChildProcess): Promise<Ended> {
  const out: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => errors.push(chunk));
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return {
    code,
    signal,
    stdout: Buffer.concat(out),
    stderr: Buffer.concat(errors).toString('utf8'),
  };
}

function cairn(...argv: string[]): Promise<Ended> {
  const child = start(...argv);
  child.stdin?.end();
  return end(child);
}

/** Real processes on real stores. */
describe('command line: processes', function () {
  this.timeout(60_000);
  let folder: string;
  let store: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cairn-cli-'));
    store = join(folder, 'store');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const ok = async (...argv: string[]): Promise<string> => {
    const { code, stdout, stderr } = await cairn(...argv);
    assert.equal(code, 0, stderr);
    return stdout.toString('utf8');
  };
  const writeLines = async (count: number, valueBytes: number): Promise<string> => {
    const path = join(folder, 'in.ndjson');
    const file = createWriteStream(path);
    const value = 'v'.repeat(valueBytes);
    for (let i = 0; i < count; i++) {
      if (!file.write(`{"key":"key-${i}","value":"${value}${i}"}\n`)) await once(file, 'drain');
    }
    file.end();
    await once(file, 'close');
    return path;
  };

  it('puts, gets, deletes and counts across processes', async () => {
    assert.equal(await ok('put', store, 'k', 'value'), '');
    assert.equal(await ok('get', store, 'k'), 'value');
    assert.equal(await ok('count', store), '1\n');
    assert.equal(await ok('scan', store, '--json'), '{"key":"k","value":"value"}\n');
    assert.equal(await ok('del', store, 'k'), '');
    const absent = await cairn('get', store, 'k');
    assert.deepEqual([absent.code, absent.stdout.length], [1, 0]);
    assert.match(absent.stderr, /^cairn: CLI_KEY_NOT_FOUND/);
  });

  it('makes a backup and restores it', async () => {
    const [backup, restored] = [join(folder, 'backup'), join(folder, 'restored')];
    await ok('import', store, await writeLines(500, 100));
    assert.match(await ok('backup', store, backup), /^[\d.]+ \wi?B in .*, up to sequence \d+\n$/);
    const report = JSON.parse(await ok('restore', backup, restored, '--json')) as {
      readonly ok: boolean;
      readonly bytes: number;
    };
    assert.ok(report.ok && report.bytes > 50_000);
    assert.equal(await ok('count', restored), '500\n');
    const again = await cairn('backup', store, backup, '--json');
    assert.equal(again.code, 1);
    assert.match(again.stderr, /"code":"CAIRN_EXISTS"/);
    const none = await cairn('restore', join(folder, 'none'), join(folder, 'other'));
    assert.deepEqual([none.code, existsSync(join(folder, 'other'))], [1, false]);
    assert.match(none.stderr, /^cairn: CAIRN_NOT_FOUND/);
    assert.equal((await cairn('backup', store)).code, 2);
  });

  it('says what is damaged, and copies it only when told to', async () => {
    await ok('put', store, 'k', 'a-value-to-be-damaged');
    const values = join(store, 'values');
    const bytes = await readFile(values);
    bytes[bytes.indexOf('to-be')]! ^= 1;
    await writeFile(values, bytes);
    const failed = await cairn('backup', store, join(folder, 'b1'));
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /^cairn: CAIRN_CORRUPTION: backup: values: the record at \d+/);
    const kept = await cairn('backup', store, join(folder, 'b1'), '--keep-damaged');
    assert.equal(kept.code, 1);
    assert.match(kept.stdout.toString(), /^damaged values at \d+/);
    assert.match(kept.stderr, /^cairn: CLI_DAMAGED: 1 record did not check/);
  });

  it('saves the rest of a damaged store, and says what it gave up', async () => {
    await ok('put', store, 'k', 'a-value-to-be-damaged');
    await ok('put', store, 'other', 'value');
    const values = join(store, 'values');
    const bytes = await readFile(values);
    bytes[bytes.indexOf('to-be')]! ^= 1;
    await writeFile(values, bytes);
    const saved = await cairn('repair', store, join(folder, 'saved'));
    assert.equal(saved.code, 1);
    assert.match(saved.stdout.toString(), /^given up values at \d+.*\n1 record, /);
    assert.match(saved.stderr, /^cairn: CLI_DAMAGED: 1 place did not check/);
    assert.equal(await ok('get', join(folder, 'saved'), 'other'), 'value');
  });

  it('takes a binary value from stdin and gives it back', async () => {
    const value = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7) & 0xff));
    const child = start('put', store, 'k', '-');
    child.stdin?.end(value);
    assert.equal((await end(child)).code, 0);
    assert.deepEqual((await cairn('get', store, 'k')).stdout, value);
  });

  it('tells a u64 store by itself', async () => {
    await ok('put', store, '18446744073709551615', 'v', '--key-type', 'u64');
    assert.equal(await ok('get', store, '18446744073709551615'), 'v');
    assert.equal(await ok('scan', store, '--keys-only'), '18446744073709551615\n');
    const wrong = await cairn('get', store, '1', '--key-type', 'bytes', '--json');
    assert.equal(wrong.code, 1);
    assert.equal(
      (JSON.parse(wrong.stderr) as { error: { code: string } }).error.code,
      'CAIRN_INCOMPATIBLE',
    );
  });

  it('says CAIRN_NOT_FOUND for a path without a store, and makes nothing there', async () => {
    const result = await cairn('get', store, 'k', '--json');
    assert.equal(result.code, 1);
    assert.equal(
      (JSON.parse(result.stderr) as { error: { code: string } }).error.code,
      'CAIRN_NOT_FOUND',
    );
    assert.equal(existsSync(store), false);
  });

  it('ends with 2 on wrong usage and on a configuration that is wrong', async () => {
    assert.equal((await cairn('get', store)).code, 2);
    const wrong = await cairn('put', store, 'k', 'v', '--config', '{"durabilty":"none"}');
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /CAIRN_INVALID_CONFIG/);
    assert.equal(existsSync(store), false);
  });

  it('imports a tree, verifies it, exports the same tree', async () => {
    const tree = join(folder, 'tree');
    for (const directory of ['a', 'b/c']) {
      await mkdir(join(tree, directory), { recursive: true });
      for (let i = 0; i < 50; i++)
        await writeFile(join(tree, directory, `f${i}`), Buffer.alloc(i * 997, i));
    }
    const summary = JSON.parse(await ok('import', store, tree, '--json')) as { entries: number };
    assert.equal(summary.entries, 100);
    const report = JSON.parse(await ok('verify', store, '--json')) as {
      ok: boolean;
      records: number;
    };
    assert.deepEqual([report.ok, report.records], [true, 100]);
    const out = join(folder, 'out');
    await ok('export', store, out, '--format', 'dir');
    for (const name of ['a/f0', 'a/f49', 'b/c/f17']) {
      assert.deepEqual(await readFile(join(out, name)), await readFile(join(tree, name)), name);
    }
    assert.match(await ok('stat', store), /entries +100\n/);
    assert.equal(
      (JSON.parse(await ok('stat', store, '--json')) as { entries: number }).entries,
      100,
    );
  });

  it('reports damage with exit code 1', async () => {
    // Longer than what rides in the log: the values are in their slots and nowhere else.
    await ok('import', store, await writeLines(20, 100_000));
    const file = 'values';
    const bytes = await readFile(join(store, file));
    const at = bytes.indexOf('vvvvvvvvvvvvvvvv');
    assert.notEqual(at, -1, file);
    bytes[at + 5] = 0x77;
    await writeFile(join(store, file), bytes);
    const result = await cairn('verify', store, '--json');
    assert.equal(result.code, 1, result.stderr);
    const report = JSON.parse(result.stdout.toString()) as {
      ok: boolean;
      damagedCount: number;
      damaged: { file: string }[];
    };
    assert.equal(report.ok, false);
    assert.equal(report.damagedCount, 1);
    assert.equal(report.damaged[0]?.file, file);
  });

  for (const signal of ['SIGKILL', 'SIGINT'] as const) {
    it(`goes on with an import that ${signal} ended`, async () => {
      const count = 400_000;
      const source = await writeLines(count, 100);
      const child = start('import', store, source);
      child.stdin?.end();
      const ended = end(child);
      for (let waited = 0; !existsSync(`${store}.import.json`) && waited < 30_000; waited += 20)
        await sleep(20);
      child.kill(signal);
      const first = await ended;
      assert.equal(first.signal, signal, first.stderr);
      if (signal === 'SIGINT') assert.match(first.stderr, /CLI_INTERRUPTED/);
      const second = JSON.parse(await ok('import', store, source, '--json')) as {
        entries: number;
        resumedAt: number;
      };
      assert.ok(second.resumedAt > 0);
      assert.equal(second.entries + second.resumedAt, count);
      assert.equal(await ok('count', store), `${count}\n`);
      assert.equal(await ok('get', store, `key-${count - 1}`), `${'v'.repeat(100)}${count - 1}`);
      assert.equal(existsSync(`${store}.import.json`), false);
    });
  }

  it('ends quietly when the reader of stdout goes away', async () => {
    await ok('import', store, await writeLines(50_000, 100));
    const child = start('scan', store);
    child.stdin?.end();
    const ended = end(child);
    child.stdout?.once('data', () => child.stdout?.destroy());
    const { code, stderr } = await ended;
    assert.deepEqual([code, stderr], [0, '']);
    assert.equal(await ok('count', store), '50000\n');
  });

  it('says in its own form that stdout cannot be written', async () => {
    // Symptom: a stack trace, with --json as well, and a store that was not closed.
    // Cause: errors of stdout but EPIPE were thrown where nobody catches.
    // Fix: they abort the command and are what it reports.
    await ok('put', store, 'k', 'v');
    const full = openSync('/dev/full', 'w');
    try {
      for (const command of ['get', 'scan', 'count']) {
        const argv = [command, store, ...(command === 'get' ? ['k'] : []), '--json'];
        const child = spawn(process.execPath, [...program(), ...argv], {
          stdio: ['ignore', full, 'pipe'],
        });
        const { code, stderr } = await end(child);
        assert.equal(code, 1);
        const { error } = JSON.parse(stderr) as { error: { code: string } };
        assert.equal(error.code, 'ENOSPC');
      }
    } finally {
      closeSync(full);
    }
  });

  it('measures with doctor and leaves nothing behind', async () => {
    const report = JSON.parse(await ok('doctor', '--dir', folder, '--json')) as {
      store: { opened: boolean; backend: string };
    };
    assert.equal(report.store.opened, true);
    assert.deepEqual(await readdir(folder), []);
  });

  it('hands the arguments of bench to the benchmark, from what is built as well', async () => {
    // Symptom: `npx cairn bench` of a checkout: the benchmark is not installed.
    // Cause: it was looked for in dist/bench, which is not built.
    // Fix: beside the sources it runs from them.
    const built = resolve('dist/esm/cli/main.js');
    const child = spawn(process.execPath, [built, 'bench', '--help'], { stdio: 'pipe' });
    const { code, stdout, stderr } = await end(child);
    assert.equal(code, 0, stderr);
    assert.match(stdout.toString('utf8'), /--quick/);
    const wrong = await end(spawn(process.execPath, [built, 'bench', '--nope'], { stdio: 'pipe' }));
    assert.equal(wrong.code, 2);
  });

  it('shows its help without a store', async () => {
    assert.match(await ok('--help'), /Usage: cairn/);
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    assert.equal(await ok('--version'), `${version}\n`);
  });
});
