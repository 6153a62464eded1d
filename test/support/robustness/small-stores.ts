import type { SimDisk } from '../../../ts/bindings/addon.js';
import { FileSet } from '../../../ts/bindings/file-set.js';
import type { OnDamage } from '../../../ts/common/errors.js';
import { readMachine } from '../../../ts/config/machine.js';
import { resolveConfig } from '../../../ts/config/resolve.js';
import type { ResolvedConfig, StoreConfig } from '../../../ts/config/types.js';
import type { Store } from '../../../ts/engine/api.js';
import type { Engine } from '../../../ts/engine/engine.js';
import { createRegistry } from '../../../ts/engine/builtins.js';
import type { Tuning } from '../../../ts/engine/factories.js';
import { openWithFileSet, usingDamagedFiles } from '../../../ts/engine/open.js';
import type { StoreParts } from '../../../ts/engine/parts.js';
import { newSimDisk } from '../sim-disk.js';
import { bytesOf } from '../stores.js';

export type ValueType = 'SSD_VALUE_STORE' | 'DRAM_VALUE_STORE' | 'TIERED_VALUE_STORE';
/** Of the values file; SSD_SLAB with its classes for every size. */
export type SsdAllocator = 'SSD_SLAB' | 'SSD_BUDDY';
export type Contents = ReadonlyMap<string, Buffer>;

/** Values above ride in their slots, not in the log. */
export const INLINE_BYTES = 2048;

/** Sizes below what a configuration accepts: a few writes rotate the log and fill pages. */
const TUNING: Tuning = {
  runBytes: 16 * 1024,
  dirtyBytesMax: 128 * 1024,
  reserveBytesMax: 64 * 1024,
  logGroupBytes: 16 * 1024,
  cacheBytes: 32 * 1024,
  machine: readMachine(),
  compaction: { slackBytes: 4 * 1024, lotBytes: 16 * 1024 },
  // A few keys split pages, and not all of them are in memory.
  indexPages: { cachePages: 8, entriesMax: 4 },
};

const registry = createRegistry();

export function smallConfig(valueType: ValueType, more: StoreConfig = {}): ResolvedConfig {
  const { value, ...rest } = more;
  return resolveConfig({
    path: '/simulated',
    ...rest,
    value: { ...value, type: valueType },
    log: { inline_value_bytes: INLINE_BYTES },
  });
}

export function openSmall(
  disk: SimDisk,
  config: ResolvedConfig,
  more: Partial<Tuning> = {},
): Promise<Store> {
  const tuning = { ...tuningOf(config), ...more };
  return openWithFileSet(FileSet.simulate(disk), config, registry, tuning);
}

/** In the directory that the configuration names, on its backend. */
export async function openSmallIn(config: ResolvedConfig): Promise<Store> {
  const files = await registry.get('io', config.io.type)(config);
  return openWithFileSet(files, config, registry, tuningOf(config));
}

/** What is left of a damaged store: see usingDamagedFiles. */
export function usingSmallDamaged<T>(
  disk: SimDisk,
  config: ResolvedConfig,
  onDamage: OnDamage,
  use: (parts: StoreParts) => Promise<T>,
): Promise<T> {
  const readOnly = { ...config, readOnly: true, createIfMissing: false };
  const tuning = { ...tuningOf(config), onDamage };
  return usingDamagedFiles(FileSet.simulate(disk), readOnly, registry, tuning, use);
}

function tuningOf(config: ResolvedConfig): Tuning {
  // A store in memory keeps 128 KiB of a segment free and takes values up to the rest.
  const segmentBytes = config.value.type === 'DRAM_VALUE_STORE' ? 160 * 1024 : 32 * 1024;
  return { ...TUNING, logSegmentBytes: segmentBytes, logCapacityBytes: 8 * segmentBytes };
}

/** Ends the use of a store as the end of the process does: nothing more reaches the disk. */
export async function abandon(disk: SimDisk, store: Store): Promise<void> {
  disk.stopAt(disk.eventCount);
  await store.close().catch(() => undefined);
}

/** A store at rest, and copies of it to damage. */
export class SmallStore {
  readonly name: string;
  readonly config: ResolvedConfig;
  /**
   * After each acknowledged write that damage can undo, the last one as it should be: since the
   * checkpoint where the log is needed. No later header in the log says that the last write is
   * durable, so that damage to it cannot be told from a crash (docs/FORMAT.md "Reading a log", rule 5).
   */
  readonly states: readonly Contents[];
  readonly #image: SimDisk;
  readonly #older: SimDisk;
  readonly #all: readonly Contents[];

  constructor(
    name: string,
    config: ResolvedConfig,
    states: readonly Contents[],
    images: { readonly last: SimDisk; readonly older: SimDisk },
    all: readonly Contents[],
  ) {
    this.#all = all;
    this.name = name;
    this.config = config;
    this.states = states;
    this.#image = images.last;
    this.#older = images.older;
  }

  /** Shares what it does not change. */
  copy(): SimDisk {
    return this.#image.crash(0, { kind: 'all' });
  }

  fileNames(): string[] {
    return this.#image.fileNames();
  }

  bytesOf(name: string): Uint8Array {
    return this.#image.readFile(name) as Uint8Array;
  }

  /** At any time. */
  everHeld(key: string, value: Buffer): boolean {
    return this.#all.some((state) => state.get(key)?.equals(value) === true);
  }

  /** As the file was some time before; empty when there was none. */
  olderBytesOf(name: string): Uint8Array {
    return this.#older.readFile(name) ?? new Uint8Array(0);
  }
}

/**
 * Keys of several classes, overwritten and deleted ones, a batch, and values in slots of their own.
 *
 * @returns the contents after each write since the checkpoint, and after each of all.
 */
async function fill(store: Store): Promise<readonly [Contents[], Contents[]]> {
  const contents = new Map<string, Buffer>();
  const all: Contents[] = [];
  const states: Contents[] = [];
  const put = async (key: string, bytes: number): Promise<void> => {
    const value = bytesOf(contents.size * 7 + bytes + key.length, bytes);
    contents.set(key, value);
    await store.put(key, value);
    states.push(new Map(contents));
  };
  const remove = async (key: string): Promise<void> => {
    contents.delete(key);
    await store.delete(key);
    states.push(new Map(contents));
  };
  for (let at = 0; at < 8; at++) await put(`key-${at}`, 20 + at * 31);
  await put('large-0', 2100);
  await put('empty', 0);
  await remove('key-3');
  await store.checkpoint();
  all.push(...states);
  states.splice(0, states.length - 1);
  for (let at = 4; at < 10; at++) await put(`key-${at}`, 60 + at * 17);
  await put('large-1', 2600);
  const batch = ['batch-a', 'batch-b', 'key-1'];
  for (const key of batch) contents.set(key, bytesOf(key.length, 300));
  await store.batchPut(
    batch,
    batch.map((key) => contents.get(key) as Buffer),
  );
  states.push(new Map(contents));
  await remove('key-2');
  await put('last', 90);
  return [states, [...all, ...states]];
}

/**
 * @param closed in order; else the log since the checkpoint has to be replayed.
 * @param how rested: long enough before it ended that the manifest knows what is durable.
 */
export async function makeSmallStore(
  valueType: ValueType,
  closed: boolean,
  how: {
    readonly rested?: boolean;
    readonly allocator?: SsdAllocator;
    readonly index?: string;
  } = {},
): Promise<SmallStore> {
  const { rested = false, allocator = 'SSD_SLAB', index = 'DRAM_PET_HASH' } = how;
  const config = smallConfig(valueType, {
    index: { type: index },
    ...(allocator === 'SSD_BUDDY' ? { value: { ssd_allocator: { type: allocator } } } : {}),
  });
  const disk = newSimDisk({ record: true });
  const store = await openSmall(disk, config);
  const [states, all] = await fill(store);
  if (rested) await (store as Engine).markDurable();
  if (closed) await store.close();
  const images = {
    last: disk.crash(disk.eventCount, { kind: 'all' }),
    older: disk.crash(Math.floor(disk.eventCount * 0.7), { kind: 'all' }),
  };
  if (!closed) await abandon(disk, store);
  disk.release();
  const parts = `${index}, ${valueType} ${allocator}`;
  const name = `${parts}, ${closed ? 'closed' : 'with a log to replay'}`;
  return new SmallStore(name, config, closed || rested ? states.slice(-1) : states, images, all);
}
