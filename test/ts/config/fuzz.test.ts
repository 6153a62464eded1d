import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BUILTIN_NAMES, LATER_NAMES, SLOTS } from '../../../ts/config/names.js';
import { resolveOrRefuse } from '../../support/fuzz/config-properties.js';

const RUNS = process.env['CAIRN_TEST_LONG'] === '1' ? 50 : 1;

const names = SLOTS.flatMap((slot) => [...BUILTIN_NAMES[slot], ...LATER_NAMES[slot].keys()]);
/** Mostly right, now and then wrong. */
function mostly(...right: readonly unknown[]): fc.Arbitrary<unknown> {
  const wrong = fc.oneof(fc.maxSafeInteger(), fc.constantFrom(...names, 0, -1, 1.5, '', 'a\0b'));
  const good = { arbitrary: fc.constantFrom(...right), weight: 19 };
  return fc.oneof(good, { arbitrary: wrong, weight: 1 });
}
function some(fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> {
  return fc.record(fields, { requiredKeys: [] });
}
const io = some({
  type: mostly('IOURING'),
  queue_depth: mostly(8, 128, 512),
  flush_every: mostly(1, 4),
  busy_poll_us: mostly(0, 100),
  threads: mostly(1, 8),
  base_offset_bytes: mostly(0, 4096),
});
const allocator = (...types: string[]) =>
  some({
    type: mostly(...types),
    capacity_bytes: mostly(512000000, 2 ** 40),
    size_classes: fc.oneof(fc.constantFrom([128, 256], [4096, 64]), mostly([128])),
  });
const value = fc.oneof(
  some({ type: mostly('SSD_VALUE_STORE'), ssd_allocator: allocator('SSD_SLAB', 'SSD_BUDDY') }),
  some({ ssd_allocator: some({ min_block_size: mostly(64, 128), io }), path: mostly('/data/v') }),
  fc.record({
    type: fc.constantFrom('DRAM_VALUE_STORE'),
    path: mostly('', '/dev/shm/s'),
    dram_allocator: allocator('CONCURRENT_SLAB_MEMORY_POOL', 'R2ShmMalloc'),
  }),
  some({ type: mostly('TIERED_VALUE_STORE'), dram_allocator: allocator('R2_SLAB') }),
);
/** Near enough to a document that the deeper rules are reached. */
const nearDocument = some({
  path: mostly('/data/s'),
  key: some({ type: mostly('u64', 'bytes') }),
  durability: fc.oneof(mostly('sync', 'none'), some({ level: mostly('process') })),
  index: some({ type: mostly('DRAM_PET_HASH', 'SSD', 'DRAM'), io }),
  value: fc.oneof(value, mostly(undefined)),
  log: some({ capacity_bytes: mostly(67108864), segment_bytes: mostly(1048576) }),
  io,
  read_only: mostly(true, false),
  create_if_missing: mostly(true, false),
});

describe('any document', () => {
  it('of JSON gives a configuration or a typed error', () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 5 }),
        fc.jsonValue(),
        fc.boolean(),
        (first, second, one) => {
          resolveOrRefuse(first, one ? undefined : second);
          resolveOrRefuse('/s', second);
        },
      ),
      { numRuns: 2000 * RUNS },
    );
  });

  it('of anything at all gives a configuration or a typed error', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withNullPrototype: true,
      withObjectString: true,
    });
    fc.assert(
      fc.property(anything, anything, (first, second) => {
        resolveOrRefuse(first, undefined);
        resolveOrRefuse('/s', second);
      }),
      { numRuns: 1000 * RUNS },
    );
  });

  it('near a real one gives a configuration or a typed error', () => {
    let accepted = 0;
    fc.assert(
      fc.property(nearDocument, (document) => {
        if (resolveOrRefuse('/data/s', document)) accepted += 1;
        resolveOrRefuse(document, undefined);
      }),
      { numRuns: 3000 * RUNS },
    );
    assert.ok(accepted > 300, `only ${accepted} were accepted: the generator has drifted`);
  });
});
