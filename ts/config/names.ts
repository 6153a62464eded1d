/** What a configuration names a type for; each slot of the registry holds the factories of one. */
export type Slot = 'engine' | 'index' | 'value' | 'dramAllocator' | 'ssdAllocator' | 'io';

export const SLOTS: readonly Slot[] = [
  'engine',
  'index',
  'value',
  'dramAllocator',
  'ssdAllocator',
  'io',
];

/** The names that factories are registered under, per slot; what third parties added included. */
export type RegisteredNames = Readonly<Record<Slot, readonly string[]>>;

export const BUILTIN_NAMES: RegisteredNames = {
  engine: ['KVEngineComposite'],
  index: ['DRAM_PET_HASH', 'DRAM_EXTENDIBLE_HASH', 'DRAM_UNORDERED_MAP', 'SSD_EXTENDIBLE_HASH'],
  value: ['DRAM_VALUE_STORE', 'SSD_VALUE_STORE', 'TIERED_VALUE_STORE'],
  dramAllocator: [
    'CONCURRENT_SLAB_MEMORY_POOL',
    'PERSIST_LOOP_SLAB',
    'R2_SLAB',
    'PERSIST_MEMORY_POOL',
  ],
  ssdAllocator: ['SSD_SLAB', 'SSD_BUDDY'],
  io: ['IOURING', 'POSIX'],
};

/**
 * Names that the configuration knows and no factory answers to yet, with what to use instead. A
 * document with one of them is well-formed; looking the factory up says CAIRN_UNSUPPORTED.
 */
export const LATER_NAMES: Readonly<Record<Slot, ReadonlyMap<string, string>>> = {
  engine: new Map(),
  index: new Map(),
  value: new Map(),
  dramAllocator: new Map(),
  ssdAllocator: new Map(),
  io: new Map([
    ['SPDK', 'IOURING: SPDK drives a device that has no file system, and stores are files so far'],
  ]),
};

/** Other spellings of the seed system; the resolved configuration holds the name they stand for. */
export const ALIASES: Readonly<Record<Slot, ReadonlyMap<string, string>>> = {
  engine: new Map(),
  index: new Map([
    ['DRAM', 'DRAM_EXTENDIBLE_HASH'],
    ['SSD', 'SSD_EXTENDIBLE_HASH'],
  ]),
  value: new Map(),
  dramAllocator: new Map([
    ['PersistLoopShmMalloc', 'PERSIST_LOOP_SLAB'],
    ['PERSIST_LOOP_SHM_MALLOC', 'PERSIST_LOOP_SLAB'],
    ['R2ShmMalloc', 'R2_SLAB'],
    ['R2_SHM_MALLOC', 'R2_SLAB'],
    ['CONCURRENT_SLAB', 'CONCURRENT_SLAB_MEMORY_POOL'],
  ]),
  ssdAllocator: new Map(),
  io: new Map(),
};

/** Those whose slots lie in a file when `value.path` names a directory for it. */
export const POOL_ALLOCATORS: ReadonlySet<string> = new Set([
  'PERSIST_LOOP_SLAB',
  'PERSIST_MEMORY_POOL',
]);

/** Those that have no classes to choose. */
export const CLASSLESS_ALLOCATORS: ReadonlySet<string> = new Set([
  'PERSIST_LOOP_SLAB',
  'R2_SLAB',
  'SSD_BUDDY',
]);

/** Where a slot's name stands in the document, for messages. */
export const SLOT_FIELDS: Readonly<Record<Slot, string>> = {
  engine: 'engine_type',
  index: 'index.type',
  value: 'value.type',
  dramAllocator: 'value.dram_allocator.type',
  ssdAllocator: 'value.ssd_allocator.type',
  io: 'io.type',
};

/** Every name a document may hold in that slot, aliases left out, without repetition. */
export function acceptedNames(slot: Slot, registered: RegisteredNames): string[] {
  return [...new Set([...registered[slot], ...LATER_NAMES[slot].keys()])];
}
