import { pathToFileURL } from 'node:url';
import type { RowSource, Store } from '../../ts/engine/api.js';
import { engineEntry } from '../paths.js';
import { textKey } from '../random.js';
import type {
  Counters,
  Engine,
  EngineKey,
  KeyedEntries,
  LoadForm,
  OpenOptions,
} from './adapter.js';

/** Values read from the device are not to be found here a second time. */
export const COLD_CACHE_BYTES = 4 * 1024 * 1024;

interface EntryPoint {
  open(path: string, config: Readonly<Record<string, unknown>>): Promise<Store>;
}

function* pairsOf(
  { all, keys }: KeyedEntries,
  value: (identity: number) => Uint8Array,
): Generator<readonly [EngineKey, Uint8Array]> {
  for (let i = 0; i < all.length; i += 1) yield [keys[i] ?? 0, value(all[i] ?? 0)];
}

class CairnEngine implements Engine {
  readonly name = 'cairn';
  readonly #store: Store;
  readonly #text: boolean;

  constructor(store: Store, text: boolean) {
    this.#store = store;
    this.#text = text;
  }

  key(identity: number): EngineKey {
    return this.#text ? textKey(identity) : identity;
  }

  prepareLoad(all: Uint32Array, form: LoadForm, rows: Uint8Array | null): unknown {
    if (form === 'rows' && rows !== null) {
      return { keys: this.prepareBatch(all), rows, rowBytes: rows.length / all.length };
    }
    return { all, keys: Array.from(all, (identity) => this.key(identity)) };
  }

  async load(prepared: unknown, value: (identity: number) => Uint8Array): Promise<void> {
    const source = prepared as RowSource | KeyedEntries;
    await this.#store.bulkLoad('rows' in source ? source : pairsOf(source, value));
  }

  getSync(key: EngineKey): Uint8Array | undefined {
    return this.#store.getSync(key);
  }

  get(key: EngineKey): Promise<Uint8Array | undefined> {
    return this.#store.get(key);
  }

  put(key: EngineKey, value: Uint8Array): Promise<void> {
    return this.#store.put(key, value);
  }

  putSync(key: EngineKey, value: Uint8Array): void {
    this.#store.putSync(key, value);
  }

  prepareBatch(all: Uint32Array): unknown {
    return BigUint64Array.from(all, (identity) => BigInt(identity));
  }

  async gather(batch: unknown, rows: Uint8Array, rowBytes: number): Promise<number> {
    const keys = batch as BigUint64Array;
    const result = await this.#store.batchGetInto(keys, rows, rowBytes);
    return keys.length - result.missing;
  }

  async batchGet(batch: unknown): Promise<number> {
    const values = await this.#store.batchGet(batch as BigUint64Array);
    let found = 0;
    for (const value of values) if (value !== undefined) found += 1;
    return found;
  }

  checkpoint(): Promise<void> {
    return this.#store.checkpoint();
  }

  async settle(): Promise<void> {
    await this.#store.flush();
  }

  counters(): Counters {
    const stats = this.#store.stats();
    return {
      puts: stats.operations.puts,
      logGroups: stats.log.groups,
      logBytes: stats.log.bytesWritten,
      deviceReads: stats.values.deviceReads,
      deviceReadBytes: stats.values.deviceReadBytes,
      indexReads: (stats.index as { readonly deviceReads?: number }).deviceReads ?? 0,
      tierHits: stats.values.tier?.hits ?? 0,
      promotions: stats.values.tier?.promotions ?? 0,
      deviceWriteBytes: stats.values.deviceWriteBytes,
      indexBytes: stats.index.memoryBytes,
      indexEntries: stats.index.entries,
      direct: stats.io.direct,
      backend: stats.io.backend,
      recoveryMilliseconds: stats.recovery.milliseconds,
      recoveredRecords: stats.recovery.records,
    };
  }

  async close(): Promise<void> {
    await this.#store.close();
  }
}

export function cairnConfig(options: OpenOptions): Readonly<Record<string, unknown>> {
  return {
    key: { type: options.keys === 'u64' ? 'u64' : 'bytes' },
    index: { type: 'DRAM_PET_HASH' },
    value: {
      type: options.values === 'memory' ? 'DRAM_VALUE_STORE' : 'SSD_VALUE_STORE',
      default_value_size_hint: options.valueBytes,
    },
    ...(options.values === 'device' ? { cache: { capacity_bytes: COLD_CACHE_BYTES } } : {}),
    // The default, said because rows quote it: acknowledged means it survives power loss.
    durability: { level: options.durability === 'each' ? 'sync' : 'process' },
    ...options.document,
  };
}

export async function openEngine(options: OpenOptions): Promise<Engine> {
  const entry = (await import(pathToFileURL(engineEntry().file).href)) as EntryPoint;
  const store = await entry.open(options.directory, cairnConfig(options));
  return new CairnEngine(store, options.keys === 'text');
}
