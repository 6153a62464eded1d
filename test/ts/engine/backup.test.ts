import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { copyFile, mkdir, open as openFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FileSet } from '../../../ts/bindings/file-set.js';
import {
  CairnError,
  createRegistry,
  open,
  restore,
  type Key,
  type Store,
  type StoreConfig,
} from '../../../ts/index.js';
import {
  bytesOf,
  COMBINATIONS,
  withDirectory,
  withSharedMemory,
  withStore,
} from '../../support/stores.js';

/** Sequence numbers of writes, which ascend by one. */
type Write = readonly [key: Key, value: Buffer | undefined];

const CHILD = fileURLToPath(new URL('../../support/backup-child.ts', import.meta.url));
const SMALL_LOG = { log: { capacity_bytes: 4 << 20, segment_bytes: 1 << 20 } };

async function contentsOf(store: Store): Promise<Map<string, string>> {
  const contents = new Map<string, string>();
  for await (const [key, value] of store.entries({ keyEncoding: 'utf8' })) {
    contents.set(String(key), value.toString('base64'));
  }
  return contents;
}

function contentsAfter(writes: readonly Write[]): Map<string, string> {
  const contents = new Map<string, string>();
  for (const [key, value] of writes) {
    if (value === undefined) contents.delete(String(key));
    else contents.set(String(key), value.toString('base64'));
  }
  return contents;
}

/** Writers that go on until told to stop, each on keys of its own; every write has its sequence. */
class Writers {
  readonly writes: Write[] = [];
  readonly #store: Store;
  readonly #keyOf: (n: number) => Key;
  readonly #base: number;
  #stopped = false;
  readonly #running: Promise<void>[];
  #random = 7;

  private constructor(store: Store, keyOf: (n: number) => Key, count: number) {
    this.#store = store;
    this.#keyOf = keyOf;
    this.#base = store.stats().log.appendedSequence - 1;
    this.writes.push([keyOf(0), Buffer.from('first')]);
    this.#running = Array.from({ length: count }, (_, writer) => this.#write(writer * 1000 + 1));
  }

  static async start(store: Store, keyOf: (n: number) => Key, count: number): Promise<Writers> {
    await store.put(keyOf(0), 'first');
    return new Writers(store, keyOf, count);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  /** The writes up to a sequence. */
  upTo(sequence: number): Write[] {
    return this.writes.slice(0, sequence - this.#base);
  }

  async #write(firstKey: number): Promise<void> {
    while (!this.#stopped) {
      this.#random = (Math.imul(this.#random, 1103515245) + 12345) >>> 0;
      const key = this.#keyOf(firstKey + ((this.#random >>> 8) % 80));
      const n = this.writes.length;
      if ((this.#random >>> 4) % 7 === 0 && this.#store.hasSync(key)) {
        this.writes.push([key, undefined]);
        await this.#store.delete(key, { durability: 'process' });
        continue;
      }
      const value = bytesOf(n, (this.#random >>> 9) % 3000);
      this.writes.push([key, value]);
      await this.#store.put(key, value, { durability: 'process' });
    }
  }
}

/** A process that makes a backup and is killed `delayMs` after it has begun. */
function killedBackup(path: string, target: string, delayMs: number): Promise<void> {
  const child = spawn(process.execPath, ['--import', 'tsx', CHILD, path, target], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return new Promise((resolve) => {
    child.stdout.once('data', () => setTimeout(() => child.kill('SIGKILL'), delayMs));
    child.on('close', () => resolve());
  });
}

async function writtenAtLeast(writers: Writers, count: number): Promise<void> {
  while (writers.writes.length < count) await new Promise((resolve) => setTimeout(resolve, 1));
}

for (const { name, config } of COMBINATIONS) {
  const keyOf = (n: number): Key => (config.key?.type === 'u64' ? n : `key-${n}`);

  describe(`a backup: ${name}`, () => {
    it('holds what was there at its sequence, while writers and checkpoints go on', () =>
      withDirectory(async (directory) => {
        const store = await open(join(directory, 'store'), { ...config, ...SMALL_LOG });
        const writers = await Writers.start(store, keyOf, 4);
        for (let round = 0; round < 3; round++) {
          await writtenAtLeast(writers, (round + 1) * 500);
          const before = writers.writes.length;
          const [report] = await Promise.all([
            store.backup(join(directory, `backup-${round}`)),
            store.checkpoint().then(() => store.checkpoint()),
          ]);
          const expected = writers.upTo(report.sequence);
          assert.ok(expected.length >= before - 4, `${expected.length} of ${before}`);
          const copy = await open(join(directory, `backup-${round}`), { read_only: true });
          assert.deepEqual(await contentsOf(copy), contentsAfter(expected));
          assert.equal((await copy.verify()).damagedCount, 0);
          await copy.close();
        }
        await writers.stop();
        assert.deepEqual(await contentsOf(store), contentsAfter(writers.writes));
        await store.close();
      })).timeout(60_000);

    it('is a store of its own, before and after the source is gone', () =>
      withDirectory(async (directory) => {
        const [path, target] = [join(directory, 'store'), join(directory, 'a', 'backup')];
        const store = await open(path, config);
        for (let n = 0; n < 40; n++) await store.put(keyOf(n), bytesOf(n, n * 997));
        await store.put(keyOf(40), bytesOf(40, 3 << 20));
        const report = await store.backup(target);
        assert.equal(report.sequence, store.durableSequence);
        const copy = await open(target);
        await copy.put(keyOf(0), 'of the copy');
        await store.put(keyOf(0), 'of the store');
        assert.equal(String(copy.getSync(keyOf(0))), 'of the copy');
        assert.equal(String(store.getSync(keyOf(0))), 'of the store');
        await store.close();
        await copy.close();
        const again = await open(target);
        assert.equal(again.size, 41);
        for (let n = 1; n < 40; n++) assert.deepEqual(again.getSync(keyOf(n)), bytesOf(n, n * 997));
        assert.deepEqual(await again.get(keyOf(40)), bytesOf(40, 3 << 20));
        await again.close();
      }));

    it('of an empty store is an empty store', () =>
      withStore(config, async (store, path) => {
        await store.backup(`${path}-copy`);
        const copy = await open(`${path}-copy`);
        assert.equal(copy.size, 0);
        await copy.put(keyOf(1), 'one');
        await copy.close();
      }));

    it('is restored, from a backup that was closed in order and from one that was not', () =>
      withDirectory(async (directory) => {
        const path = join(directory, 'store');
        const store = await open(path, config);
        const writes: Write[] = [];
        for (let n = 0; n < 200; n++) {
          const value = bytesOf(n, (n * 7919) % 30_000);
          writes.push([keyOf(n % 90), value]);
          await store.put(keyOf(n % 90), value, { durability: 'process' });
        }
        await store.backup(join(directory, 'backup'));
        const report = await restore(join(directory, 'backup'), join(directory, 'restored'));
        assert.equal(report.sequence, store.durableSequence);
        assert.equal(report.damagedCount, 0);
        await store.close();
        for (const from of ['restored', 'store']) {
          const to = `${from}-again`;
          await restore(join(directory, from), join(directory, to));
          const again = await open(join(directory, to));
          assert.deepEqual(await contentsOf(again), contentsAfter(writes));
          await again.close();
        }
      }));
  });
}

describe('a backup', () => {
  it('refuses the store itself, a directory in use, and a place that is in use', () =>
    withStore({}, async (store, path) => {
      await store.put('k', 'v');
      await assert.rejects(store.backup(path), { code: 'CAIRN_EXISTS', operation: 'backup' });
      await assert.rejects(store.backup(''), { code: 'CAIRN_INVALID_ARGUMENT' });
      await assert.rejects(store.backup('a\0b'), { code: 'CAIRN_INVALID_ARGUMENT' });
      await mkdir(`${path}-used`);
      await writeFile(join(`${path}-used`, 'mine'), 'x');
      await assert.rejects(store.backup(`${path}-used`), {
        code: 'CAIRN_EXISTS',
        file: `${path}-used`,
      });
      assert.equal(await readFile(join(`${path}-used`, 'mine'), 'utf8'), 'x');
      const other = await open(`${path}-other`, { lock_timeout_ms: 0 });
      await assert.rejects(store.backup(`${path}-other`), { code: 'CAIRN_LOCKED' });
      await other.close();
      await assert.rejects(store.backup(`${path}-other`), { code: 'CAIRN_EXISTS' });
    }));

  it('ends at once when its signal fires or the store closes, and leaves nothing', () =>
    withDirectory(async (directory) => {
      const store = await open(join(directory, 'store'));
      await store.bulkLoad(
        Array.from({ length: 3000 }, (_, n) => [`k${n}`, bytesOf(n, 4000)] as const),
      );
      const target = join(directory, 'backup');
      await assert.rejects(store.backup(target, { signal: AbortSignal.abort() }), {
        code: 'CAIRN_ABORTED',
      });
      const abort = new AbortController();
      const done = store.backup(target, { signal: abort.signal });
      setImmediate(() => abort.abort());
      await assert.rejects(done, { code: 'CAIRN_ABORTED' });
      assert.deepEqual(readdirSync(target), ['LOCK']);
      const closed = assert.rejects(store.backup(target), { code: 'CAIRN_CLOSED' });
      await store.close();
      await closed;
      assert.deepEqual(readdirSync(target), ['LOCK']);
      await assert.rejects(store.backup(target), { code: 'CAIRN_CLOSED' });
    }));

  it('that is aborted while another one is made ends at once, and a third one waits', () =>
    withDirectory(async (directory) => {
      const store = await open(join(directory, 'store'));
      await store.bulkLoad(
        Array.from({ length: 3000 }, (_, n) => [`k${n}`, bytesOf(n, 4000)] as const),
      );
      const ends: string[] = [];
      const backup = (name: string, signal?: AbortSignal): Promise<void> => {
        const options = signal === undefined ? {} : { signal };
        const done = store.backup(join(directory, name), options);
        return done.then(
          () => void ends.push(name),
          (error: CairnError) => void ends.push(`${name}: ${error.code}`),
        );
      };
      const abort = new AbortController();
      const all = [backup('first'), backup('second', abort.signal), backup('third')];
      setImmediate(() => abort.abort());
      await Promise.all(all);
      assert.deepEqual(ends, ['second: CAIRN_ABORTED', 'first', 'third']);
      assert.ok(!existsSync(join(directory, 'second')));
      await store.close();
    }));

  it('tells how far it is', () =>
    withStore({}, async (store, path) => {
      await store.bulkLoad(
        Array.from({ length: 2000 }, (_, n) => [`k${n}`, bytesOf(n, 2000)] as const),
      );
      const seen: number[] = [];
      const report = await store.backup(`${path}-copy`, {
        progress: ({ bytes, totalBytes }) => {
          assert.ok(bytes <= totalBytes);
          seen.push(bytes);
        },
      });
      assert.equal(seen.at(-1), report.bytes);
      assert.ok(report.bytes >= 4_000_000);
    }));

  it('leaves nothing when the caller throws at the last report', () =>
    withStore({}, async (store, path) => {
      await store.put('k', 'v');
      const late = new Error('too late');
      const progress = ({ bytes, totalBytes }: { bytes: number; totalBytes: number }): void => {
        if (bytes === totalBytes) throw late;
      };
      const ended = { code: 'CAIRN_ABORTED', cause: late };
      await assert.rejects(store.backup(`${path}-copy`, { progress }), ended);
      assert.deepEqual(readdirSync(`${path}-copy`), ['LOCK']);
      await store.backup(`${path}-copy`);
      await assert.rejects(restore(`${path}-copy`, `${path}-again`, { progress }), ended);
      assert.deepEqual(readdirSync(`${path}-again`), ['LOCK']);
    }));

  it('reports a damaged record, and copies it only when it is told to', () =>
    withDirectory(async (directory) => {
      const path = join(directory, 'store');
      // The check must not come from pages that are still in memory.
      const store = await open(path, { cache: { capacity_bytes: 0 } });
      for (let n = 0; n < 50; n++) await store.put(`k${n}`, `value-${n}-`.repeat(9));
      await store.checkpoint();
      const text = await readFile(join(path, 'values'));
      const at = text.indexOf('value-7-');
      const file = await openFile(join(path, 'values'), 'r+');
      await file.write('X', at);
      await file.sync();
      await file.close();
      await assert.rejects(store.backup(join(directory, 'backup')), (error: unknown) => {
        const {
          code,
          file: name,
          offset,
        } = error as { code: string; file: string; offset: number };
        assert.deepEqual([code, name], ['CAIRN_CORRUPTION', 'values']);
        assert.ok(offset <= at && at - offset < 64);
        return true;
      });
      assert.deepEqual(readdirSync(join(directory, 'backup')), ['LOCK']);
      const report = await store.backup(join(directory, 'backup'), { keepDamaged: true });
      assert.equal(report.damagedCount, 1);
      assert.equal(report.damaged[0]?.file, 'values');
      await store.close();
      await assert.rejects(restore(join(directory, 'backup'), join(directory, 'restored')), {
        code: 'CAIRN_CORRUPTION',
      });
      const copy = await open(join(directory, 'backup'));
      await assert.rejects(copy.get('k7'), { code: 'CAIRN_CORRUPTION' });
      assert.equal(String(await copy.get('k8')), 'value-8-'.repeat(9));
      await copy.close();
    }));

  it('whose process is killed is whole or no store, and a second one says so', () =>
    withDirectory(async (directory) => {
      const [path, target] = [join(directory, 'store'), join(directory, 'backup')];
      const store = await open(path);
      await store.bulkLoad(
        Array.from({ length: 4000 }, (_, n) => [`k${n}`, bytesOf(n, 6000)] as const),
      );
      await store.close();
      let whole = 0;
      for (const delay of [0, 5, 10, 20, 30, 50, 80, 150]) {
        await killedBackup(path, target, delay);
        const config = { create_if_missing: false, lock_timeout_ms: 5000 };
        const found = await open(target, config).catch((error: unknown) => error as CairnError);
        if (found instanceof CairnError) {
          assert.equal(found.code, 'CAIRN_NOT_FOUND');
        } else {
          whole++;
          assert.equal((await found.verify()).records, 4000);
          await found.close();
        }
        const again = await open(path);
        // The end may have come before the directory.
        if (existsSync(target) && readdirSync(target).length > 1) {
          await assert.rejects(again.backup(target), { code: 'CAIRN_EXISTS' });
        }
        await again.close();
        await rm(target, { recursive: true, force: true });
      }
      assert.ok(whole < 8);
    })).timeout(120_000);

  it('leaves the pool file to the source', function () {
    return withSharedMemory(this, (pool) =>
      withDirectory(async (directory) => {
        const path = join(directory, 'store');
        const dram_allocator = { type: 'PERSIST_LOOP_SLAB' };
        const value = { type: 'DRAM_VALUE_STORE', path: pool, dram_allocator };
        let store = await open(path, { value });
        for (let n = 0; n < 300; n++) await store.put(`k${n}`, bytesOf(n, n * 11));
        await store.backup(join(directory, 'backup'));
        await assert.rejects(open(join(directory, 'backup')), { code: 'CAIRN_LOCKED' });
        const copy = await open(join(directory, 'backup'), { value: { path: '' } });
        assert.equal(copy.size, 300);
        assert.deepEqual(await copy.get('k200'), bytesOf(200, 2200));
        await copy.close();
        await store.close();
        store = await open(path);
        assert.equal(store.stats().values.pool?.adopted, 300);
        await store.close();
        await restore(join(directory, 'backup'), join(directory, 'restored'));
        // The same pool file, whose slots are of another checkpoint: it is made anew.
        store = await open(join(directory, 'restored'));
        assert.equal(store.stats().values.pool?.adopted, 0);
        assert.deepEqual(await store.get('k200'), bytesOf(200, 2200));
        await store.close();
      }),
    );
  });

  it('without its manifest is no store', () =>
    withStore({}, async (store, path) => {
      await store.put('k', 'v');
      await store.backup(`${path}-copy`);
      await mkdir(`${path}-half`);
      for (const name of readdirSync(`${path}-copy`)) {
        if (name !== 'MANIFEST')
          await copyFile(join(`${path}-copy`, name), join(`${path}-half`, name));
      }
      await assert.rejects(open(`${path}-half`), { code: 'CAIRN_CORRUPTION', file: 'MANIFEST' });
      await assert.rejects(restore(`${path}-half`, `${path}-x`), { code: 'CAIRN_NOT_FOUND' });
    }));

  it('holds the slots it has not reached, and only those', () =>
    withDirectory(async (directory) => {
      let slow = true;
      let begin = (): void => undefined;
      const begun = new Promise<void>((resolve) => (begin = resolve));
      const registry = createRegistry();
      registry.register('io', 'SLOW', async (config) => {
        const files = await FileSet.openDirectory(config.path, {
          backend: 'IOURING',
          queueDepth: 32,
          flushEvery: 4,
          busyPollUs: 0,
          threads: 2,
          readOnly: config.readOnly,
          create: true,
          lockTimeoutMs: 0,
        });
        if (!config.path.endsWith('backup')) return files;
        const write = files.write.bind(files);
        files.write = async (file, ...rest) => {
          begin();
          if (slow) await new Promise((resolve) => setTimeout(resolve, 20));
          return write(file, ...rest);
        };
        return files;
      });
      const config: StoreConfig = { io: { type: 'SLOW' }, ...SMALL_LOG };
      const store = await open(join(directory, 'store'), config, { registry });
      const rows = (round: number): (readonly [string, Buffer])[] =>
        Array.from({ length: 6000 }, (_, n) => [`k${n}`, bytesOf(n * 31 + round, 4000)] as const);
      await store.bulkLoad(rows(0));
      let over = false;
      const backup = store.backup(join(directory, 'backup')).finally(() => (over = true));
      // What it will hold is settled before it writes anything.
      await begun;
      let round = 1;
      for (; !over; round++) {
        await store.bulkLoad(rows(round));
        await store.checkpoint();
        await store.checkpoint();
        // The first rounds are placed while it is held up at its first windows.
        if (round === 3) slow = false;
      }
      const { sequence } = await backup;
      const copy = await open(join(directory, 'backup'), { io: { type: 'IOURING' } });
      assert.equal((await copy.verify()).damagedCount, 0);
      assert.equal(copy.size, 6000);
      for (const [key, value] of rows(0)) assert.deepEqual(await copy.get(key), value);
      assert.ok(sequence <= store.durableSequence);
      await copy.close();
      // What was held is free again: a load more needs no more space.
      await store.checkpoint();
      await store.checkpoint();
      const { liveSlots } = store.stats().values;
      assert.ok(liveSlots <= 6000 + 1, `${liveSlots} slots`);
      await store.close();
    })).timeout(60_000);
});
