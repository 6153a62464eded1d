// An index of one's own: a Map from hash to a place in an array, so that cursors are places.
import {
  CairnError,
  INDEX_CURSOR_END,
  KeyHasher,
  type Factories,
  type Index,
  type IndexCapabilities,
  type IndexChunk,
  type IndexHandles,
  type KeyHash,
  type Registry,
} from 'cairn-kv';

const ENTRY_BYTES = 24;
const ENTRIES_PER_STEP = 1024;
const HANDLE_END = 2 ** 48;

interface Entry {
  readonly d: number;
  readonly h: number;
  readonly x: number;
  handle: number;
}

export class MapIndex implements Index {
  readonly capabilities: IndexCapabilities = {
    ordered: false,
    persistent: false,
    chunkBytesMax: ENTRY_BYTES * ENTRIES_PER_STEP,
    handlesPerStepMax: ENTRIES_PER_STEP,
  };
  readonly #hasher: KeyHasher;
  /** Place in `#entries` by hash. An entry never moves: what a cursor has passed stays passed. */
  readonly #places = new Map<string, number>();
  readonly #entries: (Entry | undefined)[] = [];
  readonly #free: number[] = [];
  #closed = false;

  constructor(hashKey: Uint8Array) {
    this.#hasher = new KeyHasher(hashKey);
  }

  get size(): number {
    return this.#open().#places.size;
  }
  get memoryBytes(): number {
    return 1000 + this.#open().#entries.length * 100;
  }

  get(hash: KeyHash): number {
    return this.#find(hash)?.handle ?? 0;
  }

  put(hash: KeyHash, handle: number): number {
    checkHandle(handle);
    const entry = this.#find(hash);
    if (entry === undefined) {
      this.#add({ d: hash[0]!, h: hash[1]!, x: hash[3]! & 0xffff, handle });
      return 0;
    }
    const old = entry.handle;
    entry.handle = handle;
    return old;
  }

  delete(hash: KeyHash): number {
    const name = nameOf(hash[0]!, hash[1]!, hash[3]!);
    const place = this.#open().#places.get(name);
    if (place === undefined) return 0;
    const old = this.#entries[place]!.handle;
    this.#places.delete(name);
    this.#entries[place] = undefined;
    this.#free.push(place);
    return old;
  }

  compareAndSwap(hash: KeyHash, expected: number, handle: number): boolean {
    checkHandle(handle);
    if (this.get(hash) !== expected) return false;
    this.put(hash, handle);
    return true;
  }

  batchGet(keys: BigUint64Array, handles: Float64Array): number {
    this.#open();
    if (handles.length < keys.length) throw invalid('`handles` is shorter than `keys`');
    let found = 0;
    for (const [at, key] of keys.entries()) {
      handles[at] = this.get(this.#hash(key));
      if (handles[at] !== 0) found++;
    }
    return found;
  }

  bulkPut(keys: BigUint64Array, handles: Float64Array, old: Float64Array): void {
    this.#open();
    if (handles.length < keys.length || old.length < keys.length) {
      throw invalid('`handles` or `old` is shorter than `keys`');
    }
    for (let at = 0; at < keys.length; at++) checkHandle(handles[at]!);
    for (const [at, key] of keys.entries()) old[at] = this.put(this.#hash(key), handles[at]!);
  }

  exportChunk(cursor: number, out: Uint8Array): IndexChunk {
    const entriesMax = Math.floor(out.length / ENTRY_BYTES);
    const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
    let bytes = 0;
    const next = this.#walk(cursor, entriesMax, ({ d, h, x, handle }) => {
      view.setInt32(bytes, d, true);
      view.setInt32(bytes + 4, h, true);
      view.setInt32(bytes + 8, x, true);
      view.setInt32(bytes + 12, 0, true);
      view.setFloat64(bytes + 16, handle, true);
      bytes += ENTRY_BYTES;
    });
    return { bytes, next };
  }

  /** Everything is checked before anything is added. */
  importChunk(bytes: Uint8Array): void {
    this.#open();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const entries: Entry[] = [];
    const names = new Set<string>();
    for (let at = 0; at < bytes.length; at += ENTRY_BYTES) {
      if (at + ENTRY_BYTES > bytes.length) throw damaged('it ends inside an entry');
      const [d, h, x] = [0, 4, 8].map((field) => view.getInt32(at + field, true));
      const handle = view.getFloat64(at + 16, true);
      const name = nameOf(d!, h!, x!);
      const sound = Number.isInteger(handle) && handle > 0 && handle < HANDLE_END;
      if (!sound || x! >>> 16 !== 0 || view.getInt32(at + 12, true) !== 0) {
        throw damaged('an entry that none can be');
      }
      if (names.has(name) || this.#places.has(name)) throw damaged('a key comes twice');
      names.add(name);
      entries.push({ d: d!, h: h!, x: x!, handle });
    }
    for (const entry of entries) this.#add(entry);
  }

  handlesFrom(cursor: number, out: Float64Array): IndexHandles {
    let count = 0;
    const next = this.#walk(cursor, out.length, ({ handle }) => (out[count++] = handle));
    return { count, next };
  }

  close(): void {
    this.#closed = true;
    this.#places.clear();
    this.#entries.length = 0;
  }

  /** From the last place down to the first: what is put meanwhile does not make the way longer. */
  #walk(cursor: number, entriesMax: number, visit: (entry: Entry) => void): number {
    this.#open();
    if (entriesMax < ENTRIES_PER_STEP) throw invalid('`out` is too short for a step');
    if (!(cursor >= 0) || cursor % ENTRIES_PER_STEP !== 0 || cursor > this.#entries.length) {
      throw invalid(`${cursor} is no cursor`);
    }
    const end = cursor === 0 ? this.#entries.length : cursor;
    const next = end === 0 ? 0 : Math.floor((end - 1) / ENTRIES_PER_STEP) * ENTRIES_PER_STEP;
    for (let at = next; at < end; at++) {
      const entry = this.#entries[at];
      if (entry !== undefined) visit(entry);
    }
    return next === 0 ? INDEX_CURSOR_END : next;
  }

  #find(hash: KeyHash): Entry | undefined {
    const place = this.#open().#places.get(nameOf(hash[0]!, hash[1]!, hash[3]!));
    return place === undefined ? undefined : this.#entries[place];
  }

  #add(entry: Entry): void {
    const place = this.#free.pop() ?? this.#entries.length;
    this.#entries[place] = entry;
    this.#places.set(nameOf(entry.d, entry.h, entry.x), place);
  }

  #hash(key: bigint): KeyHash {
    this.#hasher.hashU64(Number(key & 0xffff_ffffn) | 0, Number(key >> 32n) | 0);
    return this.#hasher.words;
  }

  #open(): this {
    if (this.#closed) throw new CairnError('CAIRN_CLOSED', 'the index is closed');
    return this;
  }
}

/** What an index compares of a hash: 80 bits. */
function nameOf(d: number, h: number, x: number): string {
  return `${d}:${h}:${x & 0xffff}`;
}

function checkHandle(handle: number): void {
  if (!Number.isInteger(handle) || handle <= 0 || handle >= HANDLE_END) {
    throw invalid(`${handle} is no handle`);
  }
}

function invalid(message: string): CairnError {
  return new CairnError('CAIRN_INVALID_ARGUMENT', `MAP_INDEX: ${message}`);
}

function damaged(message: string): CairnError {
  return new CairnError('CAIRN_CORRUPTION', `MAP_INDEX: a chunk does not check: ${message}`);
}

export function registerIndex(registry: Registry<Factories>): void {
  registry.register('index', 'MAP_INDEX', ({ hashKey }) => new MapIndex(hashKey));
}
