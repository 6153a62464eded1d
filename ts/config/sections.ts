import { Section } from './section.js';
import type { Problems } from './document.js';

const IO_KEYS = [
  'type',
  'queue_depth',
  'flush_every',
  'busy_poll_us',
  'threads',
  'base_offset_bytes',
];

/** Top-level fields of the seed system's older generations, with where they went. */
const MOVED: ReadonlyMap<string, string> = new Map([
  ['index_type', 'index.type'],
  ['value_type', 'value.type'],
  ['allocator_type', 'value.dram_allocator.type'],
  ['value_memory_management', 'value.dram_allocator.type'],
  ['io_backend_type', 'io.type'],
  ['queue_depth', 'io.queue_depth'],
  ['value_size', 'value.default_value_size_hint'],
  ['shmcapacity', 'value.dram_allocator.capacity_bytes'],
  ['ssdcapacity', 'value.ssd_allocator.capacity_bytes'],
  ['external_engine_type', 'engine_type'],
  ['file_path', 'path'],
  ['mode', 'value.type'],
  ['value_layout', 'value.type'],
]);

/** Every object of the document, opened once: opening reports its unknown keys. */
export interface Sections {
  readonly root: Section;
  readonly key: Section;
  /** Undefined when the document gives the level alone. */
  readonly durability: Section | undefined;
  readonly index: Section;
  readonly indexIo: Section;
  readonly value: Section;
  readonly dramAllocator: Section;
  readonly ssdAllocator: Section;
  readonly ssdIo: Section;
  readonly tiering: Section;
  readonly cache: Section;
  readonly log: Section;
  readonly io: Section;
}

/** The keys in the order of docs/CONFIG.md, which is the order of the problems. */
export function openSections(document: unknown, problems: Problems): Sections {
  const root = Section.open(
    document,
    '',
    problems,
    [
      'path',
      'key',
      'durability',
      'read_only',
      'create_if_missing',
      'error_if_exists',
      'lock_timeout_ms',
      'engine_type',
      'capacity',
      'initial_capacity',
      'index',
      'value',
      'cache',
      'log',
      'io',
    ],
    MOVED,
  );
  const levelAlone = typeof root.raw('durability') === 'string';
  const index = root.child('index', ['type', 'cache_bytes', 'path', 'io']);
  const value = root.child('value', [
    'type',
    'path',
    'default_value_size_hint',
    'dram_allocator',
    'ssd_allocator',
    'tiering',
  ]);
  const ssdAllocator = value.child('ssd_allocator', [
    'type',
    'capacity_bytes',
    'size_classes',
    'min_block_size',
    'max_block_size',
    'base_offset_bytes',
    'path',
    'io',
  ]);
  const dramKeys = ['type', 'capacity_bytes', 'size_classes', 'path'];
  return {
    root,
    key: root.child('key', ['type']),
    durability: levelAlone ? undefined : root.child('durability', ['level', 'interval_ms']),
    index,
    indexIo: index.child('io', IO_KEYS),
    value,
    dramAllocator: value.child('dram_allocator', dramKeys),
    ssdAllocator,
    ssdIo: ssdAllocator.child('io', IO_KEYS),
    tiering: value.child('tiering', ['high_watermark_ratio']),
    cache: root.child('cache', ['capacity_bytes']),
    log: root.child('log', ['capacity_bytes', 'segment_bytes', 'inline_value_bytes']),
    io: root.child('io', IO_KEYS),
  };
}
