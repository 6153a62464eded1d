import type { SimDisk } from '../../../ts/bindings/addon.js';
import { FileSet } from '../../../ts/bindings/file-set.js';
import { readMachine } from '../../../ts/config/machine.js';
import { resolveConfig } from '../../../ts/config/resolve.js';
import type { ResolvedConfig, ValueConfig } from '../../../ts/config/types.js';
import type { Store } from '../../../ts/engine/api.js';
import { createRegistry } from '../../../ts/engine/builtins.js';
import type { Identity, Tuning } from '../../../ts/engine/factories.js';
import { openWithFileSet } from '../../../ts/engine/open.js';
import type { Contents } from './oracle.js';
import { SeededRandom } from './random.js';
import type { Workload } from './workload.js';

type KeyType = Workload['keyType'];

/** Values above ride in their slots, not in the log. */
export const INLINE_BYTES = 2048;
const SEGMENT_BYTES = 32 * 1024;
/** A store in memory keeps 128 KiB of a segment free and takes values up to the rest. */
const SEGMENT_BYTES_DRAM = 160 * 1024;

/**
 * Sizes below what a configuration document accepts: a few steps rotate the log and grow the values
 * file, and an image of the store is read in no time.
 */
const TUNING: Tuning = {
  runBytes: 16 * 1024,
  dirtyBytesMax: 128 * 1024,
  reserveBytesMax: 64 * 1024,
  logGroupBytes: 16 * 1024,
  cacheBytes: 256 * 1024,
  machine: readMachine(),
  compaction: { slackBytes: 4 * 1024, lotBytes: 16 * 1024 },
  // A few keys split pages, and not all of them are in memory.
  indexPages: { cachePages: 8, entriesMax: 4 },
};

const registry = createRegistry();

export function segmentBytesOf(valueType: string): number {
  return valueType === 'DRAM_VALUE_STORE' ? SEGMENT_BYTES_DRAM : SEGMENT_BYTES;
}

/** Room for a few groups of slots only, so that some records have a copy and some do not. */
const TIER_BYTES = 3 * 1024 * 1024;

function dramAllocatorOf({ valueType, allocator }: Workload): ValueConfig {
  switch (valueType) {
    case 'SSD_VALUE_STORE':
      return {};
    case 'DRAM_VALUE_STORE':
      return { dram_allocator: { type: allocator } };
    case 'TIERED_VALUE_STORE':
      return { dram_allocator: { type: allocator, capacity_bytes: TIER_BYTES } };
  }
}

export function configOf(workload: Workload): ResolvedConfig {
  return resolveConfig({
    path: '/simulated',
    key: { type: workload.keyType },
    index: { type: workload.indexType },
    value: {
      type: workload.valueType,
      ...dramAllocatorOf(workload),
      // Named, SSD_SLAB has the seed's classes: left alone it has those for every size.
      ...(workload.valueType !== 'DRAM_VALUE_STORE' && workload.ssdAllocator === 'SSD_BUDDY'
        ? { ssd_allocator: { type: workload.ssdAllocator } }
        : {}),
    },
    log: { inline_value_bytes: INLINE_BYTES },
  });
}

/**
 * Opens the store of a workload, or makes it: each time the same one, so that its keys lie where they
 * lay before.
 */
export async function openOn(
  disk: SimDisk,
  config: ResolvedConfig,
  { seed }: Workload,
): Promise<Store> {
  const segmentBytes = segmentBytesOf(config.value.type);
  return openWithFileSet(FileSet.simulate(disk), config, registry, {
    ...TUNING,
    logSegmentBytes: segmentBytes,
    logCapacityBytes: 8 * segmentBytes,
    identity: identityOf(seed),
  });
}

function identityOf(seed: number): Identity {
  const random = new SeededRandom(seed);
  const bytes = (): Uint8Array => Uint8Array.from({ length: 16 }, () => random.below(256));
  return { storeId: bytes(), hashKey: bytes() };
}

/** A key of the oracle as the store takes it: `k7`, or 7n in a u64 store. */
export function storeKey(keyType: KeyType, name: string): string | bigint {
  return keyType === 'bytes' ? name : BigInt(name.slice(1)) * 0x1_0000_0001n;
}

/** The keys of a workload, in both forms: made once, because every state reads all of them. */
export class KeysToRead {
  readonly list: readonly { readonly name: string; readonly key: string | bigint }[];
  readonly #names = new Map<string | bigint, string>();

  /** @param names and one more, which is never there. */
  constructor(keyType: KeyType, names: Iterable<string>) {
    this.list = [...names, 'k0'].map((name) => ({ name, key: storeKey(keyType, name) }));
    for (const { name, key } of this.list) this.#names.set(key, name);
  }

  nameOf(key: string | bigint): string {
    return this.#names.get(key) ?? `unknown ${String(key)}`;
  }
}

/**
 * Reads everything in every way there is: a get per key, `size`, iteration, `verify`.
 *
 * @throws Error when they contradict each other or the store calls itself damaged.
 */
export async function readAll(store: Store, keys: KeysToRead): Promise<Contents> {
  const contents = new Map<string, Buffer>();
  const gets: Promise<Buffer | undefined>[] = [];
  // Both ways in turn: they share little below the index.
  for (const [at, { name, key }] of keys.list.entries()) {
    if (at % 2 === 1) gets.push(store.get(key));
    else {
      const value = store.getSync(key);
      if (value !== undefined) contents.set(name, value);
    }
  }
  for (const [at, value] of (await Promise.all(gets)).entries()) {
    if (value !== undefined) contents.set(keys.list[2 * at + 1]?.name ?? '', value);
  }
  let entries = 0;
  for await (const [key, value] of store.entries({ keyEncoding: 'utf8' })) {
    const name = keys.nameOf(key as string | bigint);
    const got = contents.get(name);
    if (got === undefined) throw new Error(`iteration gives ${name}, get does not`);
    if (!got.equals(value)) throw new Error(`iteration and get differ in ${name}`);
    entries++;
  }
  if (entries !== contents.size) {
    throw new Error(`iteration gives ${entries} entries, get ${contents.size}`);
  }
  if (store.size !== contents.size) {
    throw new Error(`size is ${store.size}, ${contents.size} keys are there`);
  }
  const report = await store.verify();
  const [damage] = report.damaged;
  if (damage !== undefined) {
    throw new Error(`verify: ${damage.file} at ${damage.offset}: ${damage.reason}`);
  }
  return contents;
}

export function differenceOf(left: Contents, right: Contents): string | undefined {
  for (const key of new Set([...left.keys(), ...right.keys()])) {
    const before = left.get(key);
    const after = right.get(key);
    const same =
      before === undefined || after === undefined ? before === after : before.equals(after);
    if (!same) return key;
  }
  return undefined;
}
