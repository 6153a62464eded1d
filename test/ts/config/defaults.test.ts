import assert from 'node:assert/strict';
import { resolveConfig } from '../../../ts/config/resolve.js';
import { machine, resolve } from './support.js';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** Null prototypes are checked by themselves; here only the content matters. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function* everyObject(value: unknown): Generator<object> {
  if (typeof value !== 'object' || value === null) return;
  yield value;
  for (const item of Object.values(value)) yield* everyObject(item);
}

describe('the default configuration', () => {
  it('has a value for every field', () => {
    assert.deepEqual(plain(resolveConfig('/s', undefined, { machine })), {
      path: '/s',
      engineType: 'KVEngineComposite',
      key: { type: 'bytes' },
      durability: { level: 'sync', intervalMs: 100 },
      readOnly: false,
      createIfMissing: true,
      errorIfExists: false,
      lockTimeoutMs: 1000,
      initialCapacity: 1,
      index: { type: 'DRAM_PET_HASH', cacheBytes: 64 * 1024 * 1024 },
      value: {
        type: 'SSD_VALUE_STORE',
        defaultValueSizeHint: 0,
        ssdAllocator: {
          type: 'SSD_SLAB',
          minBlockSize: 128,
          maxBlockSize: 4096,
          baseOffsetBytes: 0,
        },
        tiering: { highWatermarkRatio: 0.85 },
      },
      cache: { capacityBytes: 256 * MIB },
      log: { capacityBytes: 64 * MIB, segmentBytes: 8 * MIB, inlineValueBytes: 16384 },
      io: {
        type: 'IOURING',
        queueDepth: 128,
        flushEvery: 4,
        busyPollUs: 0,
        threads: 8,
        baseOffsetBytes: 0,
      },
      document: {},
    });
  });

  it('takes any value size: no classes, no capacity', () => {
    const { value, capacity } = resolve(undefined);
    assert.equal(value.ssdAllocator?.sizeClasses, undefined);
    assert.equal(value.ssdAllocator?.capacityBytes, undefined);
    assert.equal(value.dramAllocator, undefined);
    assert.equal(capacity, undefined);
    assert.equal(
      resolve({ value: { ssd_allocator: {} } }).value.ssdAllocator?.sizeClasses,
      undefined,
    );
  });

  it('depends on the machine only for memory', () => {
    const small = { memoryBytes: 512 * MIB + 17 };
    const config = resolveConfig('/s', undefined, { machine: small });
    assert.equal(config.cache.capacityBytes, 32 * MIB);
    const dram = resolveConfig('/s', { value: { type: 'DRAM_VALUE_STORE' } }, { machine: small });
    assert.equal(dram.value.dramAllocator?.capacityBytes, 384 * MIB);
    assert.equal(dram.cache.capacityBytes, 0);
    assert.deepEqual(plain({ ...config, cache: 0 }), plain({ ...resolve(undefined), cache: 0 }));
  });

  it('is the same twice', () => {
    assert.deepEqual(resolveConfig('/s'), resolveConfig('/s'));
  });

  it('gives values in memory three quarters of it', () => {
    const { value } = resolve({ value: { type: 'DRAM_VALUE_STORE' } });
    assert.deepEqual(plain(value.dramAllocator), {
      type: 'CONCURRENT_SLAB_MEMORY_POOL',
      capacityBytes: 12 * GIB,
    });
    assert.equal(value.ssdAllocator, undefined);
  });

  it('is frozen at every level and has null prototypes', () => {
    const config = resolve({
      index: { type: 'DRAM_PET_HASH' },
      value: { ssd_allocator: { size_classes: [512, 64], io: { queue_depth: 7 } } },
    });
    let objects = 0;
    for (const object of everyObject(config)) {
      objects += 1;
      assert.ok(Object.isFrozen(object));
      if (!Array.isArray(object)) assert.equal(Object.getPrototypeOf(object), null);
    }
    assert.ok(objects > 12);
  });

  it('does not hold on to the caller’s document', () => {
    const document = { value: { ssd_allocator: { size_classes: [64, 128] } } };
    const config = resolve(document);
    document.value.ssd_allocator.size_classes.push(9);
    document.value.ssd_allocator = { size_classes: [] };
    assert.deepEqual(config.value.ssdAllocator?.sizeClasses, [64, 128]);
    assert.deepEqual(plain(config.document), {
      value: { ssd_allocator: { size_classes: [64, 128] } },
    });
  });

  it('takes undefined for absent', () => {
    const config = resolve({
      path: undefined,
      key: undefined,
      cache: { capacity_bytes: undefined },
    });
    assert.equal(config.key.type, 'bytes');
    assert.equal(config.cache.capacityBytes, 256 * MIB);
  });

  it('adapts segments to a small log, and the log to large segments', () => {
    assert.equal(resolve({ log: { capacity_bytes: 16 * MIB } }).log.segmentBytes, 2 * MIB);
    assert.equal(resolve({ log: { capacity_bytes: MIB } }).log.segmentBytes, MIB / 4);
    assert.equal(resolve({ log: { segment_bytes: 32 * MIB } }).log.capacityBytes, 128 * MIB);
    assert.equal(resolve({ io: { queue_depth: 2 } }).io.flushEvery, 2);
  });

  it('creates nothing in a store that is opened for reading', () => {
    assert.equal(resolve({ read_only: true }).createIfMissing, false);
    assert.equal(resolve({ read_only: true, create_if_missing: false }).readOnly, true);
  });
});
