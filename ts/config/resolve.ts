import { CairnError } from '../common/errors.js';
import type { ConfigProblem } from '../common/errors.js';
import { alignDown, MIB, PAGE_BYTES, TIB } from '../common/units.js';
import { copyDocument, isNode, Problems } from './document.js';
import { readMachine } from './machine.js';
import type { Machine } from './machine.js';
import { acceptedNames, ALIASES, BUILTIN_NAMES } from './names.js';
import type { RegisteredNames } from './names.js';
import { resolveIo } from './resolve-io.js';
import { resolveLog } from './resolve-log.js';
import { resolvePath } from './resolve-paths.js';
import { resolveValue } from './resolve-value.js';
import type { IntegerRule } from './section.js';
import { openSections } from './sections.js';
import type { Sections } from './sections.js';
import type { ConfigNode, DurabilityLevel, KeyType, ResolvedConfig, StoreConfig } from './types.js';

/** What a store was created with and cannot change; fills in for what a document leaves out. */
export interface FixedFields {
  readonly keyType: KeyType;
  readonly indexType: string;
  readonly valueType: string;
  /** Of the pool file. */
  readonly valuePath: string | undefined;
  readonly dramAllocatorType: string | undefined;
  readonly dramSizeClasses: readonly number[] | undefined;
  readonly ssdAllocatorType: string | undefined;
  readonly ssdSizeClasses: readonly number[] | undefined;
  readonly minBlockSize: number | undefined;
  readonly maxBlockSize: number | undefined;
  readonly logSegmentBytes: number;
}

/** What the parts of the resolver share beside the document. */
export interface ResolveContext {
  readonly names: RegisteredNames;
  readonly machine: Machine;
  readonly fixed: FixedFields | undefined;
}

export interface ResolveOptions {
  /** @default the built-in ones */
  readonly names?: RegisteredNames | undefined;
  /** @default this machine */
  readonly machine?: Machine | undefined;
}

const LEVELS: readonly DurabilityLevel[] = ['sync', 'interval', 'process', 'none'];
const CACHE_BYTES_MAX = 256 * MIB;
const CACHE_BYTES_MAX_TIERED = 32 * MIB;
const INDEX_CACHE_BYTES_DEFAULT = 64 * MIB;
const indexCacheRule: IntegerRule = { min: MIB / 4, max: TIB, unit: 'bytes' };
const INTERVAL_MS_DEFAULT = 100;
const PROBLEMS_SHOWN = 50;
/** A bucket of a page for each: up to 4 GiB. */
const initialCapacityRule: IntegerRule = { min: 1, max: 2 ** 20, unit: 'buckets' };

/** The error that lists every problem. */
export function invalidConfig(problems: readonly ConfigProblem[]): CairnError {
  const lines = problems.slice(0, PROBLEMS_SHOWN).map((problem) => {
    const where = problem.path === '' ? 'configuration' : problem.path;
    const given = problem.given === 'undefined' ? 'nothing' : problem.given;
    const hint = problem.suggestion === undefined ? '' : `; did you mean ${problem.suggestion}?`;
    return `${where}: ${given} is given, allowed is ${problem.allowed}${hint}`;
  });
  if (problems.length > lines.length) lines.push(`and ${problems.length - lines.length} more`);
  return new CairnError('CAIRN_INVALID_CONFIG', `invalid configuration: ${lines.join('\n  ')}`, {
    operation: 'open',
    problems: Object.freeze(problems.map((problem) => Object.freeze(problem))),
  });
}

/** Frozen at every level, with null prototypes; lists and copied documents are frozen already. */
function frozen<T extends object>(value: T): T {
  const target = Object.create(null) as Record<string, unknown>;
  for (const [key, item] of Object.entries(value)) {
    const open = typeof item === 'object' && item !== null && !Object.isFrozen(item);
    target[key] = open ? frozen(item as object) : item;
  }
  return Object.freeze(target) as T;
}

function resolveDurability({ root, durability }: Sections): ResolvedConfig['durability'] {
  if (durability === undefined) {
    return { level: root.name('durability', LEVELS, 'sync'), intervalMs: INTERVAL_MS_DEFAULT };
  }
  const rule = { min: 1, max: 60_000, unit: 'ms' };
  return {
    level: durability.name('level', LEVELS, 'sync'),
    intervalMs: durability.integer('interval_ms', rule, INTERVAL_MS_DEFAULT),
  };
}

function resolveOpening({ root }: Sections) {
  const readOnly = root.boolean('read_only', false);
  const createIfMissing = root.boolean('create_if_missing', !readOnly);
  const errorIfExists = root.boolean('error_if_exists', false);
  if (readOnly && createIfMissing) root.refuse('create_if_missing', 'false with read_only');
  if (errorIfExists && readOnly) root.refuse('error_if_exists', 'false with read_only');
  else if (errorIfExists && !createIfMissing) {
    root.refuse('error_if_exists', 'false when create_if_missing is false');
  }
  return {
    readOnly,
    createIfMissing,
    errorIfExists,
    lockTimeoutMs: root.integer('lock_timeout_ms', { min: 0, max: 600_000, unit: 'ms' }, 1000),
  };
}

function resolveIndex({ index }: Sections, context: ResolveContext): ResolvedConfig['index'] {
  const names = acceptedNames('index', context.names);
  const otherwise = context.fixed?.indexType ?? 'DRAM_PET_HASH';
  return {
    type: index.name('type', names, otherwise, ALIASES.index),
    cacheBytes: index.integer('cache_bytes', indexCacheRule, INDEX_CACHE_BYTES_DEFAULT),
  };
}

/** Values in memory need no cache of their pages; hot ones there leave little for it. */
function cacheBytesMax(valueType: string): number {
  switch (valueType) {
    case 'DRAM_VALUE_STORE':
      return 0;
    case 'TIERED_VALUE_STORE':
      return CACHE_BYTES_MAX_TIERED;
    default:
      return CACHE_BYTES_MAX;
  }
}

function resolveCacheBytes({ cache }: Sections, valueType: string, machine: Machine): number {
  const share = alignDown(Math.floor(machine.memoryBytes / 16), PAGE_BYTES);
  const otherwise = Math.min(cacheBytesMax(valueType), share);
  return cache.integer('capacity_bytes', { min: 0, max: TIB, unit: 'bytes' }, otherwise);
}

/** Resolves a copied document; `fixed` takes the place of the defaults of what cannot change. */
export function resolveDocument(
  argument: string | undefined,
  document: unknown,
  context: ResolveContext,
  problems: Problems,
): ResolvedConfig {
  const sections = openSections(document, problems);
  const { root, key } = sections;
  const value = resolveValue(sections, context);
  const resolved = frozen<ResolvedConfig>({
    path: resolvePath(argument, sections, value.type),
    engineType: root.name(
      'engine_type',
      acceptedNames('engine', context.names),
      'KVEngineComposite',
      ALIASES.engine,
    ),
    capacity: root.integer('capacity', { min: 1, max: 2 ** 40, unit: 'keys' }, undefined),
    initialCapacity: root.integer('initial_capacity', initialCapacityRule, 1),
    key: { type: key.name<KeyType>('type', ['u64', 'bytes'], context.fixed?.keyType ?? 'bytes') },
    durability: resolveDurability(sections),
    ...resolveOpening(sections),
    index: resolveIndex(sections, context),
    value,
    cache: { capacityBytes: resolveCacheBytes(sections, value.type, context.machine) },
    log: resolveLog(sections.log, context.fixed?.logSegmentBytes, value.type),
    io: resolveIo(sections, context.names),
    document: isNode(document) ? document : (Object.freeze(Object.create(null)) as ConfigNode),
  });
  if (problems.list.length > 0) throw invalidConfig(problems.list);
  return resolved;
}

/**
 * Turns `open`'s arguments into one frozen configuration in which every field has its value. Looks
 * at nothing but the arguments and the machine's memory, and touches no file of the store.
 *
 * @param pathOrConfig the store directory, or a document that names it.
 * @param config a document beside the directory.
 * @throws CairnError CAIRN_INVALID_CONFIG with every problem in `problems`.
 */
export function resolveConfig(
  pathOrConfig: string | StoreConfig,
  config?: StoreConfig,
  options: ResolveOptions = {},
): ResolvedConfig {
  const problems = new Problems();
  const given: unknown = pathOrConfig;
  let argument: string | undefined;
  let document: unknown;
  if (typeof given === 'string') {
    argument = given;
    document = copyDocument(config);
    if (given === '' || given.includes('\0')) {
      problems.add('path', given, 'the directory of the store: a string without NUL characters');
    }
  } else {
    document = copyDocument(given);
    if (given === undefined) problems.add('', given, 'a path, or an object with one');
    if (config !== undefined) {
      problems.add('', copyDocument(config), 'nothing after a first argument that is no path');
    }
  }
  const context: ResolveContext = {
    names: options.names ?? BUILTIN_NAMES,
    machine: options.machine ?? readMachine(),
    fixed: undefined,
  };
  return resolveDocument(argument, document, context, problems);
}
