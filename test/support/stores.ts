import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open, type Store, type StoreConfig } from '../../ts/index.js';

interface Combination {
  readonly name: string;
  readonly config: StoreConfig;
}

const WITH_DEFAULT_INDEX: readonly Combination[] = (['IOURING', 'POSIX'] as const).flatMap((io) =>
  (['SSD_VALUE_STORE', 'DRAM_VALUE_STORE'] as const).flatMap((value) =>
    (['bytes', 'u64'] as const).map((key) => ({
      name: `${value} on ${io} with ${key} keys`,
      config: { key: { type: key }, value: { type: value }, io: { type: io } },
    })),
  ),
);

/** Either value store and either kind of keys once; `npm run test:matrix` has all of them. */
const WITH_OTHER_INDEX: readonly Combination[] = [
  'DRAM_EXTENDIBLE_HASH',
  'DRAM_UNORDERED_MAP',
  'SSD_EXTENDIBLE_HASH',
].flatMap((index) =>
  WITH_DEFAULT_INDEX.filter(
    ({ config: { key, value, io } }) =>
      io?.type === 'IOURING' && (key?.type === 'u64') === (value?.type === 'DRAM_VALUE_STORE'),
  ).map(({ name, config }) => ({
    name: `${index}, ${name}`,
    config: { ...config, index: { type: index } },
  })),
);

const WITH_OTHER_ALLOCATOR: readonly Combination[] = [
  'PERSIST_LOOP_SLAB',
  'R2_SLAB',
  'PERSIST_MEMORY_POOL',
].map((type, at) => ({
  name: `DRAM_VALUE_STORE with ${type}`,
  config: {
    key: { type: at % 2 === 0 ? 'bytes' : 'u64' },
    value: { type: 'DRAM_VALUE_STORE', dram_allocator: { type } },
  },
}));

/** Both media, in the same number of stores: memory for all of it, and for some. */
const TIERED: readonly Combination[] = [
  { key: 'bytes', index: 'DRAM_PET_HASH', type: 'CONCURRENT_SLAB_MEMORY_POOL', mib: 64 },
  { key: 'u64', index: 'DRAM_EXTENDIBLE_HASH', type: 'R2_SLAB', mib: 2 },
].map(({ key, index, type, mib }) => ({
  name: `TIERED_VALUE_STORE with ${mib} MiB of ${type} and ${key} keys`,
  config: {
    key: { type: key as 'bytes' | 'u64' },
    index: { type: index },
    value: {
      type: 'TIERED_VALUE_STORE',
      dram_allocator: { type, capacity_bytes: mib * 2 ** 20 },
      tiering: { high_watermark_ratio: 0.5 },
    },
    cache: { capacity_bytes: 0 },
  },
}));

const WITH_BUDDY: readonly Combination[] = (['bytes', 'u64'] as const).map((key) => ({
  name: `SSD_VALUE_STORE with SSD_BUDDY and ${key} keys`,
  config: { key: { type: key }, value: { ssd_allocator: { type: 'SSD_BUDDY' } } },
}));

/** What suites run that every combination passes. */
export const COMBINATIONS: readonly Combination[] = [
  ...WITH_DEFAULT_INDEX,
  ...WITH_OTHER_INDEX,
  ...WITH_OTHER_ALLOCATOR,
  ...TIERED,
  ...WITH_BUDDY,
];

/** A directory that is removed after the test. */
export async function withDirectory<T>(use: (path: string) => Promise<T>): Promise<T> {
  const path = await mkdtemp(join(tmpdir(), 'cairn-test-'));
  try {
    return await use(path);
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

export type OpenStore = (path: string, config?: StoreConfig) => Promise<Store>;

/** A store in a directory of its own, closed and removed after the test. */
export function withStore<T>(
  config: StoreConfig,
  use: (store: Store, path: string) => Promise<T>,
  openStore: OpenStore = open,
): Promise<T> {
  return withDirectory(async (directory) => {
    const path = join(directory, 'store');
    const store = await openStore(path, config);
    try {
      return await use(store, path);
    } finally {
      await store.close();
    }
  });
}

/** A directory below /dev/shm that is removed after the test; skips the test where there is none. */
export async function withSharedMemory<T>(
  test: Mocha.Context,
  use: (path: string) => Promise<T>,
): Promise<T> {
  if (!existsSync('/dev/shm')) {
    process.stderr.write('skipped: there is no /dev/shm\n');
    test.skip();
  }
  const path = await mkdtemp('/dev/shm/cairn-test-');
  try {
    return await use(path);
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

/** Deterministic bytes that differ by seed: a value that came back is the one that was written. */
export function bytesOf(seed: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = (seed * 2654435761 + 12345) >>> 0;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
