import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { BatchOperation, DurabilityLevel, Store, StoreConfig } from '../../../ts/index.js';
import { bytesOf } from '../stores.js';
import type { Codec } from '../linearizability/values.js';
import { isSame, summary, type Contents, type Model, type Survives } from './contents.js';
import type { Host } from './hosts.js';

/** The store under test; `store` is another one after each opening. */
export interface Real {
  store: Store;
  /** Of the latest opening. */
  level: DurabilityLevel;
  readonly host: Host;
  readonly codec: Codec;
  /** What an opening needs beside what may change from one to the next. */
  readonly fixed: StoreConfig;
  readonly keyType: 'bytes' | 'u64';
}

export const KEYS = 14;
const ROW_BYTES = 48;

type Run = (model: Model, real: Real) => Promise<void>;

class Step implements fc.AsyncCommand<Model, Real> {
  readonly #text: string;
  readonly #run: Run;

  constructor(text: string, run: Run) {
    this.#text = text;
    this.#run = run;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, real: Real): Promise<void> {
    await this.#run(model, real);
    assert.equal(real.store.size, model.now.size, 'size');
  }

  toString(): string {
    return this.#text;
  }
}

const survivesOf = (level: DurabilityLevel): Survives =>
  level === 'sync' ? 'power' : level === 'none' ? 'nothing' : 'kill';

/** A value in a few numbers, so that a failure is short. */
interface Spec {
  readonly seed: number;
  readonly size: number;
}

const anyKey = fc.nat(KEYS - 1);
const anyLevel = fc.constantFrom<DurabilityLevel | undefined>(
  undefined,
  'sync',
  'interval',
  'process',
  'none',
);
/** In the log and in slots: within pages, across them, of their own. */
const anySpec: fc.Arbitrary<Spec> = fc.record({
  seed: fc.nat(9999),
  size: fc.oneof(
    { weight: 2, arbitrary: fc.constant(ROW_BYTES) },
    { weight: 4, arbitrary: fc.nat(300) },
    { weight: 3, arbitrary: fc.integer({ min: 300, max: 6000 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, 4072, 17_000, 70_000) },
  ),
});
const anyPair = fc.tuple(anyKey, anySpec);

function valueOf({ seed, size }: Spec): Buffer {
  return bytesOf(seed, size);
}

function putStep(sync: boolean): fc.Arbitrary<Step> {
  return fc.tuple(anyKey, anySpec, anyLevel).map(
    ([key, spec, level]) =>
      new Step(`put${sync ? 'Sync' : ''}(${key}, ${show(spec)}, ${level})`, async (model, real) => {
        const value = valueOf(spec);
        const options = level === undefined ? {} : { durability: level };
        if (sync) real.store.putSync(real.codec.keyOf(key), value, options);
        else await real.store.put(real.codec.keyOf(key), value, options);
        model.write(new Map([[key, value]]), survivesOf(level ?? real.level));
      }),
  );
}

const anyDelete = fc.tuple(anyKey, anyLevel, fc.boolean()).map(
  ([key, level, sync]) =>
    new Step(`delete${sync ? 'Sync' : ''}(${key}, ${level})`, async (model, real) => {
      const options = level === undefined ? {} : { durability: level };
      const name = real.codec.keyOf(key);
      const found = sync
        ? real.store.deleteSync(name, options)
        : await real.store.delete(name, options);
      assert.equal(found, model.get(key) !== undefined, `delete(${key})`);
      // A key that was not there gives no record.
      if (found) model.write(new Map([[key, undefined]]), survivesOf(level ?? real.level));
    }),
);

const anyBatch = fc
  .tuple(
    fc.array(fc.tuple(anyKey, fc.option(anySpec, { freq: 3, nil: undefined })), { maxLength: 6 }),
    anyLevel,
  )
  .map(
    ([list, level]) =>
      new Step(
        `batch(${list.map(([key, spec]) => `${key}: ${show(spec)}`).join(', ')}, ${level})`,
        async (model, real) => {
          const write = new Map(list.map(([key, spec]) => [key, spec && valueOf(spec)]));
          const operations = list.map(([key, spec]): BatchOperation => {
            const name = real.codec.keyOf(key);
            return spec === undefined
              ? { type: 'delete', key: name }
              : { type: 'put', key: name, value: valueOf(spec) };
          });
          const options = level === undefined ? {} : { durability: level };
          await real.store.batch(operations, options);
          // Nothing to do gives no record.
          const does = list.some(([key, spec]) => spec !== undefined || model.get(key));
          model.write(write, does ? survivesOf(level ?? real.level) : undefined);
        },
      ),
  );

const anyLoad = fc.array(anyPair, { minLength: 1, maxLength: 8 }).map(
  (list) =>
    new Step(
      `bulkLoad(${list.map(([key, spec]) => `${key}: ${show(spec)}`).join(', ')})`,
      async (model, real) => {
        const entries = list.map(([key, spec]) => [real.codec.keyOf(key), valueOf(spec)] as const);
        await real.store.bulkLoad(entries);
        model.write(new Map(list.map(([key, spec]) => [key, valueOf(spec)])), 'power');
      },
    ),
);

const anyRead = fc.tuple(anyKey, fc.constantFrom('get', 'getSync', 'has', 'hasSync')).map(
  ([key, call]) =>
    new Step(`${call}(${key})`, async (model, { store, codec }) => {
      const found = await store[call as 'get'](codec.keyOf(key));
      const value = model.get(key);
      const expected = call.startsWith('get') ? value : value !== undefined;
      assert.deepEqual(found, expected, `${call}(${key})`);
    }),
);

const anyBatchGet = fc.tuple(fc.array(anyKey, { maxLength: 10 }), fc.boolean()).map(
  ([keys, asRows]) =>
    new Step(`batchGet${asRows ? 'Into' : ''}(${keys.join(', ')})`, async (model, real) => {
      const { store, codec } = real;
      const values = keys.map((key) => model.get(key));
      if (!asRows || real.keyType === 'bytes') {
        assert.deepEqual(await store.batchGet(keys.map(codec.keyOf)), values);
        return;
      }
      const rows = new Uint8Array(keys.length * ROW_BYTES).fill(9);
      const names = BigUint64Array.from(keys, (key) => codec.keyOf(key) as bigint);
      const { missing, missingIndexes } = await store.batchGetInto(names, rows, ROW_BYTES);
      const expected = values.map((value) => (value?.length === ROW_BYTES ? value : undefined));
      const absent = [...expected.keys()].filter((at) => expected[at] === undefined);
      assert.deepEqual([...missingIndexes], absent);
      assert.equal(missing, absent.length);
      const whole = expected.map((value) => value ?? Buffer.alloc(ROW_BYTES));
      assert.deepEqual(Buffer.from(rows), Buffer.concat(whole));
    }),
);

const iterate = new Step('iterate()', async (model, real) => {
  const found = await contentsOf(real);
  if (!isSame(found, model.now)) assert.deepEqual(summary(found), summary(model.now));
  let count = 0;
  for await (const _ of real.store.keys()) count++;
  assert.equal(count, model.now.size);
});

const flush = new Step('flush()', async (model, { store }) => {
  await store.flush();
  model.acknowledge('power');
});

const checkpoint = new Step('checkpoint()', async (model, { store }) => {
  await store.checkpoint();
  model.acknowledge('power');
});

const verify = new Step('verify()', async (model, { store }) => {
  const { records, damaged } = await store.verify();
  assert.deepEqual(damaged, []);
  assert.equal(records, model.now.size);
});

/** Whatever may change from one opening to the next. */
const anyChange: fc.Arbitrary<StoreConfig> = fc.record(
  {
    durability: fc.constantFrom('sync', 'interval', 'process', 'none'),
    io: fc.constantFrom(
      { type: 'IOURING' },
      { type: 'IOURING', queue_depth: 1, flush_every: 1 },
      { type: 'POSIX', threads: 2 },
    ),
    cache: fc.record({ capacity_bytes: fc.constantFrom(0, 64 * 1024, 4 * 1024 * 1024) }),
    index: fc.record({ cache_bytes: fc.constantFrom(256 * 1024, 1024 * 1024) }),
    capacity: fc.constantFrom(1, 100, 100_000),
    initial_capacity: fc.constantFrom(1, 64),
    log: fc.record(
      {
        capacity_bytes: fc.constantFrom(1024 * 1024, 4 * 1024 * 1024),
        inline_value_bytes: fc.constantFrom(0, 2000, 16 * 1024),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [] },
);

const anyReopen = anyChange.map(
  (change) =>
    new Step(`reopen(${JSON.stringify(change)})`, async (model, real) => {
      await real.store.close();
      model.acknowledge('power');
      await openReal(real, change);
      await expectContents(model, real);
    }),
);

/** With writes that nobody waits for, so that it may leave any part of them. */
const anyCrash = fc
  .tuple(
    fc.constantFrom<'kill' | 'power'>('kill', 'power'),
    fc.nat(99_999),
    fc.array(anyPair, { maxLength: 4 }),
    anyChange,
  )
  .map(
    ([how, seed, list, change]) =>
      new Step(
        `${how}(${seed}, ${list.map(([key, spec]) => `${key}: ${show(spec)}`).join(', ')}, ` +
          `${JSON.stringify(change)})`,
        async (model, real) => {
          const { crash } = real.host;
          if (crash === undefined) return;
          for (const [key, spec] of list) {
            const value = valueOf(spec);
            real.store.put(real.codec.keyOf(key), value).catch(() => undefined);
            model.write(new Map([[key, value]]), undefined);
          }
          await crash(real.store, how, seed);
          await openReal(real, change);
          model.crashed(await contentsOf(real), how);
          await expectContents(model, real);
        },
      ),
  );

/** Opens the store, which must be closed or gone. */
export async function openReal(real: Real, change: StoreConfig): Promise<void> {
  const { fixed } = real;
  // What both say is the store's own.
  real.store = await real.host.open({
    ...fixed,
    ...change,
    index: { ...fixed.index, ...change.index },
    log: { ...fixed.log, ...change.log },
  });
  real.level = (change.durability as DurabilityLevel | undefined) ?? 'sync';
}

async function contentsOf({ store, codec }: Real): Promise<Contents> {
  const found = new Map<number, Buffer>();
  for await (const [name, value] of store.entries()) {
    const key = codec.numberOf(name);
    assert.ok(!found.has(key), `iteration yields key ${key} twice`);
    found.set(key, value);
  }
  return found;
}

/** A get of each key and iteration agree with the model. */
export async function expectContents(model: Model, real: Real): Promise<void> {
  const found = await contentsOf(real);
  if (!isSame(found, model.now)) assert.deepEqual(summary(found), summary(model.now));
  for (let key = 0; key < KEYS; key++) {
    assert.deepEqual(await real.store.get(real.codec.keyOf(key)), model.get(key), `get(${key})`);
  }
}

function show(spec: Spec | undefined): string {
  return spec === undefined ? 'delete' : `${spec.size} B of ${spec.seed}`;
}

/** Sequences of everything a store does. */
export function anyCommands(
  maxCommands: number,
): fc.Arbitrary<Iterable<fc.AsyncCommand<Model, Real>>> {
  const often = (count: number, step: fc.Arbitrary<Step>): fc.Arbitrary<Step>[] =>
    Array.from({ length: count }, () => step);
  return fc.commands(
    [
      ...often(6, putStep(false)),
      ...often(2, putStep(true)),
      ...often(3, anyDelete),
      ...often(3, anyBatch),
      ...often(3, anyRead),
      ...often(3, anyBatchGet),
      anyLoad,
      fc.constant(iterate),
      fc.constant(flush),
      fc.constant(checkpoint),
      fc.constant(verify),
      ...often(2, anyReopen),
      ...often(2, anyCrash),
    ],
    { maxCommands, size: 'max' },
  );
}
