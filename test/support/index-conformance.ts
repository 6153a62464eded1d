import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { isCairnError, type ErrorCode } from '../../ts/common/errors.js';
import { INDEX_CURSOR_END, type Index } from '../../ts/index/index.js';
import { KeyHasher } from '../../ts/index/key-hash.js';

/** Makes an empty index whose batches hash with `hashKey`. */
export type IndexFactory = (hashKey: Uint8Array) => Index;

export const TEST_HASH_KEY = Uint8Array.from({ length: 16 }, (_, i) => (i * 37 + 11) & 0xff);

const U64 = 2n ** 64n;
/** The ends of the range of keys, and the places where halves carry. */
export const EDGE_KEYS = [
  0n,
  1n,
  U64 - 1n,
  U64 - 2n,
  2n ** 63n,
  2n ** 63n - 1n,
  2n ** 32n,
  2n ** 32n - 1n,
  2n ** 31n,
];
export const HANDLE_MAX = 2 ** 48 - 1;

export function throwsCode(code: ErrorCode, run: () => unknown): void {
  assert.throws(run, (error) => isCairnError(error, code));
}

/** Single calls by u64 key. */
export class ByKey {
  readonly hasher = new KeyHasher(TEST_HASH_KEY);
  constructor(readonly index: Index) {}

  hash(key: bigint): Int32Array {
    this.hasher.hashU64(Number(BigInt.asIntN(32, key)), Number(BigInt.asIntN(32, key >> 32n)));
    return this.hasher.words;
  }
  get = (key: bigint): number => this.index.get(this.hash(key));
  put = (key: bigint, handle: number): number => this.index.put(this.hash(key), handle);
  delete = (key: bigint): number => this.index.delete(this.hash(key));
}

export function exportAll(index: Index, between?: () => void): Uint8Array[] {
  const out = new Uint8Array(index.capabilities.chunkBytesMax);
  const chunks: Uint8Array[] = [];
  for (let cursor = 0; cursor !== INDEX_CURSOR_END;) {
    const { bytes, next } = index.exportChunk(cursor, out);
    chunks.push(out.slice(0, bytes));
    cursor = next;
    between?.();
  }
  return chunks;
}

/** How often each handle is seen. */
export function countHandles(index: Index, between?: () => void): Map<number, number> {
  const out = new Float64Array(index.capabilities.handlesPerStepMax);
  const seen = new Map<number, number>();
  for (let cursor = 0; cursor !== INDEX_CURSOR_END;) {
    const { count, next } = index.handlesFrom(cursor, out);
    for (const handle of out.subarray(0, count)) seen.set(handle, (seen.get(handle) ?? 0) + 1);
    cursor = next;
    between?.();
  }
  return seen;
}

type Command =
  | { readonly kind: 'put' | 'cas'; readonly key: bigint; readonly handle: number }
  | { readonly kind: 'delete' | 'get'; readonly key: bigint }
  | { readonly kind: 'bulk' | 'drop' | 'batch'; readonly from: number; readonly count: number };

function commands(): fc.Arbitrary<Command[]> {
  const key = fc.oneof(
    fc.bigInt({ min: 0n, max: 300n }),
    fc.constantFrom(...EDGE_KEYS),
    fc.bigInt({ min: 0n, max: U64 - 1n }),
  );
  const handle = fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.constantFrom(2 ** 32, HANDLE_MAX));
  const range = { from: fc.nat(20000), count: fc.nat(6000) };
  return fc.array(
    fc.oneof(
      fc.record({ kind: fc.constantFrom('put' as const, 'cas' as const), key, handle }),
      fc.record({ kind: fc.constantFrom('delete' as const, 'get' as const), key }),
      fc.record({
        kind: fc.constantFrom('bulk' as const, 'drop' as const, 'batch' as const),
        ...range,
      }),
    ),
    { maxLength: 60 },
  );
}

/** Runs one command on the index and on the model and compares the answers. */
function step(by: ByKey, model: Map<bigint, number>, command: Command): void {
  const { index } = by;
  switch (command.kind) {
    case 'put':
      assert.equal(by.put(command.key, command.handle), model.get(command.key) ?? 0);
      model.set(command.key, command.handle);
      return;
    case 'cas': {
      const expected = model.get(command.key) ?? 0;
      const wrong = expected === 12345 ? 54321 : 12345;
      assert.equal(index.compareAndSwap(by.hash(command.key), wrong, command.handle), false);
      assert.equal(index.compareAndSwap(by.hash(command.key), expected, command.handle), true);
      model.set(command.key, command.handle);
      return;
    }
    case 'get':
      assert.equal(by.get(command.key), model.get(command.key) ?? 0);
      return;
    case 'delete':
      assert.equal(by.delete(command.key), model.get(command.key) ?? 0);
      model.delete(command.key);
      return;
    default:
      stepOnRange(by, model, command.kind, command.from, command.count);
  }
}

function stepOnRange(
  by: ByKey,
  model: Map<bigint, number>,
  kind: 'bulk' | 'drop' | 'batch',
  from: number,
  count: number,
): void {
  const keys = BigUint64Array.from({ length: count }, (_, i) => BigInt(from + i));
  const handles = new Float64Array(count);
  if (kind === 'bulk') {
    const old = new Float64Array(count);
    by.index.bulkPut(
      keys,
      handles.map((_, i) => from + i + 1),
      old,
    );
    keys.forEach((key, i) => {
      assert.equal(old[i], model.get(key) ?? 0);
      model.set(key, from + i + 1);
    });
  } else if (kind === 'drop') {
    for (const key of keys) {
      assert.equal(by.delete(key), model.get(key) ?? 0);
      model.delete(key);
    }
  } else {
    const hits = by.index.batchGet(keys, handles);
    let expected = 0;
    keys.forEach((key, i) => {
      assert.equal(handles[i], model.get(key) ?? 0);
      if (model.has(key)) expected++;
    });
    assert.equal(hits, expected);
  }
}

function assertSame(by: ByKey, model: Map<bigint, number>): void {
  assert.equal(by.index.size, model.size);
  for (const [key, handle] of model) assert.equal(by.get(key), handle);
  let seen = 0;
  for (const count of countHandles(by.index).values()) seen += count;
  assert.equal(seen, model.size);
}

/** What every index has to do. Call it inside a `describe`. */
export function indexConformance(factory: IndexFactory): void {
  let index: Index;
  let by: ByKey;
  beforeEach(() => {
    index = factory(TEST_HASH_KEY);
    by = new ByKey(index);
  });
  afterEach(() => index.close());

  it('is empty at first', () => {
    assert.equal(index.size, 0);
    for (const key of EDGE_KEYS) assert.equal(by.get(key), 0);
    assert.equal(by.delete(0n), 0);
    assert.equal(countHandles(index).size, 0);
    assert.ok(index.memoryBytes > 0);
  });

  it('keeps every key and handle at the ends of their ranges', () => {
    for (const handle of [1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, HANDLE_MAX]) {
      for (const key of EDGE_KEYS) by.put(key, handle);
      for (const key of EDGE_KEYS) assert.equal(by.get(key), handle);
      const handles = new Float64Array(EDGE_KEYS.length);
      assert.equal(index.batchGet(BigUint64Array.from(EDGE_KEYS), handles), EDGE_KEYS.length);
      assert.deepEqual([...new Set(handles)], [handle]);
    }
    assert.equal(index.size, EDGE_KEYS.length);
    for (const key of EDGE_KEYS) assert.equal(by.delete(key), HANDLE_MAX);
    assert.equal(index.size, 0);
  });

  it('refuses a handle outside its range and keeps what was there', () => {
    by.put(7n, 70);
    for (const handle of [0, -1, 2 ** 48, NaN, Infinity]) {
      throwsCode('CAIRN_INVALID_ARGUMENT', () => by.put(7n, handle));
      const old = new Float64Array(2);
      throwsCode('CAIRN_INVALID_ARGUMENT', () =>
        index.bulkPut(BigUint64Array.of(7n, 8n), Float64Array.of(1, handle), old),
      );
    }
    throwsCode('CAIRN_INVALID_ARGUMENT', () =>
      index.batchGet(new BigUint64Array(2), new Float64Array(1)),
    );
    assert.equal(by.get(7n), 70);
    assert.equal(index.size, 1);
  });

  it('tells hashes apart by each of the words that are compared', () => {
    const base = [0, 0, 0, 0];
    const others = [0, 1, 3].flatMap((word) =>
      [1, 0x8000].map((bit) => base.map((value, i) => (i === word ? value ^ bit : value))),
    );
    const all = [base, ...others].map((words) => Int32Array.from(words));
    all.forEach((hash, i) => assert.equal(index.put(hash, i + 1), 0));
    all.forEach((hash, i) => assert.equal(index.get(hash), i + 1));
    all.forEach((hash, i) => assert.equal(index.delete(hash), i + 1));
    assert.equal(index.size, 0);
  });

  it('agrees with a Map whatever is done to it, one by one and in batches', () => {
    fc.assert(
      fc.property(commands(), (list) => {
        const fresh = factory(TEST_HASH_KEY);
        const model = new Map<bigint, number>();
        try {
          for (const command of list) step(new ByKey(fresh), model, command);
          assertSame(new ByKey(fresh), model);
        } finally {
          fresh.close();
        }
      }),
      { numRuns: 60, seed: 20240601 },
    );
  });

  it('grows to 200,000 keys put one by one and shrinks to none', () => {
    for (let i = 0; i < 200_000; i++) assert.equal(by.put(BigInt(i), i + 1), 0);
    assert.equal(index.size, 200_000);
    for (let i = 0; i < 200_000; i++) assert.equal(by.get(BigInt(i)), i + 1);
    for (let i = 0; i < 200_000; i++) assert.equal(by.delete(BigInt(i)), i + 1);
    assert.equal(index.size, 0);
    assert.equal(countHandles(index).size, 0);
  });

  it('shows every stable key exactly once while others come and go', () => {
    const stable = 15_000;
    for (let i = 0; i < stable; i++) by.put(BigInt(i), i + 1);
    let fresh = stable;
    const seen = countHandles(index, () => {
      for (let i = 0; i < 10_000; i++, fresh++) by.put(BigInt(fresh), fresh + 1);
      for (let i = fresh - 5000; i < fresh; i++) by.delete(BigInt(i));
    });
    for (let i = 0; i < stable; i++) assert.equal(seen.get(i + 1), 1);
  });

  it('exports every stable key exactly once while others come and go', () => {
    const stable = 15_000;
    for (let i = 0; i < stable; i++) by.put(BigInt(i), i + 1);
    let fresh = stable;
    const chunks = exportAll(index, () => {
      for (let i = 0; i < 10_000; i++, fresh++) by.put(BigInt(fresh), fresh + 1);
    });
    const copy = factory(TEST_HASH_KEY);
    for (const chunk of chunks) copy.importChunk(chunk);
    const copied = new ByKey(copy);
    for (let i = 0; i < stable; i++) assert.equal(copied.get(BigInt(i)), i + 1);
    copy.close();
  });

  it('imports what it exported, at every size', () => {
    for (const keys of [0, 1, 100, 2000, 50_000]) {
      const source = new ByKey(factory(TEST_HASH_KEY));
      for (let i = 0; i < keys; i++) source.put(BigInt(i), HANDLE_MAX - i);
      const copy = new ByKey(factory(TEST_HASH_KEY));
      for (const chunk of exportAll(source.index)) copy.index.importChunk(chunk);
      assert.equal(copy.index.size, keys);
      for (let i = 0; i < keys; i++) assert.equal(copy.get(BigInt(i)), HANDLE_MAX - i);
      // It goes on as any other.
      for (let i = 0; i < 5000; i++) copy.put(BigInt(keys + i), 1);
      assert.equal(copy.index.size, keys + 5000);
      source.index.close();
      copy.index.close();
    }
  });

  it('refuses cursors and outputs that cannot be', () => {
    for (let i = 0; i < 1000; i++) by.put(BigInt(i), 1);
    const { chunkBytesMax, handlesPerStepMax } = index.capabilities;
    for (const cursor of [1, -1, 0.5, NaN, INDEX_CURSOR_END, 2 ** 53]) {
      throwsCode('CAIRN_INVALID_ARGUMENT', () =>
        index.handlesFrom(cursor, new Float64Array(handlesPerStepMax)),
      );
    }
    throwsCode('CAIRN_INVALID_ARGUMENT', () => index.handlesFrom(0, new Float64Array(3)));
    throwsCode('CAIRN_INVALID_ARGUMENT', () => index.exportChunk(0, new Uint8Array(64)));
    throwsCode('CAIRN_INVALID_ARGUMENT', () => index.exportChunk(1, new Uint8Array(chunkBytesMax)));
  });

  it('answers damaged chunks with CAIRN_CORRUPTION or entries, never with a crash', () => {
    for (let i = 0; i < 3000; i++) by.put(BigInt(i), i + 1);
    const whole = Buffer.concat(exportAll(index));
    fc.assert(
      fc.property(
        fc.nat(),
        fc.integer({ min: 0, max: 7 }),
        fc.nat(),
        fc.boolean(),
        (at, bit, end, head) => {
          const damaged = Uint8Array.from(
            whole.subarray(0, head ? whole.length : end % whole.length),
          );
          if (damaged.length > 0) damaged[head ? at % 16 : at % damaged.length]! ^= 1 << bit;
          const copy = factory(TEST_HASH_KEY);
          try {
            copy.importChunk(damaged);
          } catch (error) {
            assert.ok(isCairnError(error, 'CAIRN_CORRUPTION'));
          }
          countHandles(copy);
          copy.close();
        },
      ),
      { numRuns: 500, seed: 20240602 },
    );
    throwsCode('CAIRN_CORRUPTION', () => index.importChunk(whole.subarray(0, 20)));
    throwsCode('CAIRN_CORRUPTION', () => index.importChunk(whole));
  });

  it('says CAIRN_CLOSED after close, which may be called again', () => {
    by.put(1n, 1);
    index.close();
    index.close();
    const none = new BigUint64Array(0);
    const out = new Float64Array(0);
    throwsCode('CAIRN_CLOSED', () => by.get(1n));
    throwsCode('CAIRN_CLOSED', () => by.put(1n, 2));
    throwsCode('CAIRN_CLOSED', () => by.delete(1n));
    throwsCode('CAIRN_CLOSED', () => index.compareAndSwap(by.hash(1n), 1, 2));
    throwsCode('CAIRN_CLOSED', () => index.batchGet(none, out));
    throwsCode('CAIRN_CLOSED', () => index.bulkPut(none, out, out));
    throwsCode('CAIRN_CLOSED', () => index.exportChunk(0, new Uint8Array(0)));
    throwsCode('CAIRN_CLOSED', () => index.importChunk(new Uint8Array(0)));
    throwsCode('CAIRN_CLOSED', () => index.handlesFrom(0, out));
    throwsCode('CAIRN_CLOSED', () => index.size);
    throwsCode('CAIRN_CLOSED', () => index.memoryBytes);
  });
}
