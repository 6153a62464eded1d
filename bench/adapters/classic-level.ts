import { ClassicLevel } from 'classic-level';
import { textKey } from '../random.js';
import {
  PEER_BATCH,
  type Counters,
  type Engine,
  type EngineKey,
  type KeyedEntries,
  type OpenOptions,
} from './adapter.js';

const CACHE_BYTES = 256 * 1024 * 1024;
const SMALL_CACHE_BYTES = 8 * 1024 * 1024;

type Level = ClassicLevel<EngineKey, Uint8Array>;

/** classic-level: LevelDB, a log-structured merge tree. */
class ClassicLevelEngine implements Engine {
  readonly name = 'classic-level';
  readonly #level: Level;
  readonly #text: boolean;
  readonly #sync: boolean;

  constructor(level: Level, text: boolean, sync: boolean) {
    this.#level = level;
    this.#text = text;
    this.#sync = sync;
  }

  key(identity: number): EngineKey {
    if (this.#text) return textKey(identity);
    const key = Buffer.alloc(8);
    key.writeUInt32BE(identity, 4);
    return key;
  }

  prepareLoad(all: Uint32Array): unknown {
    return { all, keys: Array.from(all, (identity) => this.key(identity)) };
  }

  async load(prepared: unknown, value: (identity: number) => Uint8Array): Promise<void> {
    const { all, keys } = prepared as KeyedEntries;
    for (let from = 0; from < all.length; from += PEER_BATCH) {
      const to = Math.min(all.length, from + PEER_BATCH);
      const operations = [];
      for (let i = from; i < to; i += 1) {
        operations.push({ type: 'put' as const, key: keys[i] ?? '', value: value(all[i] ?? 0) });
      }
      // The last one is synced, and with it the log before it; older logs became synced tables.
      await this.#level.batch(operations, { sync: to === all.length });
    }
  }

  getSync(key: EngineKey): Uint8Array | undefined {
    return this.#level.getSync(key);
  }

  get(key: EngineKey): Promise<Uint8Array | undefined> {
    return this.#level.get(key);
  }

  put(key: EngineKey, value: Uint8Array): Promise<void> {
    return this.#level.put(key, value, { sync: this.#sync });
  }

  prepareBatch(all: Uint32Array): unknown {
    return Array.from(all, (identity) => this.key(identity));
  }

  async gather(batch: unknown, rows: Uint8Array, rowBytes: number): Promise<number> {
    const values = await this.#level.getMany(batch as EngineKey[]);
    let found = 0;
    for (let i = 0; i < values.length; i += 1) {
      const row = values[i];
      if (row === undefined) continue;
      rows.set(row, i * rowBytes);
      found += 1;
    }
    return found;
  }

  async settle(loaded: boolean): Promise<void> {
    // LevelDB says nothing of its compactions; a manual one waits for those under way.
    if (!loaded) return;
    await this.#level.compactRange('', '\x7f', { keyEncoding: 'utf8' });
  }

  counters(): Counters | null {
    return null;
  }

  async close(): Promise<void> {
    await this.#level.close();
  }
}

export async function openEngine(options: OpenOptions): Promise<Engine> {
  const text = options.keys === 'text';
  const level: Level = new ClassicLevel<EngineKey, Uint8Array>(options.directory, {
    keyEncoding: text ? 'utf8' : 'buffer',
    valueEncoding: 'buffer',
    cacheSize: options.values === 'device' ? SMALL_CACHE_BYTES : CACHE_BYTES,
    // Values are incompressible: compression would only cost.
    compression: false,
  });
  await level.open();
  return new ClassicLevelEngine(level, text, options.durability === 'each');
}
