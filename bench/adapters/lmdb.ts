import { open, type RootDatabase, type RootDatabaseOptionsWithPath } from 'lmdb';
import { textKey } from '../random.js';
import {
  PEER_BATCH,
  type Counters,
  type Engine,
  type EngineKey,
  type KeyedEntries,
  type OpenOptions,
} from './adapter.js';

const MAP_BYTES = 16 * 1024 ** 3;

/** lmdb-js: a copy-on-write B+tree in a memory mapping, one writer thread. */
class LmdbEngine implements Engine {
  readonly name = 'lmdb';
  readonly #database: RootDatabase<Buffer, EngineKey>;
  readonly #text: boolean;

  constructor(database: RootDatabase<Buffer, EngineKey>, text: boolean) {
    this.#database = database;
    this.#text = text;
  }

  key(identity: number): EngineKey {
    return this.#text ? textKey(identity) : identity;
  }

  prepareLoad(all: Uint32Array): unknown {
    return { all, keys: Array.from(all, (identity) => this.key(identity)) };
  }

  async load(prepared: unknown, value: (identity: number) => Uint8Array): Promise<void> {
    const { all, keys } = prepared as KeyedEntries;
    const database = this.#database;
    for (let from = 0; from < all.length; from += PEER_BATCH) {
      const to = Math.min(all.length, from + PEER_BATCH);
      await database.batch(() => {
        for (let i = from; i < to; i += 1) {
          void database.put(keys[i] ?? 0, value(all[i] ?? 0) as Buffer);
        }
      });
    }
    await database.flushed;
  }

  getSync(key: EngineKey): Uint8Array | undefined {
    return this.#database.get(key);
  }

  // Not getAsync, which reads in a pool thread: at 8 KiB and more it crashes the process on Node 20, and
  // it keeps memory, so that a process with 512 MiB is killed within seconds.
  get(key: EngineKey): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#database.get(key));
  }

  async put(key: EngineKey, value: Uint8Array): Promise<void> {
    await this.#database.put(key, value as Buffer);
  }

  prepareBatch(all: Uint32Array): unknown {
    return Array.from(all, (identity) => this.key(identity));
  }

  // The fastest way found: the shared-buffer read, copied row by row.
  gather(batch: unknown, rows: Uint8Array, rowBytes: number): Promise<number> {
    const keys = batch as readonly EngineKey[];
    let found = 0;
    for (let i = 0; i < keys.length; i += 1) {
      const row = this.#database.getBinaryFast(keys[i] ?? 0);
      if (row === undefined) continue;
      // Only `length` is the row's: the buffer is the shared, longer one, which set() would copy.
      rows.set(new Uint8Array(row.buffer, row.byteOffset, row.length), i * rowBytes);
      found += 1;
    }
    return Promise.resolve(found);
  }

  async settle(): Promise<void> {
    await this.#database.flushed;
  }

  counters(): Counters | null {
    return null;
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}

/**
 * Durability `each`: without overlapping sync the commit's promise waits for its flush (with it the
 * promise comes before, and waiting for `flushed` as well is slower). `end`: overlapping, flushed last.
 */
export function openEngine(options: OpenOptions): Promise<Engine> {
  const settings: RootDatabaseOptionsWithPath & { readonly noReadAhead: boolean } = {
    path: options.directory,
    encoding: 'binary',
    keyEncoding: options.keys === 'u64' ? 'uint32' : 'ordered-binary',
    mapSize: MAP_BYTES,
    overlappingSync: options.durability === 'end',
    // Missing in its types. Larger than memory: read-ahead would read 8 MiB for every get here.
    noReadAhead: options.values === 'device',
    noMemInit: true,
  };
  const database = open<Buffer, EngineKey>(settings);
  return Promise.resolve(new LmdbEngine(database, options.keys === 'text'));
}
