import type { Slot } from './names.js';

/** `bytes`: strings (UTF-8) and byte arrays of 1 B to 64 KiB; `u64`: integers of 0 to 2^64 - 1. */
export type KeyType = 'u64' | 'bytes';
/** What an acknowledgement of a write means; docs/CONFIG.md "durability.level". */
export type DurabilityLevel = 'sync' | 'interval' | 'process' | 'none';

/** How requests reach the device. */
export interface IoConfig {
  /** `IOURING` or `POSIX` (threads). @default 'IOURING' */
  readonly type?: string | undefined;
  /** Requests in flight, 1 to 4096. @default 128 */
  readonly queue_depth?: number | undefined;
  /** Prepared requests that are handed over at once, 1 to queue_depth. @default 4 */
  readonly flush_every?: number | undefined;
  /**
   * Microseconds, 0 to 1000: how long the event loop looks for completions of `IOURING` before it
   * sleeps. Lower latency for more of a processor. @default 0
   */
  readonly busy_poll_us?: number | undefined;
  /** Threads of `POSIX`, 1 to 128. @default 8 */
  readonly threads?: number | undefined;
  /** Bytes, a multiple of 4096; accepted for documents of the seed system. @default 0 */
  readonly base_offset_bytes?: number | undefined;
}

export interface DramAllocatorConfig {
  /** @default 'CONCURRENT_SLAB_MEMORY_POOL' */
  readonly type?: string | undefined;
  /** Bytes, 1 MiB to 64 TiB: a limit, not reserved ahead. @default three quarters of the memory */
  readonly capacity_bytes?: number | undefined;
  /** Bytes each, 1 to 64 MiB, at most 64 of them. @default classes for every size */
  readonly size_classes?: readonly number[] | undefined;
  /** Only with TIERED_VALUE_STORE; below /dev/shm. */
  readonly path?: string | undefined;
}

export interface SsdAllocatorConfig {
  /** @default 'SSD_SLAB' */
  readonly type?: string | undefined;
  /** Bytes, 4 MiB to 64 TiB: a limit, not reserved ahead. @default none but the device's */
  readonly capacity_bytes?: number | undefined;
  /** Bytes each, 1 to 64 MiB, at most 64 of them. @default classes for every size */
  readonly size_classes?: readonly number[] | undefined;
  /** SSD_BUDDY: bytes, a power of two, 64 to 64 MiB. @default 128 */
  readonly min_block_size?: number | undefined;
  /** SSD_BUDDY: bytes, a power of two, min_block_size to 64 MiB. @default 4096 */
  readonly max_block_size?: number | undefined;
  /** Bytes, a multiple of 4096; accepted for documents of the seed system. @default 0 */
  readonly base_offset_bytes?: number | undefined;
  /** Only with TIERED_VALUE_STORE: the store directory when `path` is absent. */
  readonly path?: string | undefined;
  readonly io?: IoConfig | undefined;
}

export interface ValueConfig {
  /** @default 'SSD_VALUE_STORE' */
  readonly type?: string | undefined;
  /**
   * The store directory when `path` is absent; with DRAM_VALUE_STORE empty or below /dev/shm. With
   * PERSIST_LOOP_SLAB and PERSIST_MEMORY_POOL the directory of the pool file.
   */
  readonly path?: string | undefined;
  /** Bytes, 0 to 64 MiB: what most values measure; 0 is unknown. @default 0 */
  readonly default_value_size_hint?: number | undefined;
  readonly dram_allocator?: DramAllocatorConfig | undefined;
  readonly ssd_allocator?: SsdAllocatorConfig | undefined;
  readonly tiering?: { readonly high_watermark_ratio?: number | undefined } | undefined;
}

/** A configuration document. docs/CONFIG.md describes every field; all of them are optional. */
export interface StoreConfig {
  /** The store directory. */
  readonly path?: string | undefined;
  /** @default 'bytes' */
  readonly key?: { readonly type?: KeyType | undefined } | undefined;
  /** A level alone stands for `{ level }`. @default 'sync' */
  readonly durability?:
    | DurabilityLevel
    | {
        readonly level?: DurabilityLevel | undefined;
        /** 1 to 60000. @default 100 */
        readonly interval_ms?: number | undefined;
      }
    | undefined;
  /** @default false */
  readonly read_only?: boolean | undefined;
  /** @default true, false when read_only */
  readonly create_if_missing?: boolean | undefined;
  /** @default false */
  readonly error_if_exists?: boolean | undefined;
  /** 0 to 600000. @default 1000 */
  readonly lock_timeout_ms?: number | undefined;
  /** @default 'KVEngineComposite' */
  readonly engine_type?: string | undefined;
  /** Keys expected, an estimate. */
  readonly capacity?: number | undefined;
  /** Buckets that DRAM_EXTENDIBLE_HASH begins with, 1 to 2^20; rounded up. @default 1 */
  readonly initial_capacity?: number | undefined;
  readonly index?:
    | {
        /** @default 'DRAM_PET_HASH' */
        readonly type?: string | undefined;
        /** Of SSD_EXTENDIBLE_HASH: bytes of pages in memory, 256 KiB to 1 TiB. @default 64 MiB */
        readonly cache_bytes?: number | undefined;
        readonly path?: string | undefined;
        readonly io?: IoConfig | undefined;
      }
    | undefined;
  readonly value?: ValueConfig | undefined;
  readonly cache?: { readonly capacity_bytes?: number | undefined } | undefined;
  readonly log?:
    | {
        /** Bytes, 1 MiB to 1 TiB. @default 64 MiB */
        readonly capacity_bytes?: number | undefined;
        /** Bytes, 256 KiB to 1 GiB, a multiple of 4096. @default 8 MiB */
        readonly segment_bytes?: number | undefined;
        /** Bytes, 0 to 512 KiB, at most a quarter of a segment. @default 16 KiB */
        readonly inline_value_bytes?: number | undefined;
      }
    | undefined;
  readonly io?: IoConfig | undefined;
}

export interface ResolvedIo {
  readonly type: string;
  readonly queueDepth: number;
  readonly flushEvery: number;
  readonly busyPollUs: number;
  readonly threads: number;
  readonly baseOffsetBytes: number;
}

export interface ResolvedDramAllocator {
  readonly type: string;
  readonly capacityBytes: number;
  /** Ascending; undefined: the allocator's own, for every size. */
  readonly sizeClasses: readonly number[] | undefined;
}

export interface ResolvedSsdAllocator {
  readonly type: string;
  /** undefined: bounded by the device only. */
  readonly capacityBytes: number | undefined;
  /** Ascending; undefined: the allocator's own, for every size. */
  readonly sizeClasses: readonly number[] | undefined;
  readonly minBlockSize: number;
  readonly maxBlockSize: number;
  readonly baseOffsetBytes: number;
}

export interface ResolvedValue {
  readonly type: string;
  /** Directory of the pool file; undefined: values are in the memory of the process. */
  readonly poolPath: string | undefined;
  readonly defaultValueSizeHint: number;
  /** Only where the value store's type uses one, or the document gives one to a custom type. */
  readonly dramAllocator: ResolvedDramAllocator | undefined;
  readonly ssdAllocator: ResolvedSsdAllocator | undefined;
  readonly tiering: { readonly highWatermarkRatio: number };
}

/** Every field has its value; frozen at every level, null prototypes. */
export interface ResolvedConfig {
  /** Absolute. */
  readonly path: string;
  readonly engineType: string;
  /** Keys expected; undefined when the document does not say. */
  readonly capacity: number | undefined;
  /** Of DRAM_EXTENDIBLE_HASH, in buckets; the other types have no use for it. */
  readonly initialCapacity: number;
  readonly key: { readonly type: KeyType };
  readonly durability: { readonly level: DurabilityLevel; readonly intervalMs: number };
  readonly readOnly: boolean;
  readonly createIfMissing: boolean;
  readonly errorIfExists: boolean;
  readonly lockTimeoutMs: number;
  /** The cache is of SSD_EXTENDIBLE_HASH; the other types have no use for it. */
  readonly index: { readonly type: string; readonly cacheBytes: number };
  readonly value: ResolvedValue;
  readonly cache: { readonly capacityBytes: number };
  readonly log: {
    readonly capacityBytes: number;
    readonly segmentBytes: number;
    readonly inlineValueBytes: number;
  };
  readonly io: ResolvedIo;
  /** A private copy of the document as it was given: what was said, as opposed to defaulted. */
  readonly document: ConfigNode;
}

/** An object of a document, copied: null prototype, frozen. */
export interface ConfigNode {
  readonly [key: string]: unknown;
}

/** The name that a resolved configuration holds for a slot; undefined where it uses none. */
export function typeNameOf(config: ResolvedConfig, slot: Slot): string | undefined {
  switch (slot) {
    case 'engine':
      return config.engineType;
    case 'index':
      return config.index.type;
    case 'value':
      return config.value.type;
    case 'dramAllocator':
      return config.value.dramAllocator?.type;
    case 'ssdAllocator':
      return config.value.ssdAllocator?.type;
    case 'io':
      return config.io.type;
  }
}
