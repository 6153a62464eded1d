import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { acceptedNames, SLOTS } from '../../../ts/config/names.js';
import { CairnError, createRegistry, open, type StoreConfig } from '../../../ts/index.js';
import { withDirectory } from '../../support/stores.js';

const registry = createRegistry();
const types = Object.fromEntries(
  SLOTS.map((slot) => [slot, acceptedNames(slot, registry.allNames())]),
) as Record<(typeof SLOTS)[number], string[]>;

/** A store that works and is removed again, or a typed error and not a single file. */
async function openOrRefuse(directory: string, document: unknown): Promise<boolean> {
  const path = join(directory, 'store');
  try {
    const store = await open(path, document as StoreConfig);
    const key = (document as StoreConfig | undefined)?.key?.type === 'u64' ? 1 : 'k';
    await store.put(key, 'v', { durability: 'process' });
    assert.equal(String(await store.get(key)), 'v');
    await store.close();
    await rm(path, { recursive: true });
    return true;
  } catch (error) {
    assert.ok(error instanceof CairnError, String(error));
    assert.deepEqual(readdirSync(directory), [], error.message);
    return false;
  }
}

const mostly = (right: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 60, arbitrary: right }, { weight: 1, arbitrary: fc.jsonValue() });
const some = (fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> =>
  fc.record(
    Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, mostly(field)])),
    { requiredKeys: [] },
  );
const oneOf = (list: readonly string[]): fc.Arbitrary<unknown> => fc.constantFrom(...list);
const bytes = fc.constantFrom(1 << 20, 4 << 20, 64 << 20, 2 ** 40);
const allocator = (slot: 'dramAllocator' | 'ssdAllocator'): fc.Arbitrary<unknown> =>
  some({
    type: oneOf(types[slot]),
    capacity_bytes: bytes,
    size_classes: fc.uniqueArray(fc.integer({ min: 1, max: 70_000 }), { minLength: 1 }),
  });

/** Every type name, and numbers of the right kind: most of what is wrong is wrong together. */
const document = some({
  key: some({ type: oneOf(['u64', 'bytes']) }),
  durability: oneOf(['sync', 'interval', 'process', 'none']),
  engine_type: oneOf(types.engine),
  index: some({ type: oneOf(types.index) }),
  value: fc.oneof(
    some({
      type: oneOf(types.value),
      dram_allocator: allocator('dramAllocator'),
      ssd_allocator: allocator('ssdAllocator'),
    }),
    some({ ssd_allocator: allocator('ssdAllocator') }),
    fc.record({
      type: fc.constant('DRAM_VALUE_STORE'),
      dram_allocator: allocator('dramAllocator'),
    }),
  ),
  cache: some({ capacity_bytes: fc.constantFrom(0, 4096, 1 << 20) }),
  log: some({ capacity_bytes: bytes, segment_bytes: fc.constantFrom(1 << 18, 1 << 20) }),
  io: some({ type: oneOf(types.io), queue_depth: fc.integer({ min: 1, max: 4096 }) }),
  create_if_missing: fc.constantFrom(true, true, true, false),
  error_if_exists: fc.boolean(),
  read_only: fc.constantFrom(false, false, false, true),
  lock_timeout_ms: fc.constantFrom(0, 100),
});

describe('open with any document', function () {
  this.timeout(180_000);

  it('of JSON gives a store or a typed error, and then no file', () =>
    withDirectory((directory) =>
      fc.assert(
        fc.asyncProperty(fc.jsonValue({ maxDepth: 5 }), async (value) => {
          await openOrRefuse(directory, value);
        }),
        { numRuns: 300 },
      ),
    ));

  it('near a real one gives a store or a typed error, and then no file', () =>
    withDirectory(async (directory) => {
      let opened = 0;
      await fc.assert(
        fc.asyncProperty(document, async (value) => {
          if (await openOrRefuse(directory, value)) opened++;
        }),
        { numRuns: 400 },
      );
      assert.ok(opened >= 5, `only ${opened} were opened: the generator has drifted`);
    }));

  it('as the only argument, whatever it is, gives a typed error', () =>
    withDirectory((directory) =>
      fc.assert(
        fc.asyncProperty(fc.jsonValue(), async (value) => {
          // Documents with a place of their own are the business of the others.
          fc.pre(typeof value !== 'string' && !JSON.stringify(value).includes('path'));
          await assert.rejects(open(value as StoreConfig), { code: 'CAIRN_INVALID_CONFIG' });
          assert.deepEqual(readdirSync(directory), []);
        }),
        { numRuns: 300 },
      ),
    ));
});
