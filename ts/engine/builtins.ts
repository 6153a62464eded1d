import { FileSet } from '../bindings/file-set.js';
import { BUILTIN_NAMES } from '../config/names.js';
import type { ResolvedConfig } from '../config/types.js';
import { KIB, MIB, PAGE_BYTES } from '../common/units.js';
import { ExtendibleHashIndex } from '../index/extendible-hash-index.js';
import { HashIndex } from '../index/hash-index.js';
import { MapIndex } from '../index/map-index.js';
import { SsdIndex } from '../index/ssd-index.js';
import { Registry } from '../registry/registry.js';
import { DramValueStore } from '../value-store/dram-value-store.js';
import { SsdValueStore, type SsdValueStoreOptions } from '../value-store/ssd-value-store.js';
import { Engine } from './engine.js';
import type { Factories, ValueStoreContext } from './factories.js';

/**
 * A registry with everything that cairn brings. Register types of your own in it and give it to
 * `open`; registries share nothing.
 */
export function createRegistry(): Registry<Factories> {
  const registry = new Registry<Factories>();
  registry.register(
    'engine',
    'KVEngineComposite',
    (parts, recovery) => new Engine(parts, recovery),
  );
  registry.register('index', 'DRAM_PET_HASH', ({ hashKey }) => new HashIndex({ hashKey }));
  registry.register('index', 'DRAM_EXTENDIBLE_HASH', ({ hashKey, config: { initialCapacity } }) => {
    return new ExtendibleHashIndex({ hashKey, initialCapacity });
  });
  registry.register('index', 'DRAM_UNORDERED_MAP', ({ hashKey }) => new MapIndex({ hashKey }));
  registry.register('index', 'SSD_EXTENDIBLE_HASH', (context) => {
    const { config, fileSet, hashKey, storeId, tuning, valuesPersist } = context;
    return new SsdIndex(fileSet, {
      hashKey,
      storeId,
      cachePages: tuning.indexPages?.cachePages ?? config.index.cacheBytes / PAGE_BYTES,
      entriesMax: tuning.indexPages?.entriesMax,
      persistent: valuesPersist,
      readOnly: config.readOnly,
      growBytesMax: tuning.reserveBytesMax,
    });
  });
  registry.register('value', 'SSD_VALUE_STORE', (context) =>
    SsdValueStore.open(context.fileSet, ssdOptions(context)),
  );
  registry.register('value', 'DRAM_VALUE_STORE', ({ config, storeId, tuning, slots }) => {
    // The log carries every value; half of it is what one batch may take.
    const capacityBytes = tuning.logCapacityBytes ?? config.log.capacityBytes;
    const valueBytesMax = Math.min(64 * MIB, Math.floor((capacityBytes / 2) * 0.99) - 128 * KIB);
    const directory = config.value.poolPath;
    // A pool is written from the first moment on.
    const pool = directory === undefined || config.readOnly ? undefined : { directory, storeId };
    return new DramValueStore({ ...slots, valueBytesMax, pool });
  });
  registry.register('value', 'TIERED_VALUE_STORE', (context) => {
    const { config, memorySlots } = context;
    return SsdValueStore.open(context.fileSet, {
      ...ssdOptions(context),
      tier: {
        capacityBytes: memorySlots?.capacityBytes ?? 0,
        highWatermarkRatio: config.value.tiering.highWatermarkRatio,
        allocator: memorySlots?.allocator ?? 'CONCURRENT_SLAB_MEMORY_POOL',
        sizeClasses: memorySlots?.sizeClasses,
      },
    });
  });
  for (const allocator of BUILTIN_NAMES.dramAllocator) {
    registry.register('dramAllocator', allocator, ({ value }) => ({
      sizeClasses: value.dramAllocator?.sizeClasses,
      capacityBytes: value.dramAllocator?.capacityBytes ?? 0,
      allocator,
    }));
  }
  for (const allocator of BUILTIN_NAMES.ssdAllocator) {
    registry.register('ssdAllocator', allocator, ({ value }) => ({
      sizeClasses: value.ssdAllocator?.sizeClasses,
      capacityBytes: value.ssdAllocator?.capacityBytes ?? 0,
      allocator,
      blockBytes: value.ssdAllocator?.minBlockSize,
    }));
  }
  // Hosts and containers that forbid io_uring get threads instead, with one warning.
  registry.register('io', 'IOURING', (config) => openDirectoryFiles(config, 'IOURING'));
  registry.register('io', 'POSIX', (config) => openDirectoryFiles(config, 'POSIX'));
  return registry;
}

function ssdOptions(context: ValueStoreContext): SsdValueStoreOptions {
  const { config, storeId, used, tuning, slots } = context;
  return {
    storeId,
    used,
    allocator: slots.allocator === 'SSD_BUDDY' ? 'SSD_BUDDY' : 'SSD_SLAB',
    sizeClasses: slots.sizeClasses,
    blockBytes: slots.blockBytes,
    capacityBytes: slots.capacityBytes,
    cacheBytes: tuning.cacheBytes ?? config.cache.capacityBytes,
    inlineBytesMax: config.log.inlineValueBytes,
    runBytes: tuning.runBytes,
    dirtyBytesMax: tuning.dirtyBytesMax,
    reserveBytesMax: tuning.reserveBytesMax,
    readOnly: config.readOnly,
    onDamage: tuning.onDamage,
  };
}

/**
 * The files in a directory, with its lock held: what the factories of `IOURING` and `POSIX` do.
 *
 * @param config `path`, `io`, `readOnly`, `createIfMissing` and `lockTimeoutMs` are looked at.
 */
export function openDirectoryFiles(
  config: ResolvedConfig,
  backend: 'IOURING' | 'POSIX',
): Promise<FileSet> {
  return FileSet.openDirectory(config.path, {
    backend,
    queueDepth: config.io.queueDepth,
    flushEvery: config.io.flushEvery,
    busyPollUs: config.io.busyPollUs,
    threads: config.io.threads,
    readOnly: config.readOnly,
    create: config.createIfMissing,
    lockTimeoutMs: config.lockTimeoutMs,
  });
}

/** Files in memory, which go with the last store that has them open: for tests and caches. */
export function openMemoryFiles(): FileSet {
  return FileSet.memory();
}
