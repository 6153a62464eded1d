import assert from 'node:assert/strict';
import cluster from 'node:cluster';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isCairnError, type ErrorCode } from '../../../ts/common/errors.js';
import { open, type Store, type StoreConfig } from '../../../ts/index.js';
import { bytesOf, COMBINATIONS, withDirectory, withStore } from '../../support/stores.js';

const MIB = 2 ** 20;
const u64 = (config: StoreConfig): boolean => config.key?.type === 'u64';

interface Calls {
  readonly key: string | number;
  readonly signal?: AbortSignal | undefined;
}

async function drain(iterator: AsyncIterable<unknown>): Promise<void> {
  for await (const entry of iterator) void entry;
}

/** Every asynchronous call of the interface by its name. */
function asynchronous(
  store: Store,
  { key, signal }: Calls,
): Record<string, () => Promise<unknown>> {
  const options = signal === undefined ? {} : { signal };
  return {
    put: () => store.put(key, 'v', options),
    get: () => store.get(key, options),
    has: () => store.has(key, options),
    delete: () => store.delete(key, options),
    batchGet: () => store.batchGet([key], options),
    batchPut: () => store.batchPut([key], ['v'], options),
    batch: () => store.batch([{ type: 'put', key, value: 'v' }], options),
    batchGetInto: () => store.batchGetInto(BigUint64Array.of(1n), new Uint8Array(8), 8, options),
    bulkLoad: () => store.bulkLoad([[key, 'v']], options),
    entries: () => drain(store.entries(options)),
    keys: () => drain(store.keys(options)),
    values: () => drain(store.values(options)),
    flush: () => store.flush(options),
    checkpoint: () => store.checkpoint(options),
    verify: () => store.verify(options),
  };
}

function blocking(store: Store, key: string | number): Record<string, () => unknown> {
  return {
    putSync: () => store.putSync(key, 'v'),
    getSync: () => store.getSync(key),
    hasSync: () => store.hasSync(key),
    deleteSync: () => store.deleteSync(key),
    stats: () => store.stats(),
    size: () => store.size,
  };
}

function is(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isCairnError(error, code);
}

describe('every call', function () {
  this.timeout(60_000);

  for (const { name, config } of COMBINATIONS) {
    const key = u64(config) ? 1 : 'key';
    describe(name, () => {
      it('is refused after close, and close is not', () =>
        withStore(config, async (store) => {
          await store.put(key, 'value');
          const open = store.entries();
          const closing = store.close();
          const calls = (when: string): Promise<void[]> =>
            Promise.all(
              Object.entries(asynchronous(store, { key })).map(([call, run]) =>
                assert.rejects(run(), is('CAIRN_CLOSED'), `${call} ${when}`),
              ),
            );
          const during = calls('during close');
          for (const [call, run] of Object.entries(blocking(store, key))) {
            assert.throws(run, is('CAIRN_CLOSED'), `${call} during close`);
          }
          await during;
          assert.equal(store.close(), closing);
          await Promise.all([closing, store.close(), store[Symbol.asyncDispose]()]);
          await calls('after close');
          for (const [call, run] of Object.entries(blocking(store, key))) {
            assert.throws(run, is('CAIRN_CLOSED'), `${call} after close`);
          }
          await assert.rejects(drain(open), is('CAIRN_CLOSED'));
        }));

      it('does nothing when its signal has fired before', () =>
        withStore(config, async (store) => {
          const signal = AbortSignal.abort(new Error('enough'));
          for (const [call, run] of Object.entries(asynchronous(store, { key, signal }))) {
            const aborted = (error: unknown): boolean =>
              isCairnError(error, 'CAIRN_ABORTED') && (error.cause as Error).message === 'enough';
            await assert.rejects(run(), aborted, call);
          }
          assert.equal(store.size, 0);
        }));

      it('settles and leaves the store whole when its signal fires meanwhile', () =>
        withStore(config, async (store) => {
          for (let at = 0; at < 40; at++) await store.put(u64(config) ? at + 10 : `k${at}`, 'v');
          for (const call of Object.keys(asynchronous(store, { key }))) {
            if (call === 'batchGetInto' && !u64(config)) continue;
            const controller = new AbortController();
            const run = asynchronous(store, { key, signal: controller.signal })[call]!;
            const settled = run().catch((error: unknown) => {
              assert.ok(isCairnError(error, 'CAIRN_ABORTED'), `${call}: ${String(error)}`);
            });
            controller.abort();
            await settled;
          }
          await store.put(key, 'after');
          assert.equal(String(await store.get(key)), 'after');
          assert.equal((await store.verify()).damagedCount, 0);
        }));
    });
  }
});

describe('opening and closing', function () {
  this.timeout(60_000);

  it('gives one of several openers the store, and the next when it is closed', () =>
    withDirectory(async (directory) => {
      const path = join(directory, 'store');
      const tried = await Promise.allSettled(
        [0, 1, 2, 3].map(() => open(path, { lock_timeout_ms: 0 })),
      );
      const opened = tried.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
      for (const one of tried) {
        if (one.status === 'fulfilled') continue;
        assert.ok(isCairnError(one.reason, 'CAIRN_LOCKED'));
        // Who holds it is in the message; the file was "LOCK (held by process 123)".
        assert.equal(one.reason.file, 'LOCK');
        assert.match(one.reason.message, /held by process \d+/);
      }
      assert.equal(opened.length, 1);
      const [first] = opened as [Store];
      await first.put('key', 'value');
      // Begun while the other is still closing.
      const closing = first.close();
      const second = await open(path, { lock_timeout_ms: 10_000 });
      await closing;
      assert.equal(String(await second.get('key')), 'value');
      // Closed in the turn in which it opened.
      await second.close();
      const third = open(path).then((store) => store.close());
      await third;
    }));

  it('opens in a process of a cluster what its parent has closed, and not before', () =>
    withDirectory(async (directory) => {
      const path = join(directory, 'store');
      const store = await open(path);
      await store.put('key', 'value');
      cluster.setupPrimary({
        exec: fileURLToPath(new URL('../../support/threads/cluster-child.ts', import.meta.url)),
        execArgv: ['--import', 'tsx'],
        silent: true,
      });
      const ask = (): Promise<string> =>
        new Promise((resolve, reject) => {
          const worker = cluster.fork({ CAIRN_TEST_PATH: path });
          worker.once('message', (message) => resolve(String(message)));
          worker.once('error', reject);
          worker.once('exit', (code) => reject(new Error(`exit code ${code}`)));
        });
      assert.equal(await ask(), 'CAIRN_LOCKED');
      await store.close();
      assert.equal(await ask(), 'value');
    }));
});

describe('keys and values at their limits', function () {
  this.timeout(120_000);

  for (const type of ['SSD_VALUE_STORE', 'DRAM_VALUE_STORE'] as const) {
    const config: StoreConfig = { value: { type }, log: { capacity_bytes: 256 * MIB } };

    it(`keeps values of 0 B and of 64 MiB, and keys of 64 KiB: ${type}`, () =>
      withDirectory(async (directory) => {
        const path = join(directory, 'store');
        const longest = bytesOf(1, 65_536);
        const large = bytesOf(2, 64 * MIB);
        let store = await open(path, config);
        await store.put('empty', '');
        await store.put(longest, large);
        await store.put('x'.repeat(65_536), '');
        store.putSync('sync', large);
        for (const key of ['', new Uint8Array(0), 'x'.repeat(65_537), new Uint8Array(65_537)]) {
          await assert.rejects(store.put(key, 'v'), is('CAIRN_INVALID_KEY'));
        }
        const tooLarge = new Uint8Array(64 * MIB + 1);
        await assert.rejects(store.put('key', tooLarge), is('CAIRN_TOO_LARGE'));
        assert.throws(() => store.putSync('key', tooLarge), is('CAIRN_TOO_LARGE'));
        await store.close();
        store = await open(path, config);
        assert.equal(store.size, 4);
        assert.equal((await store.get('empty'))?.length, 0);
        assert.equal((await store.get('x'.repeat(65_536)))?.length, 0);
        assert.ok((await store.get(longest))?.equals(large));
        assert.ok(store.getSync('sync')?.equals(large));
        await store.close();
      }));

    it(`copies a value before the call returns, whatever holds it: ${type}`, () =>
      withStore(config, async (store) => {
        for (const bytes of [40, 9000, 400_000]) {
          const value = bytesOf(bytes, bytes);
          const transferred = new Uint8Array(value);
          const puts = [store.put('transferred', transferred)];
          structuredClone(transferred.buffer, { transfer: [transferred.buffer] });
          const resizable = Reflect.construct(ArrayBuffer, [
            bytes,
            { maxByteLength: bytes * 2 },
          ]) as ArrayBuffer;
          const view = new Uint8Array(resizable);
          view.set(value);
          puts.push(store.batchPut(['resized'], [view]));
          (resizable as unknown as { resize(size: number): void }).resize(0);
          const shared = new Uint8Array(new SharedArrayBuffer(bytes));
          shared.set(value);
          puts.push(store.put('shared', shared));
          shared.fill(0);
          const sharedKey = new Uint8Array(new SharedArrayBuffer(3));
          sharedKey.set(Buffer.from('key'));
          puts.push(store.put(sharedKey, value));
          sharedKey.fill(0);
          value.copy(Buffer.alloc(0));
          await Promise.all(puts);
          for (const key of ['transferred', 'resized', 'shared', 'key']) {
            assert.ok((await store.get(key))?.equals(value), `${key}, ${bytes} bytes`);
          }
        }
        assert.equal(store.size, 4);
      }));
  }

  it('refuses a value and a key whose memory was transferred away', () =>
    withStore({}, async (store) => {
      // Symptom: an empty value was stored for one that had been transferred.
      // Cause: a view of memory that is gone has a length of 0.
      // Fix: an empty view is looked at.
      const gone = new Uint8Array(8);
      structuredClone(gone.buffer, { transfer: [gone.buffer] });
      await assert.rejects(store.put('key', gone), is('CAIRN_INVALID_VALUE'));
      assert.throws(() => store.putSync('key', gone), is('CAIRN_INVALID_VALUE'));
      await assert.rejects(store.batchPut(['key'], [gone]), is('CAIRN_INVALID_VALUE'));
      await assert.rejects(store.bulkLoad([['key', gone]]), is('CAIRN_INVALID_VALUE'));
      await assert.rejects(store.put(gone, 'v'), is('CAIRN_INVALID_KEY'));
      assert.equal(store.size, 0);
    }));

  it('refuses strings that have no UTF-8', () =>
    withStore({}, async (store) => {
      // Symptom: keys that differed in half of a surrogate pair replaced each other.
      // Cause: all halves are written as the same U+FFFD.
      // Fix: a string is well-formed, or the call says that it is not.
      const halves = ['\ud800', '\udc00', 'a\ud83d', '\ude00\ud83d', `${'x'.repeat(100)}\udfff`];
      for (const half of halves) {
        const called = [
          () => store.put(half, 'v'),
          () => store.get(half),
          () => store.delete(half),
          () => store.batchPut([half], ['v']),
          () => store.bulkLoad([[half, 'v']]),
        ];
        for (const call of called) await assert.rejects(call(), is('CAIRN_INVALID_KEY'));
        assert.throws(() => store.getSync(half), is('CAIRN_INVALID_KEY'));
        await assert.rejects(store.put('key', half), is('CAIRN_INVALID_VALUE'));
        await assert.rejects(store.bulkLoad([['key', half]]), is('CAIRN_INVALID_VALUE'));
      }
      for (const whole of ['\u{1f600}', 'ä\u{10ffff}', '\ufffd', `${'x'.repeat(100)}\u{1f600}`]) {
        await store.put(whole, whole);
        assert.equal((await store.get(whole))?.toString(), whole);
      }
      assert.equal(store.size, 4);
    }));
});
