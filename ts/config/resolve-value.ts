import { resolve as absolutePath } from 'node:path';
import { alignDown, MIB, PAGE_BYTES, TIB } from '../common/units.js';
import { acceptedNames, ALIASES, CLASSLESS_ALLOCATORS, POOL_ALLOCATORS } from './names.js';
import type { ResolveContext } from './resolve.js';
import type { IntegerRule, Section } from './section.js';
import type { Sections } from './sections.js';
import type { ResolvedDramAllocator, ResolvedSsdAllocator, ResolvedValue } from './types.js';

// A handle counts 64 B units in 40 bits (native/alloc/allocator.h), which ends at 64 TiB.
const CAPACITY_MAX = 64 * TIB;
export const VALUE_BYTES_MAX = 64 * MIB;
export const SIZE_CLASSES_MAX = 64;
const sizeClassRule: IntegerRule = { min: 1, max: VALUE_BYTES_MAX, unit: 'bytes' };
const blockRule: IntegerRule = { min: 64, max: VALUE_BYTES_MAX, unit: 'bytes', powerOfTwo: true };

/** The classes of a document that asks for SSD_SLAB by name: the seed system's. */
export const SEED_SIZE_CLASSES: readonly number[] = Object.freeze([128, 256, 512, 1024, 4096]);

/** Which allocators a value store's type takes; undefined: a custom type decides by itself. */
export function allocatorsOf(valueType: string): { dram: boolean; ssd: boolean } | undefined {
  switch (valueType) {
    case 'DRAM_VALUE_STORE':
      return { dram: true, ssd: false };
    case 'SSD_VALUE_STORE':
      return { dram: false, ssd: true };
    case 'TIERED_VALUE_STORE':
      return { dram: true, ssd: true };
    default:
      return undefined;
  }
}

/** Is the section there for this type? Refuses it when the type cannot use it. */
function uses(parent: Section, key: string, used: boolean | undefined, type: string): boolean {
  if (used === undefined) return parent.has(key);
  if (!used && parent.has(key)) parent.refuse(key, `absent with ${type}`);
  return used;
}

function resolveDram(section: Section, context: ResolveContext): ResolvedDramAllocator {
  const { names, machine, fixed } = context;
  const type = section.name(
    'type',
    acceptedNames('dramAllocator', names),
    fixed?.dramAllocatorType ?? 'CONCURRENT_SLAB_MEMORY_POOL',
    ALIASES.dramAllocator,
  );
  const given = section.integerList('size_classes', sizeClassRule, SIZE_CLASSES_MAX);
  if (given !== undefined && CLASSLESS_ALLOCATORS.has(type)) {
    section.refuse('size_classes', `absent with ${type}, which fits every size by itself`);
  }
  // A quarter is left to the index, the log's buffers and the program itself.
  const capacity = Math.max(MIB, alignDown(Math.floor(machine.memoryBytes * 0.75), PAGE_BYTES));
  return {
    type,
    capacityBytes: section.integer(
      'capacity_bytes',
      { min: MIB, max: CAPACITY_MAX, unit: 'bytes' },
      Math.min(capacity, CAPACITY_MAX),
    ),
    sizeClasses: given ?? fixed?.dramSizeClasses,
  };
}

function resolveBlockSizes(section: Section, context: ResolveContext): [number, number] {
  const { fixed } = context;
  const min = section.integer('min_block_size', blockRule, fixed?.minBlockSize ?? 128);
  const max = section.integer(
    'max_block_size',
    blockRule,
    fixed?.maxBlockSize ?? Math.max(4096, min),
  );
  if (max < min) section.refuse('max_block_size', `at least min_block_size, which is ${min}`);
  return [min, max];
}

function resolveSsd(section: Section, context: ResolveContext): ResolvedSsdAllocator {
  const { names, fixed } = context;
  const type = section.name(
    'type',
    acceptedNames('ssdAllocator', names),
    fixed?.ssdAllocatorType ?? 'SSD_SLAB',
    ALIASES.ssdAllocator,
  );
  const given = section.integerList('size_classes', sizeClassRule, SIZE_CLASSES_MAX);
  if (given !== undefined && CLASSLESS_ALLOCATORS.has(type)) {
    section.refuse('size_classes', `absent with ${type}, which fits every size by itself`);
  }
  // Only a document that names SSD_SLAB gets the seed's classes: left alone, any value must fit.
  const seedClasses = section.raw('type') === 'SSD_SLAB' ? SEED_SIZE_CLASSES : undefined;
  const [minBlockSize, maxBlockSize] = resolveBlockSizes(section, context);
  return {
    type,
    capacityBytes: section.integer(
      'capacity_bytes',
      { min: 4 * MIB, max: CAPACITY_MAX, unit: 'bytes' },
      undefined,
    ),
    sizeClasses: given ?? (fixed === undefined ? seedClasses : fixed.ssdSizeClasses),
    minBlockSize,
    maxBlockSize,
    baseOffsetBytes: section.integer(
      'base_offset_bytes',
      { min: 0, max: CAPACITY_MAX, unit: 'bytes', multipleOf: PAGE_BYTES },
      0,
    ),
  };
}

/** The directory of the pool file; resolve-paths.ts sees to it that it is below /dev/shm. */
function poolPath(
  value: Section,
  allocatorType: string | undefined,
  context: ResolveContext,
): string | undefined {
  if (allocatorType === undefined || !POOL_ALLOCATORS.has(allocatorType)) return undefined;
  const given = value.raw('path');
  if (given === undefined) return context.fixed?.valuePath;
  return typeof given === 'string' && given !== '' ? absolutePath(given) : undefined;
}

export function resolveValue(sections: Sections, context: ResolveContext): ResolvedValue {
  const { value, dramAllocator, ssdAllocator, tiering } = sections;
  const type = value.name(
    'type',
    acceptedNames('value', context.names),
    context.fixed?.valueType ?? 'SSD_VALUE_STORE',
    ALIASES.value,
  );
  const { fixed } = context;
  const used = allocatorsOf(type);
  // A type that decides by itself has what it was made with.
  const usesDram = used?.dram ?? (fixed?.dramAllocatorType !== undefined || undefined);
  const usesSsd = used?.ssd ?? (fixed?.ssdAllocatorType !== undefined || undefined);
  const dram = uses(value, 'dram_allocator', usesDram, type)
    ? resolveDram(dramAllocator, context)
    : undefined;
  return {
    type,
    poolPath: type === 'DRAM_VALUE_STORE' ? poolPath(value, dram?.type, context) : undefined,
    defaultValueSizeHint: value.integer(
      'default_value_size_hint',
      { min: 0, max: VALUE_BYTES_MAX, unit: 'bytes' },
      0,
    ),
    dramAllocator: dram,
    ssdAllocator: uses(value, 'ssd_allocator', usesSsd, type)
      ? resolveSsd(ssdAllocator, context)
      : undefined,
    tiering: { highWatermarkRatio: tiering.ratio('high_watermark_ratio', 0.85) },
  };
}
