import { ALIASES, BUILTIN_NAMES, LATER_NAMES, SLOTS } from '../../../ts/config/names.js';
import { resolveConfig } from '../../../ts/config/resolve.js';
import { toStoredJson } from '../../../ts/config/stored.js';
import { readStoredOrRefuse, resolveOrRefuse } from './config-properties.js';
import type { FuzzTarget } from './fuzz-target.js';

const io = { type: 'IOURING', queue_depth: 512, flush_every: 4, base_offset_bytes: 4096 };
const memory = {
  index: { type: 'DRAM_PET_HASH' },
  value: {
    type: 'DRAM_VALUE_STORE',
    default_value_size_hint: 512,
    path: '/dev/shm/a',
    dram_allocator: { type: 'PERSIST_LOOP_SLAB', capacity_bytes: 512000000 },
  },
};
const blocks = {
  index: { type: 'DRAM_EXTENDIBLE_HASH' },
  initial_capacity: 16,
  value: {
    type: 'SSD_VALUE_STORE',
    path: '/data/values',
    ssd_allocator: { type: 'SSD_BUDDY', min_block_size: 128, max_block_size: 65536, io },
  },
};
const tiered = {
  key: { type: 'u64' },
  index: { type: 'SSD_EXTENDIBLE_HASH', cache_bytes: 1048576 },
  value: {
    type: 'TIERED_VALUE_STORE',
    dram_allocator: { type: 'CONCURRENT_SLAB_MEMORY_POOL', size_classes: [64, 128, 4096] },
    ssd_allocator: { type: 'SSD_SLAB', size_classes: [128, 256], capacity_bytes: 2 ** 40 },
    tiering: { high_watermark_ratio: 0.85 },
  },
};
const rest = {
  durability: { level: 'interval', interval_ms: 50 },
  read_only: false,
  create_if_missing: true,
  error_if_exists: true,
  lock_timeout_ms: 10,
  engine_type: 'KVEngineComposite',
  capacity: 1000000,
  cache: { capacity_bytes: 0 },
  log: { capacity_bytes: 67108864, segment_bytes: 1048576, inline_value_bytes: 0 },
  io: { type: 'POSIX', threads: 8, busy_poll_us: 100 },
};
const DOCUMENTS: readonly object[] = [{}, memory, blocks, tiered, rest];
const stored = (document: object): string =>
  toStoredJson(resolveConfig('/s', document, { machine: { memoryBytes: 2 ** 34 } }));
const TEXTS = [
  '/data/store',
  ...DOCUMENTS.map((document) => JSON.stringify({ path: '/s', ...document })),
  ...DOCUMENTS.map(stored),
  '{"__proto__":{"read_only":true},"constructor":{"prototype":{"path":"/s"}},"toString":1}',
  '{"durability":"none","index":[{"type":"SSD"}],"value":{"typ":"SSD_SLAB"},"io":null}',
  `${'{"io":'.repeat(9)}1${'}'.repeat(9)}`,
  '"\\u0000"',
  `{"value":{"ssd_allocator":{"size_classes":[${Array.from({ length: 65 }, (_, at) => at).join()}]}}}`,
];

/** The names of all fields in the documents, and the words that are their values. */
function wordsIn(value: unknown): string[] {
  if (typeof value === 'string') return [`"${value}"`];
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value)) return value.flatMap(wordsIn);
  return Object.entries(value).flatMap(([key, item]) => [`"${key}":`, ...wordsIn(item)]);
}
const names = SLOTS.flatMap((slot) => [
  ...BUILTIN_NAMES[slot],
  ...LATER_NAMES[slot].keys(),
  ...ALIASES[slot].keys(),
]);

const configDocument: FuzzTarget = {
  name: 'config_document',
  words: [
    ...new Set([
      ...[...DOCUMENTS, ...DOCUMENTS.map((each) => JSON.parse(stored(each)) as object)].flatMap(
        wordsIn,
      ),
      ...[...names, 'sync', 'process', 'none', 'bytes', '/dev/shm/', '..'].map((it) => `"${it}"`),
      ...['"__proto__":', '"constructor":', '"prototype":', '"path":', 'null', 'true', '[]', '{}'],
      ...['4096', '1048576', '1099511627776', '9007199254740993', '1e308', '-0', '0.5', '\\u0000'],
    ]),
  ],
  run(input) {
    const text = input.toString('utf8');
    resolveOrRefuse(text, undefined);
    readStoredOrRefuse(text);
    let document: unknown;
    try {
      document = JSON.parse(text);
    } catch {
      return;
    }
    resolveOrRefuse('/s', document);
    resolveOrRefuse(document, undefined);
  },
  seeds: () => TEXTS.map((text) => Buffer.from(text, 'utf8')),
};

export const CONFIG_TARGETS = [configDocument] as const;
