import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { isCairnError, type ErrorCode } from '../../ts/common/errors.js';
import { PENDING, type Handle, type ValueStore } from '../../ts/value-store/value-store.js';

export interface ValueStoreHost {
  /** An empty store; capacity 0 is no limit. */
  open(options: { readonly capacityBytes: number }): Promise<ValueStore>;
  /**
   * Persistent stores: closes the store and opens the same values again, before anything is
   * restored. What was flushed is there.
   */
  reopen?(store: ValueStore): Promise<ValueStore>;
}

const MIB = 2 ** 20;
/** Enough for one cell of any store and more than the inline limit of none: several pages. */
const LARGE_BYTES = 8000;

/** Bytes that tell which seed and position they are of; they repeat after a prime number. */
export function patternOf(seed: number, length: number): Buffer {
  const period = Math.min(length, 65521);
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < period; at++) bytes[at] = (seed * 31 + at * 7 + (at >>> 8)) & 0xff;
  return length > period ? bytes.fill(bytes.subarray(0, period), period) : bytes;
}

function u64Key(key: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(key);
  return bytes;
}

/** Places a record by whichever way its length asks for, waiting for room. */
export async function placeRecord(
  store: ValueStore,
  key: Uint8Array,
  value: Uint8Array,
  sequence: number,
  keyLength = key.length,
): Promise<Handle> {
  if (value.length > store.capabilities.inlineBytesMax) {
    return store.placeLarge(key, keyLength, value, sequence);
  }
  for (let attempt = 0; attempt < 1000; attempt++) {
    const handle = store.place(key, keyLength, value, sequence);
    if (handle !== 0) return handle;
    await store.whenRoom();
  }
  throw new Error('no room after 1000 attempts');
}

export async function readValue(
  store: ValueStore,
  handle: Handle,
  key: Uint8Array,
): Promise<Buffer | undefined> {
  const now = store.readNow(handle, key, key.length);
  return now === PENDING ? store.read(handle, key, key.length) : now;
}

/** Everything that a retired slot may wait for has happened up to `sequence`. */
async function settle(store: ValueStore, sequence: number): Promise<void> {
  await store.flush();
  store.onDurable(sequence);
  store.onCheckpointBegin();
  store.onCheckpointEnd();
  store.onDurable(sequence);
}

async function rejects(code: ErrorCode, run: () => Promise<unknown>): Promise<void> {
  await assert.rejects(run, (error) => isCairnError(error, code));
}

function expectHandle(handle: Handle): void {
  assert.ok(Number.isInteger(handle) && handle > 0 && handle < 2 ** 48, `handle ${handle}`);
}

async function withStore(
  host: ValueStoreHost,
  capacityBytes: number,
  run: (store: ValueStore) => Promise<void>,
): Promise<void> {
  const store = await host.open({ capacityBytes });
  try {
    await run(store);
    await store.flush();
  } finally {
    await store.close();
  }
}

/** What every value store does, whatever it is made of. Call inside a describe. */
export function valueStoreConformance(host: ValueStoreHost): void {
  placingAndReading(host);
  retiring(host);
  limits(host);
  rows(host);
  surviving(host);
  randomSequences(host);
}

function placingAndReading(host: ValueStoreHost): void {
  it('reads back values of 0 B to 1 MiB with keys of 1 B to 64 KiB', () =>
    withStore(host, 0, async (store) => {
      const placed: { handle: Handle; key: Buffer; value: Buffer; sequence: number }[] = [];
      for (const valueBytes of [0, 1, 7, 8, 39, 40, 41, 100, 4000, 4064, 4096, 65536, MIB]) {
        for (const keyBytes of [1, 3, 8, 16, 65536]) {
          const sequence = placed.length + 1;
          const key = patternOf(sequence, keyBytes);
          const value = patternOf(sequence + 100, valueBytes);
          const handle = await placeRecord(store, key, value, sequence);
          expectHandle(handle);
          placed.push({ handle, key, value, sequence });
        }
      }
      assert.equal(new Set(placed.map((record) => record.handle)).size, placed.length);
      for (const flushed of [false, true]) {
        if (flushed) await store.flush();
        for (const { handle, key, value, sequence } of placed) {
          assert.deepEqual(await readValue(store, handle, key), value);
          assert.deepEqual(await store.read(handle, key, key.length), value);
          assert.deepEqual(store.readSync(handle, key, key.length), value);
          assert.deepEqual(await store.readRecord(handle), { key, value, sequence });
        }
      }
      assert.equal(store.stats().liveSlots, placed.length);
    }));

  it('answers undefined for a record of another key', () =>
    withStore(host, 0, async (store) => {
      const key = Buffer.from('the key of 20 bytes.');
      const handle = await placeRecord(store, key, Buffer.from('value'), 1);
      await store.flush();
      for (const other of ['the key of 20 bytes!', 'The key of 20 bytes.', 'the key', 'a', '']) {
        const bytes = Buffer.from(other.padEnd(1));
        assert.equal(await readValue(store, handle, bytes), undefined);
        assert.equal(store.readSync(handle, bytes, bytes.length), undefined);
      }
      const longer = Buffer.concat([key, key]);
      assert.equal(await readValue(store, handle, longer), undefined);
    }));

  it('takes the first keyLength bytes of a longer buffer as the key', () =>
    withStore(host, 0, async (store) => {
      const scratch = Buffer.from('key and something else');
      const handle = await placeRecord(store, scratch, Buffer.from('value'), 1, 3);
      scratch.fill(1, 3);
      assert.equal(String(store.readSync(handle, scratch, 3)), 'value');
      assert.equal(String((await store.readRecord(handle)).key), 'key');
    }));

  it('keeps neither the buffers it was given nor those it gave', () =>
    withStore(host, 0, async (store) => {
      for (const length of [10, LARGE_BYTES, 300_000]) {
        let handle = 0;
        while (handle === 0) {
          const key = Buffer.from('key');
          const value = patternOf(5, length);
          const large = length > store.capabilities.inlineBytesMax;
          const placing = large
            ? store.placeLarge(key, 3, value, 1)
            : store.place(key, 3, value, 1);
          value.fill(0);
          key.fill(0);
          handle = await placing;
          if (handle === 0) await store.whenRoom();
        }
        const read = await readValue(store, handle, Buffer.from('key'));
        assert.deepEqual(read, patternOf(5, length));
        read.fill(0);
        assert.deepEqual(await readValue(store, handle, Buffer.from('key')), patternOf(5, length));
      }
    }));

  it('closes twice', async () => {
    const store = await host.open({ capacityBytes: 0 });
    store.place(Buffer.from('k'), 1, Buffer.from('v'), 1);
    await store.flush();
    await store.close();
    await store.close();
  });
}

function retiring(host: ValueStoreHost): void {
  const key = Buffer.from('key');

  it('frees a retired slot when the record that replaced it is durable, not before', () =>
    withStore(host, 0, async (store) => {
      const old = await placeRecord(store, key, patternOf(1, LARGE_BYTES), 1);
      const replaced = await placeRecord(store, key, patternOf(2, LARGE_BYTES), 2);
      store.retire(old, 2);
      await settle(store, 1);
      assert.equal(store.stats().liveSlots, 2);
      assert.deepEqual(await readValue(store, old, key), patternOf(1, LARGE_BYTES));
      await settle(store, 2);
      assert.equal(store.stats().liveSlots, 1);
      assert.deepEqual(await readValue(store, replaced, key), patternOf(2, LARGE_BYTES));
    }));

  it('frees discarded slots without a log record', () =>
    withStore(host, 0, async (store) => {
      const kept = await placeRecord(store, key, Buffer.from('kept'), 1);
      store.retire(await placeRecord(store, key, Buffer.from('waits'), 2), 1000);
      store.discard(await placeRecord(store, key, Buffer.from('discarded'), 3));
      await settle(store, 1000);
      assert.equal(store.stats().liveSlots, 1);
      assert.equal(String(await readValue(store, kept, key)), 'kept');
    }));

  it('keeps what is retired under a pin until the last such pin goes', () =>
    withStore(host, 0, async (store) => {
      const handle = await placeRecord(store, key, patternOf(1, LARGE_BYTES), 1);
      const first = store.pin();
      const second = store.pin();
      store.retire(handle, 2);
      await settle(store, 2);
      first();
      first();
      await settle(store, 2);
      assert.deepEqual(await readValue(store, handle, key), patternOf(1, LARGE_BYTES));
      second();
      await settle(store, 2);
      assert.equal(store.stats().liveSlots, 0);
    }));

  it('uses the space of retired records again', () =>
    withStore(host, 0, async (store) => {
      let reserved = 0;
      for (let round = 0; round < 20; round++) {
        const handles: Handle[] = [];
        for (let i = 0; i < 50; i++) {
          handles.push(await placeRecord(store, key, patternOf(i, LARGE_BYTES), round + 1));
        }
        for (const handle of handles) store.retire(handle, round + 1);
        await settle(store, round + 1);
        if (round === 0) reserved = store.stats().allocatedBytes;
      }
      assert.equal(store.stats().liveSlots, 0);
      assert.ok(store.stats().allocatedBytes <= reserved);
    }));
}

function limits(host: ValueStoreHost): void {
  it('says CAIRN_NO_SPACE at its capacity, stays readable, and goes on after a free', () =>
    withStore(host, MIB, async (store) => {
      const handles: Handle[] = [];
      await rejects('CAIRN_NO_SPACE', async () => {
        for (let i = 0; i < 1000; i++) {
          const key = u64Key(BigInt(i));
          handles.push(await placeRecord(store, key, patternOf(i, LARGE_BYTES), i + 1));
        }
      });
      assert.ok(handles.length > 80, `only ${handles.length} records fit`);
      await store.flush();
      for (const [i, handle] of handles.entries()) {
        assert.deepEqual(
          await readValue(store, handle, u64Key(BigInt(i))),
          patternOf(i, LARGE_BYTES),
        );
      }
      const { allocatedBytes, capacityBytes } = store.stats();
      assert.ok(allocatedBytes <= capacityBytes);
      store.retire(handles[7] as Handle, 2000);
      await settle(store, 2000);
      const again = await placeRecord(store, u64Key(7n), patternOf(8, LARGE_BYTES), 2001);
      assert.deepEqual(await readValue(store, again, u64Key(7n)), patternOf(8, LARGE_BYTES));
    }));

  it('refuses a value that no slot can hold with CAIRN_TOO_LARGE', () =>
    withStore(host, 0, async (store) => {
      const key = Buffer.from('key');
      const value = new Uint8Array(store.capabilities.valueBytesMax + MIB);
      await rejects('CAIRN_TOO_LARGE', () => placeRecord(store, key, value, 1));
      assert.equal(store.stats().liveSlots, 0);
    }));
}

function rows(host: ValueStoreHost): void {
  const rowBytes = 100;

  async function placeAll(store: ValueStore, keys: BigUint64Array): Promise<Float64Array> {
    const data = patternOf(9, keys.length * rowBytes);
    const handles = new Float64Array(keys.length);
    for (let from = 0; from < keys.length;) {
      const count = keys.length - from;
      const placed = store.placeRows(keys, data, rowBytes, from, count, 1, handles.subarray(from));
      if (placed === 0) await store.whenRoom();
      from += placed;
    }
    return handles;
  }

  it('gathers rows and lists those that are missing, of another key or another length', () =>
    withStore(host, 0, async (store) => {
      const keys = BigUint64Array.from({ length: 500 }, (_, i) => 2n ** 64n - 1n - BigInt(i) ** 7n);
      const handles = await placeAll(store, keys);
      assert.equal(store.stats().liveSlots, keys.length);
      await store.flush();
      const shorter = await placeRecord(store, u64Key(keys[3] as bigint), patternOf(1, 99), 2);
      const longer = await placeRecord(store, u64Key(keys[4] as bigint), patternOf(1, 101), 3);
      handles[0] = 0;
      handles[3] = shorter;
      handles[4] = longer;
      const asked = keys.slice();
      asked[1] = 12345n;
      const gathered = new Uint8Array(keys.length * rowBytes).fill(0xee);
      const missing = new Uint32Array(keys.length);
      const count = await store.gather(handles, asked, gathered, rowBytes, missing);
      assert.deepEqual([...missing.subarray(0, count)], [0, 1, 3, 4]);
      const expected = new Uint8Array(patternOf(9, keys.length * rowBytes));
      for (const row of [0, 1, 3, 4]) expected.fill(0, row * rowBytes, (row + 1) * rowBytes);
      assert.deepEqual(gathered, expected);
    }));

  it('places rows that read back one by one', () =>
    withStore(host, 0, async (store) => {
      const keys = BigUint64Array.from([0n, 1n, 2n ** 63n, 2n ** 64n - 1n]);
      const handles = await placeAll(store, keys);
      for (const [i, key] of keys.entries()) {
        const expected = patternOf(9, keys.length * rowBytes).subarray(
          i * rowBytes,
          (i + 1) * rowBytes,
        );
        assert.deepEqual(await readValue(store, handles[i] as Handle, u64Key(key)), expected);
      }
    }));
}

function surviving(host: ValueStoreHost): void {
  it('restores what was flushed, or exports it when it does not persist', async () => {
    const sizes = [0, 10, 500, 5000, 200_000];
    const handles = new Float64Array(sizes.length);
    let store = await host.open({ capacityBytes: 0 });
    try {
      for (const [i, size] of sizes.entries()) {
        handles[i] = await placeRecord(store, u64Key(BigInt(i)), patternOf(i, size), i + 1);
      }
      await store.flush();
      if (!store.capabilities.persistent) return exportsAll(store, handles, sizes);
      assert.ok(host.reopen, 'a persistent store needs a host that opens it again');
      store = await host.reopen(store);
      store.restore(handles, handles.length);
      store.finishRestore();
      assert.equal(store.stats().liveSlots, sizes.length);
      for (const [i, size] of sizes.entries()) {
        const read = await readValue(store, handles[i] as Handle, u64Key(BigInt(i)));
        assert.deepEqual(read, patternOf(i, size));
      }
    } finally {
      await store.close();
    }
  });

  it('refuses to restore handles that cannot be', () =>
    withStore(host, 0, async (store) => {
      const persistent = store.capabilities.persistent;
      const code = persistent ? 'CAIRN_CORRUPTION' : 'CAIRN_UNSUPPORTED';
      for (const handle of [255, 1, 2 ** 48 - 1, 2 ** 20, 256 * 2 ** 14 + 255]) {
        const run = async (): Promise<void> => store.restore(Float64Array.of(handle), 1);
        await rejects(code, run);
      }
      store.finishRestore();
      assert.equal(store.stats().liveSlots, 0);
    }));
}

/** Exports in buffers that hold a record, and one that holds none. */
function exportsAll(store: ValueStore, handles: Float64Array, sizes: readonly number[]): void {
  assert.ok(store.exportRecords, 'a store that does not persist exports its records');
  const none = store.exportRecords(handles, 0, handles.length, new Uint8Array(10));
  assert.deepEqual(none, { bytes: 0, next: 0, needs: 16 + 8 });
  const out = Buffer.alloc(16 + 8 + Math.max(...sizes));
  let seen = 0;
  for (let from = 0; from < handles.length;) {
    const { bytes, next } = store.exportRecords(handles, from, handles.length, out);
    assert.ok(next > from);
    for (let at = 0; at < bytes; seen++) {
      const keyBytes = out.readUInt32LE(at);
      const valueBytes = out.readUInt32LE(at + 4);
      assert.equal(out.readDoubleLE(at + 8), seen + 1);
      at += 16;
      assert.deepEqual(out.subarray(at, at + keyBytes), u64Key(BigInt(seen)));
      at += keyBytes;
      assert.deepEqual(out.subarray(at, at + valueBytes), patternOf(seen, sizes[seen] as number));
      at += valueBytes;
    }
    from = next;
  }
  assert.equal(seen, sizes.length);
}

type Step =
  | { readonly kind: 'put'; readonly key: number; readonly size: number }
  | { readonly kind: 'delete'; readonly key: number }
  | { readonly kind: 'durable' | 'checkpoint' | 'flush' | 'pin' | 'unpin' | 'check' };

const aStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      key: fc.nat(7),
      size: fc.oneof(fc.nat(200), fc.nat(5000), fc.nat(100_000)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('delete' as const), key: fc.nat(7) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'durable' as const,
        'checkpoint' as const,
        'flush' as const,
        'pin' as const,
        'unpin' as const,
        'check' as const,
      ),
    }),
  },
);

/** A map over a value store: what an engine does with it, step by step. */
class ModelledStore {
  readonly #live = new Map<number, { handle: Handle; value: Buffer }>();
  /** What was live when a pin was taken stays readable until it goes. */
  readonly #pins: { unpin: () => void; live: Map<number, { handle: Handle; value: Buffer }> }[] =
    [];
  #sequence = 0;

  constructor(private readonly store: ValueStore) {}

  async run(step: Step): Promise<void> {
    const { store } = this;
    switch (step.kind) {
      case 'put': {
        const sequence = ++this.#sequence;
        const value = patternOf(sequence, step.size);
        const handle = await placeRecord(store, keyOf(step.key), value, sequence);
        this.#replace(step.key, sequence);
        this.#live.set(step.key, { handle, value });
        return;
      }
      case 'delete':
        this.#replace(step.key, ++this.#sequence);
        this.#live.delete(step.key);
        return;
      case 'durable':
        return store.onDurable(this.#sequence);
      case 'checkpoint':
        store.onCheckpointBegin();
        await store.flush();
        return store.onCheckpointEnd();
      case 'flush':
        return store.flush();
      case 'pin':
        this.#pins.push({ unpin: store.pin(), live: new Map(this.#live) });
        return;
      case 'unpin':
        return this.#pins.splice(this.#sequence % (this.#pins.length || 1), 1)[0]?.unpin();
      case 'check':
        return this.check();
    }
  }

  async check(): Promise<void> {
    for (const live of [this.#live, ...this.#pins.map((pin) => pin.live)]) {
      for (const [key, { handle, value }] of live) {
        assert.deepEqual(await readValue(this.store, handle, keyOf(key)), value);
      }
    }
  }

  async finish(): Promise<void> {
    await this.check();
    for (const { unpin } of this.#pins.splice(0)) unpin();
    await settle(this.store, this.#sequence);
    await this.check();
    assert.equal(this.store.stats().liveSlots, this.#live.size);
  }

  #replace(key: number, sequence: number): void {
    const old = this.#live.get(key);
    if (old !== undefined) this.store.retire(old.handle, sequence);
  }
}

function keyOf(key: number): Buffer {
  return patternOf(key, 1 + key * 3);
}

function randomSequences(host: ValueStoreHost): void {
  it('does what a Map does in any order of steps', () =>
    fc.assert(
      fc.asyncProperty(fc.array(aStep, { maxLength: 60, size: 'max' }), (steps) =>
        withStore(host, 0, async (store) => {
          const modelled = new ModelledStore(store);
          for (const step of steps) await modelled.run(step);
          await modelled.finish();
        }),
      ),
      { numRuns: 60 },
    )).timeout(60_000);
}
