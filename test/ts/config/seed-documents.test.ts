import assert from 'node:assert/strict';
import { LATER_NAMES } from '../../../ts/config/names.js';
import { resolveConfig } from '../../../ts/config/resolve.js';

// The sample documents of the seed system, unchanged.
const dramDram = {
  engine_type: 'KVEngineComposite',
  capacity: 1000000,
  index: { type: 'DRAM_PET_HASH' },
  value: {
    type: 'DRAM_VALUE_STORE',
    default_value_size_hint: 512,
    path: '/dev/shm/recstore_kv/value',
    dram_allocator: { type: 'CONCURRENT_SLAB_MEMORY_POOL', capacity_bytes: 512000000 },
  },
};
const ssdIo = { type: 'IOURING', queue_depth: 512, base_offset_bytes: 4096 };
const dramSsd = {
  capacity: 1000000,
  index: { type: 'DRAM_UNORDERED_MAP' },
  value: {
    type: 'SSD_VALUE_STORE',
    default_value_size_hint: 512,
    path: '/data/recstore/value_pages.db',
    ssd_allocator: {
      type: 'SSD_BUDDY',
      capacity_bytes: 512000000,
      min_block_size: 128,
      max_block_size: 65536,
      io: ssdIo,
    },
  },
};
const dramTiered = {
  capacity: 1000000,
  index: { type: 'DRAM_EXTENDIBLE_HASH' },
  value: {
    type: 'TIERED_VALUE_STORE',
    default_value_size_hint: 512,
    dram_allocator: {
      type: 'PERSIST_LOOP_SLAB',
      capacity_bytes: 128000000,
      path: '/dev/shm/recstore_data/tiered_dram',
    },
    ssd_allocator: {
      type: 'SSD_BUDDY',
      capacity_bytes: 512000000,
      path: '/data/recstore/tiered_value_pages.db',
      min_block_size: 128,
      max_block_size: 65536,
      io: ssdIo,
    },
    tiering: { high_watermark_ratio: 0.85 },
  },
};
const ssdSsd = {
  capacity: 1000000,
  index: {
    type: 'SSD_EXTENDIBLE_HASH',
    path: '/data/recstore/index_pages.db',
    io: { type: 'IOURING', queue_depth: 512, base_offset_bytes: 0 },
  },
  value: {
    type: 'SSD_VALUE_STORE',
    default_value_size_hint: 512,
    path: '/data/recstore/value_pages.db',
    ssd_allocator: {
      type: 'SSD_SLAB',
      capacity_bytes: 512000000,
      size_classes: [128, 256, 512, 1024, 4096],
      io: ssdIo,
    },
  },
};

describe('documents of the seed system', () => {
  it('resolve for values in memory', () => {
    const config = resolveConfig(dramDram);
    assert.equal(config.path, '/dev/shm/recstore_kv/value');
    assert.equal(config.engineType, 'KVEngineComposite');
    assert.equal(config.capacity, 1000000);
    assert.equal(config.value.defaultValueSizeHint, 512);
    assert.equal(config.value.dramAllocator?.capacityBytes, 512000000);
  });

  it('resolve for values on the device', () => {
    const config = resolveConfig(dramSsd);
    assert.equal(config.path, '/data/recstore/value_pages.db');
    assert.equal(config.index.type, 'DRAM_UNORDERED_MAP');
    assert.equal(config.value.ssdAllocator?.type, 'SSD_BUDDY');
    assert.equal(config.value.ssdAllocator.maxBlockSize, 65536);
    assert.equal(config.value.ssdAllocator.sizeClasses, undefined);
    assert.equal(config.io.queueDepth, 512);
    assert.equal(config.io.baseOffsetBytes, 4096);
  });

  it('resolve for tiered values', () => {
    const config = resolveConfig(dramTiered);
    assert.equal(config.path, '/data/recstore/tiered_value_pages.db');
    assert.equal(config.value.dramAllocator?.type, 'PERSIST_LOOP_SLAB');
    assert.equal(config.value.tiering.highWatermarkRatio, 0.85);
  });

  it('resolve for an index on the device', () => {
    const config = resolveConfig(ssdSsd);
    assert.equal(config.path, '/data/recstore/value_pages.db');
    assert.equal(config.index.type, 'SSD_EXTENDIBLE_HASH');
    assert.deepEqual(config.value.ssdAllocator?.sizeClasses, [128, 256, 512, 1024, 4096]);
  });

  it('get the seed’s classes when they name SSD_SLAB and no classes', () => {
    const value = { type: 'SSD_VALUE_STORE', ssd_allocator: { type: 'SSD_SLAB' } };
    const { ssdAllocator } = resolveConfig('/s', { value }).value;
    assert.deepEqual(ssdAllocator?.sizeClasses, [128, 256, 512, 1024, 4096]);
  });

  it('get their classes in ascending order', () => {
    const value = { ssd_allocator: { size_classes: [4096, 128, 1024] } };
    const { ssdAllocator } = resolveConfig('/s', { value }).value;
    assert.deepEqual(ssdAllocator?.sizeClasses, [128, 1024, 4096]);
  });

  it('may use the aliases', () => {
    const aliases = { DRAM: 'DRAM_EXTENDIBLE_HASH', SSD: 'SSD_EXTENDIBLE_HASH' };
    for (const [alias, type] of Object.entries(aliases)) {
      assert.equal(resolveConfig('/s', { index: { type: alias } }).index.type, type);
    }
    const allocators = { PersistLoopShmMalloc: 'PERSIST_LOOP_SLAB', R2ShmMalloc: 'R2_SLAB' };
    for (const [alias, type] of Object.entries(allocators)) {
      const value = { type: 'DRAM_VALUE_STORE', dram_allocator: { type: alias } };
      assert.equal(resolveConfig('/s', { value }).value.dramAllocator?.type, type);
    }
  });

  it('may say how many buckets to begin with, a power of two or not', () => {
    assert.equal(resolveConfig('/s', { initial_capacity: 1000 }).initialCapacity, 1000);
  });

  it('may name the types that come later', () => {
    for (const name of LATER_NAMES.index.keys()) {
      assert.equal(resolveConfig('/s', { index: { type: name } }).index.type, name);
    }
    assert.equal(resolveConfig('/s', { io: { type: 'SPDK' } }).io.type, 'SPDK');
  });

  it('may leave out every path in memory when the store is named otherwise', () => {
    const value = { type: 'DRAM_VALUE_STORE', path: '' };
    assert.equal(resolveConfig('/s', { value }).path, '/s');
    const tiered = { type: 'TIERED_VALUE_STORE', dram_allocator: { path: '' } };
    assert.equal(resolveConfig('/s', { value: tiered }).path, '/s');
  });

  it('may give a different queue depth to index and values: the larger one holds', () => {
    const config = resolveConfig('/s', {
      index: { io: { queue_depth: 64 } },
      value: { ssd_allocator: { io: { queue_depth: 256 } } },
    });
    assert.equal(config.io.queueDepth, 256);
    const own = { io: { queue_depth: 32 }, index: { io: { queue_depth: 64 } } };
    assert.equal(resolveConfig('/s', own).io.queueDepth, 32);
  });
});
