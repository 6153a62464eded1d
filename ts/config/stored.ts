import { CairnError } from '../common/errors.js';
import type { ConfigProblem } from '../common/errors.js';
import { GIB, PAGE_BYTES } from '../common/units.js';
import { Problems } from './document.js';
import { readMachine } from './machine.js';
import { BUILTIN_NAMES } from './names.js';
import { resolveDocument } from './resolve.js';
import type { FixedFields, ResolveOptions } from './resolve.js';
import { isInSharedMemory } from './resolve-paths.js';
import { SIZE_CLASSES_MAX, VALUE_BYTES_MAX } from './resolve-value.js';
import type { ConfigNode, ResolvedConfig, StoreConfig } from './types.js';

// The version of the text below, on disk in the manifest: a change of meaning gets a new one.
const STORED_VERSION = 1;

/** The configuration as the manifest keeps it: JSON in the document's spelling, without the path. */
export function toStoredJson(config: ResolvedConfig): string {
  const { value, log, io } = config;
  const dram = value.dramAllocator;
  const ssd = value.ssdAllocator;
  return JSON.stringify({
    version: STORED_VERSION,
    engine_type: config.engineType,
    capacity: config.capacity,
    key: { type: config.key.type },
    durability: { level: config.durability.level, interval_ms: config.durability.intervalMs },
    index: { type: config.index.type },
    value: {
      type: value.type,
      path: value.poolPath,
      default_value_size_hint: value.defaultValueSizeHint,
      dram_allocator: dram && {
        type: dram.type,
        capacity_bytes: dram.capacityBytes,
        size_classes: dram.sizeClasses,
      },
      ssd_allocator: ssd && {
        type: ssd.type,
        capacity_bytes: ssd.capacityBytes,
        size_classes: ssd.sizeClasses,
        min_block_size: ssd.minBlockSize,
        max_block_size: ssd.maxBlockSize,
        base_offset_bytes: ssd.baseOffsetBytes,
      },
    },
    cache: { capacity_bytes: config.cache.capacityBytes },
    log: {
      capacity_bytes: log.capacityBytes,
      segment_bytes: log.segmentBytes,
      inline_value_bytes: log.inlineValueBytes,
    },
    io: { type: io.type, queue_depth: io.queueDepth },
  });
}

/**
 * A document that makes another store of the same types and sizes; where it lies, and what the
 * host decides, is left out.
 */
export function documentOf({
  key,
  index,
  value,
  log,
  initialCapacity,
}: ResolvedConfig): StoreConfig {
  const { dramAllocator: dram, ssdAllocator: ssd } = value;
  const classes = (list: readonly number[] | undefined): { size_classes?: readonly number[] } =>
    list === undefined ? {} : { size_classes: list };
  return {
    key: { type: key.type },
    index: { type: index.type },
    initial_capacity: initialCapacity,
    value: {
      type: value.type,
      path: value.poolPath,
      dram_allocator: dram && {
        ...{ type: dram.type, capacity_bytes: dram.capacityBytes },
        ...classes(dram.sizeClasses),
      },
      // SSD_SLAB by name has the seed system's classes: without a name it has those for every size.
      ssd_allocator:
        ssd === undefined || (ssd.type === 'SSD_SLAB' && ssd.sizeClasses === undefined)
          ? undefined
          : {
              ...{ type: ssd.type, capacity_bytes: ssd.capacityBytes },
              ...{ min_block_size: ssd.minBlockSize, max_block_size: ssd.maxBlockSize },
              ...classes(ssd.sizeClasses),
            },
    },
    log: { segment_bytes: log.segmentBytes, capacity_bytes: log.capacityBytes },
  };
}

function unreadable(what: string, cause?: unknown): CairnError {
  return new CairnError('CAIRN_INCOMPATIBLE', `the stored configuration cannot be read: ${what}`, {
    operation: 'open',
    file: 'MANIFEST',
    cause,
  });
}

function objectAt(parent: unknown, key: string): ConfigNode | undefined {
  const value = typeof parent === 'object' && parent !== null ? (parent as ConfigNode)[key] : null;
  return typeof value === 'object' && value !== null ? (value as ConfigNode) : undefined;
}

function stringAt(parent: ConfigNode | undefined, key: string): string | undefined {
  const value = parent?.[key];
  return typeof value === 'string' ? value : undefined;
}

/** What was written is checked as what is given: whoever made the file may have written anything. */
interface Range {
  readonly min: number;
  readonly max: number;
  readonly isAllowed?: (value: number) => boolean;
}
const SEGMENT_BYTES: Range = {
  min: 4 * PAGE_BYTES,
  max: GIB,
  isAllowed: (value) => value % PAGE_BYTES === 0,
};
const BLOCK_BYTES: Range = {
  min: 64,
  max: VALUE_BYTES_MAX,
  isAllowed: (value) => (value & (value - 1)) === 0,
};
const CLASS_BYTES: Range = { min: 1, max: VALUE_BYTES_MAX };

function isIn(value: unknown, { min, max, isAllowed }: Range): value is number {
  return (
    Number.isSafeInteger(value) &&
    (value as number) >= min &&
    (value as number) <= max &&
    (isAllowed?.(value as number) ?? true)
  );
}

function numberAt(parent: ConfigNode | undefined, key: string, range: Range): number | undefined {
  const value = parent?.[key];
  if (value === undefined) return undefined;
  if (!isIn(value, range)) throw unreadable(key);
  return value;
}

function classesAt(parent: ConfigNode | undefined): readonly number[] | undefined {
  const classes = parent?.['size_classes'];
  if (classes === undefined) return undefined;
  const isList = Array.isArray(classes) && classes.length > 0 && classes.length <= SIZE_CLASSES_MAX;
  if (!isList) throw unreadable('size_classes');
  const list = classes.map((value: unknown, at) => {
    const isAbove = at === 0 || (value as number) > (classes[at - 1] as number);
    if (!isIn(value, CLASS_BYTES) || !isAbove) throw unreadable('size_classes');
    return value;
  });
  return Object.freeze(list);
}

/** Directories are made there. */
function poolPathAt(value: ConfigNode | undefined): string | undefined {
  const path = stringAt(value, 'path');
  if (path !== undefined && !isInSharedMemory(path)) throw unreadable('value.path');
  return path;
}

/** Reads what cannot change; other fields are there for people who look at a manifest. */
function parseStored(json: string): FixedFields {
  let stored: unknown;
  try {
    stored = JSON.parse(json);
  } catch (cause) {
    throw unreadable('it is no JSON', cause);
  }
  const root = objectAt({ stored }, 'stored');
  if (root?.['version'] !== STORED_VERSION) {
    throw unreadable(`version ${STORED_VERSION} is known, ${String(root?.['version'])} is there`);
  }
  const value = objectAt(root, 'value');
  const dram = objectAt(value, 'dram_allocator');
  const ssd = objectAt(value, 'ssd_allocator');
  const keyType = stringAt(objectAt(root, 'key'), 'type');
  const indexType = stringAt(objectAt(root, 'index'), 'type');
  const valueType = stringAt(value, 'type');
  const logSegmentBytes = numberAt(objectAt(root, 'log'), 'segment_bytes', SEGMENT_BYTES);
  if (keyType !== 'u64' && keyType !== 'bytes') throw unreadable('key.type');
  if (indexType === undefined) throw unreadable('index.type');
  if (valueType === undefined) throw unreadable('value.type');
  if (logSegmentBytes === undefined) throw unreadable('log.segment_bytes');
  return {
    keyType,
    indexType,
    valueType,
    valuePath: poolPathAt(value),
    dramAllocatorType: stringAt(dram, 'type'),
    dramSizeClasses: classesAt(dram),
    ssdAllocatorType: stringAt(ssd, 'type'),
    ssdSizeClasses: classesAt(ssd),
    minBlockSize: numberAt(ssd, 'min_block_size', BLOCK_BYTES),
    maxBlockSize: numberAt(ssd, 'max_block_size', BLOCK_BYTES),
    logSegmentBytes,
  };
}

/** A field that cannot change: where the document says it, what it resolved to, what is stored. */
type Comparison = readonly [path: string, asked: unknown, stored: unknown];

function comparisons(config: ResolvedConfig, fixed: FixedFields): readonly Comparison[] {
  const dram = config.value.dramAllocator;
  const ssd = config.value.ssdAllocator;
  const usesBlocks = fixed.ssdAllocatorType === 'SSD_BUDDY';
  const rows: readonly (Comparison | false)[] = [
    ['key.type', config.key.type, fixed.keyType],
    ['index.type', config.index.type, fixed.indexType],
    ['value.type', config.value.type, fixed.valueType],
    ['value.dram_allocator.type', dram?.type, fixed.dramAllocatorType],
    ['value.dram_allocator.size_classes', dram?.sizeClasses, fixed.dramSizeClasses],
    ['value.ssd_allocator.type', ssd?.type, fixed.ssdAllocatorType],
    ['value.ssd_allocator.size_classes', ssd?.sizeClasses, fixed.ssdSizeClasses],
    usesBlocks && ['value.ssd_allocator.min_block_size', ssd?.minBlockSize, fixed.minBlockSize],
    usesBlocks && ['value.ssd_allocator.max_block_size', ssd?.maxBlockSize, fixed.maxBlockSize],
    ['log.segment_bytes', config.log.segmentBytes, fixed.logSegmentBytes],
  ];
  return rows.filter((row) => row !== false);
}

function isGiven(document: ConfigNode, path: string): boolean {
  let current: unknown = document;
  for (const key of path.split('.')) {
    if (typeof current !== 'object' || current === null) return false;
    current = (current as ConfigNode)[key];
  }
  return current !== undefined;
}

function show(value: unknown): string {
  return value === undefined ? 'the default for every size' : JSON.stringify(value);
}

/**
 * Checks a resolved configuration against the store that is there. What the document says and what
 * cannot change must agree; what it leaves out is taken from the store, so that `open(path)` alone
 * opens every store.
 *
 * @param storedJson as {@link toStoredJson} wrote it when the store was created.
 * @returns the configuration to use.
 * @throws CairnError CAIRN_INCOMPATIBLE that names each field and both values (`problems` too);
 *   CAIRN_INVALID_CONFIG when the rest of the document does not fit the stored types.
 */
export function compareWithStored(
  config: ResolvedConfig,
  storedJson: string,
  options: ResolveOptions = {},
): ResolvedConfig {
  const fixed = parseStored(storedJson);
  const differing: ConfigProblem[] = comparisons(config, fixed)
    .filter(([path]) => isGiven(config.document, path))
    .filter(([, asked, stored]) => show(asked) !== show(stored))
    .map(([path, asked, stored]) => ({ path, given: show(asked), allowed: show(stored) }));
  if (differing.length > 0) {
    const lines = differing.map(
      ({ path, given, allowed }) => `${path}: the store was created with ${allowed}, not ${given}`,
    );
    throw new CairnError('CAIRN_INCOMPATIBLE', `${config.path}: ${lines.join('; ')}`, {
      operation: 'open',
      file: config.path,
      problems: Object.freeze(differing),
    });
  }
  const context = {
    names: options.names ?? BUILTIN_NAMES,
    machine: options.machine ?? readMachine(),
    fixed,
  };
  // The first pass settled the path, also where the document names it by another field.
  return resolveDocument(config.path, config.document, context, new Problems());
}
