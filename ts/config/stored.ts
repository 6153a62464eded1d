import { CairnError } from '../common/errors.js';
import type { ConfigProblem } from '../common/errors.js';
import { Problems } from './document.js';
import { readMachine } from './machine.js';
import { BUILTIN_NAMES } from './names.js';
import { resolveDocument } from './resolve.js';
import type { FixedFields, ResolveOptions } from './resolve.js';
import type { ConfigNode, ResolvedConfig } from './types.js';

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

function numberAt(parent: ConfigNode | undefined, key: string): number | undefined {
  const value = parent?.[key];
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

function numbersAt(parent: ConfigNode | undefined, key: string): readonly number[] | undefined {
  const value = parent?.[key];
  if (!Array.isArray(value) || !value.every(Number.isSafeInteger)) return undefined;
  return Object.freeze([...(value as number[])]);
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
  const logSegmentBytes = numberAt(objectAt(root, 'log'), 'segment_bytes');
  if (keyType !== 'u64' && keyType !== 'bytes') throw unreadable('key.type');
  if (indexType === undefined) throw unreadable('index.type');
  if (valueType === undefined) throw unreadable('value.type');
  if (logSegmentBytes === undefined) throw unreadable('log.segment_bytes');
  return {
    keyType,
    indexType,
    valueType,
    valuePath: stringAt(value, 'path'),
    dramAllocatorType: stringAt(dram, 'type'),
    dramSizeClasses: numbersAt(dram, 'size_classes'),
    ssdAllocatorType: stringAt(ssd, 'type'),
    ssdSizeClasses: numbersAt(ssd, 'size_classes'),
    minBlockSize: numberAt(ssd, 'min_block_size'),
    maxBlockSize: numberAt(ssd, 'max_block_size'),
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
