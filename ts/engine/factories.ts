import type { FileSet } from '../bindings/file-set.js';
import type { OnDamage } from '../common/errors.js';
import type { Machine } from '../config/machine.js';
import type { ResolvedConfig } from '../config/types.js';
import type { Index } from '../index/index.js';
import type { ValueStore } from '../value-store/value-store.js';
import type { Store } from './api.js';
import type { StoreParts } from './parts.js';
import type { RecoveryReport } from './recovery.js';

export type { FileSet, RecoveryReport, StoreParts };

export interface IndexContext {
  readonly config: ResolvedConfig;
  readonly fileSet: FileSet;
  /** 16 secret bytes of the store, for hashes that nobody else can predict. */
  readonly hashKey: Uint8Array;
  /** 16 bytes that checksums are bound to. */
  readonly storeId: Uint8Array;
  readonly tuning: Tuning;
  /** Values survive the process where they are, so that an index may as well. */
  readonly valuesPersist: boolean;
}

export interface ValueStoreContext {
  readonly config: ResolvedConfig;
  readonly fileSet: FileSet;
  /** 16 bytes that checksums are bound to. */
  readonly storeId: Uint8Array;
  /** It was open before: whatever it makes when it is made is there, and durable. */
  readonly used: boolean;
  readonly tuning: Tuning;
  /** Of the allocator that the configuration names. */
  readonly slots: SlotPlan;
  /** Of `value.dram_allocator`, where the configuration has an allocator for the device as well. */
  readonly memorySlots?: SlotPlan | undefined;
}

/** What an allocator of the addon is made from. */
export interface SlotPlan {
  /** Payload sizes in bytes, ascending; undefined: classes for every size. */
  readonly sizeClasses: readonly number[] | undefined;
  /** Limit on what the slots take; 0: none. */
  readonly capacityBytes: number;
  /** Of the addon's allocators; undefined: CONCURRENT_SLAB_MEMORY_POOL in memory, SSD_SLAB in a file. */
  readonly allocator?: string | undefined;
  /** SSD_BUDDY: the smallest block, in bytes. */
  readonly blockBytes?: number | undefined;
}

/** Sizes that are no business of the configuration; tests on small disks make them small. */
export interface Tuning {
  /** Cells that go to the device in one write. */
  readonly runBytes: number;
  /** Placed and not yet written. */
  readonly dirtyBytesMax: number;
  /** Space reserved ahead of need in one step. */
  readonly reserveBytesMax: number;
  readonly logSegmentBytes?: number;
  readonly logCapacityBytes?: number;
  readonly logGroupBytes?: number;
  readonly cacheBytes?: number;
  readonly compaction?: CompactionTuning;
  /** @default asked for at every open, of files of the kernel */
  readonly machine?: Machine;
  readonly indexPages?: IndexPagesTuning;
  /** Of a store that is made. @default random */
  readonly identity?: Identity;
  /**
   * Opens what is left of a damaged store, read-only: called for each thing that does not check and
   * would be refused otherwise.
   */
  readonly onDamage?: OnDamage;
}

/** 16 bytes each. */
export interface Identity {
  readonly storeId: Uint8Array;
  /** Of the keyed hash that places keys. */
  readonly hashKey: Uint8Array;
}

/** Of SSD_EXTENDIBLE_HASH. */
export interface IndexPagesTuning {
  readonly cachePages: number;
  /** A page with more entries splits. */
  readonly entriesMax: number;
}

export interface CompactionTuning {
  /** Garbage that a store of any size may have. */
  readonly slackBytes: number;
  /** Records that are read, placed and synced together. */
  readonly lotBytes: number;
}

/** The constructors that a registry holds, per slot of the configuration. */
export interface Factories {
  readonly engine: (parts: StoreParts, recovery: RecoveryReport) => Store;
  readonly index: (context: IndexContext) => Index;
  readonly value: (context: ValueStoreContext) => Promise<ValueStore> | ValueStore;
  readonly dramAllocator: (config: ResolvedConfig) => SlotPlan;
  readonly ssdAllocator: (config: ResolvedConfig) => SlotPlan;
  /** Opens the files of the store, its lock held. */
  readonly io: (config: ResolvedConfig) => Promise<FileSet>;
}
