import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { addon } from '../../../ts/bindings/addon.js';
import { type AlignedBytes, FileSet } from '../../../ts/bindings/file-set.js';
import type { OpenDirectoryOptions } from '../../../ts/bindings/addon.js';
import { STATUS_NAMES } from '../../../ts/bindings/status.js';
import { CairnError, type ErrorCode } from '../../../ts/common/errors.js';
import { useProgram } from '../../support/program.js';
import { newSimDisk } from '../../support/sim-disk.js';

const PAGE = 4096;
const program = useProgram(new URL('../../support/file-set-child.ts', import.meta.url));

const OPTIONS = {
  queueDepth: 32,
  flushEvery: 4,
  busyPollUs: 0,
  threads: 4,
  readOnly: false,
  create: true,
  lockTimeoutMs: 0,
} as const;

const scratch: string[] = [];

function newDirectory(): string {
  // Not the directory for temporary files, which may lie in memory: O_DIRECT is to be met.
  const directory = mkdtempSync('/var/tmp/cairn-file-set-');
  scratch.push(directory);
  return directory;
}

function pagesOf(files: FileSet, pages: number, seed: number): AlignedBytes {
  const bytes = new Uint8Array(files.native.allocate(pages * PAGE));
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31 + seed * 7 + (i >> 12)) & 255;
  return bytes;
}

function coded(code: ErrorCode, more: Partial<CairnError> = {}): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof CairnError, String(error));
    assert.equal(error.code, code, error.message);
    for (const [name, value] of Object.entries(more)) {
      assert.deepEqual(error[name as keyof CairnError], value);
    }
    return true;
  };
}

interface ChildEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly output: string;
}

/** Runs one scenario of file-set-child.ts in a process of its own. */
function runChild(...args: string[]): Promise<ChildEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...program(), ...args], { timeout: 30_000 });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, output }));
  });
}

interface Kind {
  readonly name: string;
  /** What does the work: threads in place of a ring where that is forbidden (`npm run test:posix`). */
  readonly backend: string;
  open(directory: string, options?: Partial<OpenDirectoryOptions>): Promise<FileSet>;
}

const HOST_KINDS: readonly Kind[] = (['IOURING', 'POSIX'] as const).map((backend) => ({
  name: backend,
  backend: process.env['CAIRN_TEST_WITHOUT_URING'] === undefined ? backend : 'POSIX',
  open: (directory, options = {}) =>
    FileSet.openDirectory(directory, { ...OPTIONS, backend, ...options }),
}));

const KINDS: readonly Kind[] = [
  ...HOST_KINDS,
  { name: 'SIM', backend: 'SIM', open: () => Promise.resolve(FileSet.memory()) },
];

describe('file set', () => {
  after(() => {
    for (const directory of scratch) rmSync(directory, { recursive: true, force: true });
  });

  it('names the same statuses as the addon', () => {
    assert.deepEqual(Object.keys(addon().statusCodes), [...STATUS_NAMES]);
  });

  for (const kind of HOST_KINDS) {
    it(`looks for completions before it sleeps, and timers run meanwhile: ${kind.name}`, async () => {
      const files = await kind.open(newDirectory(), { busyPollUs: 1000 });
      const file = await files.open('data', 2);
      const written = pagesOf(files, 64, 3);
      await files.write(file, 0, written, { sync: true });
      let timers = 0;
      const timer = setInterval(() => timers++, 1);
      for (let page = 0; page < 1000; page++) {
        const read = await files.read(file, (page % 64) * PAGE, PAGE);
        assert.deepEqual(read, written.subarray((page % 64) * PAGE, (page % 64) * PAGE + PAGE));
        if (page % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      clearInterval(timer);
      assert.ok(timers > 0);
      await files.dispose();
    });
  }

  for (const kind of KINDS) {
    describe(kind.name, () => {
      it('reads what was written, at any place and size', async () => {
        const files = await kind.open(newDirectory());
        assert.equal(files.capabilities.name, kind.backend);
        const file = await files.open('data', 2);
        const written = pagesOf(files, 600, 1);
        await files.write(file, 0, written, { sync: true });
        assert.equal(files.sizeOf(file), 600 * PAGE);
        for (const [first, count] of [
          [0, 1],
          [17, 3],
          [599, 1],
          [0, 600],
          [100, 300],
        ] as const) {
          const read = await files.read(file, first * PAGE, count * PAGE);
          const expected = written.subarray(first * PAGE, (first + count) * PAGE);
          assert.ok(Buffer.compare(read, expected) === 0);
        }
        await files.sync(file);
        files.close(file);
        await files.dispose();
      });

      it('settles thousands of reads at once, each with its own bytes', async () => {
        const files = await kind.open(newDirectory());
        const file = await files.open('data', 1);
        const bytes = pagesOf(files, 64, 3);
        for (let page = 0; page < 64; page++) bytes.fill(page, page * PAGE, (page + 1) * PAGE);
        await files.write(file, 0, bytes, { sync: false });
        const reads = Array.from({ length: 10_000 }, (_, i) =>
          files.read(file, (i % 64) * PAGE, PAGE).then((page) => {
            assert.equal(page[0], i % 64);
            assert.equal(page[PAGE - 1], i % 64);
          }),
        );
        await Promise.all(reads);
        assert.equal(files.native.inFlight, 0);
        await files.dispose();
      });

      it('waits without the event loop', async () => {
        const files = await kind.open(newDirectory());
        const file = await files.open('data', 2);
        const bytes = pagesOf(files, 1, 5);
        let result: number | undefined;
        const token = files.channel.once((value) => (result = value));
        files.native.write(file, 0, bytes.buffer as ArrayBuffer, 0, PAGE, true, token);
        while (result === undefined) assert.ok(files.channel.wait());
        assert.equal(result, PAGE);
        assert.equal(files.channel.wait(), false);
        await files.dispose();
      });

      it('makes, lists, renames, grows, punches, cuts and removes files', async () => {
        const files = await kind.open(newDirectory());
        const file = await files.open('a.tmp', 1);
        await files.open('b', 2);
        await files.rename('a.tmp', 'a');
        await files.syncDirectory();
        assert.deepEqual(files.list(), ['a', 'b']);
        await files.grow(file, 8 * PAGE);
        assert.equal(files.sizeOf(file), 8 * PAGE);
        await files.write(file, 0, pagesOf(files, 8, 2), { sync: false });
        await files.punch(file, PAGE, PAGE);
        const page = await files.read(file, PAGE, PAGE);
        assert.ok(page.every((byte) => byte === 0));
        await files.truncate(file, PAGE);
        await assert.rejects(
          files.read(file, PAGE, PAGE),
          coded('CAIRN_CORRUPTION', { operation: 'read', offset: PAGE }),
        );
        await files.remove('b');
        await assert.rejects(files.remove('b'), coded('CAIRN_NOT_FOUND', { file: 'b' }));
        await assert.rejects(files.open('b', 0), coded('CAIRN_NOT_FOUND'));
        await assert.rejects(files.open('a', 1), coded('CAIRN_EXISTS'));
        await files.dispose();
      });

      it('refuses misuse with a code and goes on', async () => {
        const files = await kind.open(newDirectory());
        const file = await files.open('data', 2);
        const bytes = pagesOf(files, 2, 1);
        const misaligned = bytes.subarray(1, PAGE + 1);
        const rejected = coded('CAIRN_INVALID_ARGUMENT');
        await assert.rejects(files.write(file, 0, misaligned, { sync: false }), rejected);
        await assert.rejects(files.write(file, 5, bytes, { sync: false }), rejected);
        await assert.rejects(files.write(file, -PAGE, bytes, { sync: false }), rejected);
        await assert.rejects(files.write(file, 0, new Uint8Array(PAGE), { sync: false }), rejected);
        await assert.rejects(files.read(file, 0, 100), rejected);
        await assert.rejects(files.read(file, 0, 0), rejected);
        assert.throws(() => {
          files.native.read(file, 0, bytes.buffer as ArrayBuffer, PAGE, 2 * PAGE, 1);
        });
        for (const name of ['', '.x', 'a/b', '../x', 'ä', 'x'.repeat(65)]) {
          await assert.rejects(files.open(name, 2), rejected, name);
        }
        // The simulated disk takes an unknown number for a defect of ours and ends the process.
        if (kind.name !== 'SIM') {
          await assert.rejects(files.read(99, 0, PAGE), coded('CAIRN_CLOSED'));
        }
        await files.write(file, 0, bytes, { sync: false });
        await files.dispose();
        await files.dispose();
        await assert.rejects(files.read(file, 0, PAGE), coded('CAIRN_CLOSED'));
        assert.throws(() => files.list(), coded('CAIRN_CLOSED'));
      });

      it('finishes on dispose what is in flight', async () => {
        const files = await kind.open(newDirectory());
        const file = await files.open('data', 2);
        const writes = Array.from({ length: 300 }, (_, i) =>
          files.write(file, i * PAGE, pagesOf(files, 1, i), { sync: false }),
        );
        await files.dispose();
        await Promise.all(writes);
      });
    });
  }

  for (const kind of HOST_KINDS) {
    describe(`${kind.name} in a directory`, () => {
      it('locks it, names the holder and comes again once it is free', async () => {
        const directory = join(newDirectory(), 'not/yet/there');
        const first = await kind.open(directory);
        assert.equal(statSync(directory).mode & 0o777, 0o700);
        await assert.rejects(kind.open(directory), (error: unknown) => {
          coded('CAIRN_LOCKED')(error);
          return String(error).includes(String(process.pid));
        });
        const waiting = kind.open(directory, { lockTimeoutMs: 10_000 });
        await first.dispose();
        const second = await waiting;
        await second.dispose();
        await assert.rejects(
          kind.open(join(directory, 'none'), { create: false }),
          coded('CAIRN_NOT_FOUND'),
        );
      });

      it('reads a directory that it must not change', async () => {
        const directory = newDirectory();
        const writer = await kind.open(directory);
        await writer.write(await writer.open('data', 1), 0, pagesOf(writer, 1, 9), { sync: true });
        await writer.dispose();
        const files = await kind.open(directory, { readOnly: true });
        const file = await files.open('data', 0);
        assert.equal((await files.read(file, 0, PAGE))[0], 63);
        const bytes = pagesOf(files, 1, 1);
        const refused = coded('CAIRN_READ_ONLY');
        await assert.rejects(files.write(file, 0, bytes, { sync: false }), refused);
        await assert.rejects(files.open('new', 1), refused);
        await files.dispose();
      });

      it('keeps memory in flight that JavaScript has dropped', async () => {
        const directory = newDirectory();
        const files = await kind.open(directory, { queueDepth: 1 });
        const file = await files.open('data', 2);
        const count = 400;
        const allocate = (): Uint8Array => new Uint8Array(files.native.allocate(16 * PAGE));
        let left = count;
        const written = new Promise<void>((resolve) => {
          for (let i = 0; i < count; i++) {
            // Not by FileSet.write, whose promise knows the buffer.
            const token = files.channel.once(() => {
              if (--left === 0) resolve();
            });
            const { buffer } = allocate().fill(i);
            const memory = buffer as ArrayBuffer;
            files.native.write(file, i * 16 * PAGE, memory, 0, 16 * PAGE, false, token);
          }
        });
        setFlagsFromString('--expose-gc');
        (runInNewContext('gc') as () => void)();
        await new Promise((resolve) => setImmediate(resolve));
        // Whoever comes next gets the memory that finalizers gave back.
        const others = Array.from({ length: count }, () => allocate().fill(255));
        assert.ok(left > count / 2, 'most of them are still to be written');
        await written;
        assert.equal(others.length, count);
        await files.dispose();
        const content = readFileSync(join(directory, 'data'));
        for (let i = 0; i < count; i++) assert.equal(content[i * 16 * PAGE + 12345], i & 255);
      });

      for (const [scenario, expectation] of [
        ['in-flight', 'stays alive until everything in flight has settled'],
        ['idle', 'does not keep the process alive when idle'],
        ['exit', 'survives process.exit() with I/O in flight'],
        ['exit-opening', 'survives process.exit() while waiting for the lock'],
        ['terminate', 'survives worker.terminate() with I/O in flight'],
        ['terminate-last', 'survives the end of the only environment that loaded the addon'],
        ['terminate-opening', 'survives worker.terminate() while waiting for the lock'],
        ['terminate-disposing', 'survives worker.terminate() while disposing'],
        ['collect', 'frees a set that was dropped without dispose'],
        ['throw', 'reports a throw from a result handler and delivers the rest'],
        ['workers', 'serves several workers, each with its own set'],
      ] as const) {
        it(expectation, async function () {
          this.timeout(60_000);
          const end = await runChild(scenario, kind.name, newDirectory());
          assert.deepEqual(
            { code: end.code, signal: end.signal },
            { code: scenario.startsWith('exit') ? 7 : 0, signal: null },
            end.output,
          );
          assert.ok(end.output.includes(`${scenario} ok`), end.output);
        });
      }
    });
  }

  it('runs thousands of simulated operations without a turn of the event loop', async () => {
    let turns = 0;
    const immediate = setImmediate(() => turns++);
    const files = FileSet.memory();
    const file = await files.open('data', 2);
    const bytes = pagesOf(files, 1, 1);
    for (let i = 0; i < 2000; i++) await files.write(file, i * PAGE, bytes, { sync: true });
    for (let i = 0; i < 2000; i++) await files.read(file, i * PAGE, PAGE);
    assert.equal(turns, 0);
    clearImmediate(immediate);
    await files.dispose();
  });

  it('takes a failed sync of the directory for final', async () => {
    const disk = newSimDisk();
    const files = FileSet.simulate(disk);
    await files.syncDirectory();
    disk.inject({ operation: 'syncDirectory' });
    await files.open('first', 2);
    // The second is under way when the first one fails, and would succeed.
    const both = await Promise.allSettled([files.syncDirectory(), files.syncDirectory()]);
    assert.deepEqual(
      both.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    await files.open('second', 2);
    await assert.rejects(files.syncDirectory(), coded('CAIRN_IO'));
    assert.throws(() => files.syncDirectorySync(), coded('CAIRN_IO'));
    await files.dispose();
    const again = FileSet.simulate(disk);
    again.syncDirectorySync();
    disk.inject({ operation: 'syncDirectory' });
    assert.throws(() => again.syncDirectorySync(), coded('CAIRN_IO'));
    await assert.rejects(again.syncDirectory(), coded('CAIRN_IO'));
    await again.dispose();
    disk.release();
  });

  it('leaves no descriptor and no thread behind', async () => {
    if (!existsSync('/proc/self/fd')) return;
    const before = await openDescriptors();
    for (const kind of HOST_KINDS) {
      for (let i = 0; i < 5; i++) {
        const files = await kind.open(newDirectory());
        files.close(await files.open('data', 2));
        await files.dispose();
      }
    }
    assert.ok((await openDescriptors()) <= before);
  });
});

async function openDescriptors(): Promise<number> {
  const { readdir } = await import('node:fs/promises');
  // A ring's last references go a moment after close.
  await new Promise((resolve) => setTimeout(resolve, 50));
  return (await readdir('/proc/self/fd')).length;
}
