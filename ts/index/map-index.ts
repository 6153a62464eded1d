import { CairnError } from '../common/errors.js';
import { checkHandle, checkLength, closedError } from './checks.js';
import { INDEX_CURSOR_END } from './index.js';
import type { Index, IndexCapabilities, IndexChunk, IndexHandles } from './index.js';
import { KeyHasher, type KeyHash } from './key-hash.js';

/** Entries with neighbouring numbers: what one step of iteration or export looks at. */
const BLOCK_ENTRIES = 4096;
const GROUP_HEADER_BYTES = 16;
const ENTRY_BYTES = 16;
/**
 * V8 refuses the 16.7-millionth entry of a Map, deleted ones that it has not cleared away counted;
 * with half of that there is always room to clear them.
 */
const MAP_ENTRIES_MAX = 2 ** 23;
/** An estimate: the entry of the Map, its string, its place in a block. Nobody counts them one by one. */
const BYTES_PER_KEY = 150;

interface Block {
  /** Undefined where nothing is. */
  readonly identities: (string | undefined)[];
  readonly handles: Float64Array;
}

export interface MapIndexOptions {
  /** 16 bytes: the key of the store's hash. */
  readonly hashKey: Uint8Array;
  /** For tests: entries of a Map before the next begins. */
  readonly mapEntriesMax?: number;
}

/**
 * DRAM_UNORDERED_MAP: JavaScript Maps from the identity of a key to the number of its entry. Plain
 * enough to check other indexes against, and not made for speed: see docs/ARCHITECTURE.md "Index".
 *
 * An entry keeps its number as long as its key is there, and a walk goes from the highest number at
 * its beginning down: that is why it sees what stays exactly once, and ends.
 */
export class MapIndex implements Index {
  readonly capabilities: IndexCapabilities = {
    ordered: false,
    persistent: false,
    chunkBytesMax: GROUP_HEADER_BYTES + BLOCK_ENTRIES * ENTRY_BYTES,
    handlesPerStepMax: BLOCK_ENTRIES,
    comparesWholeHash: true,
  };

  readonly #hasher: KeyHasher;
  readonly #mapEntriesMax: number;
  #maps: Map<string, number>[] = [new Map<string, number>()];
  #blocks: Block[] = [];
  /** Numbers that are free among those given so far. */
  #free: number[] = [];
  #numbers = 0;
  #size = 0;
  #closed = false;

  constructor({ hashKey, mapEntriesMax = MAP_ENTRIES_MAX }: MapIndexOptions) {
    this.#hasher = new KeyHasher(hashKey);
    this.#mapEntriesMax = mapEntriesMax;
  }

  get size(): number {
    this.#checkOpen();
    return this.#size;
  }

  /** An estimate: nobody says what a Map takes. */
  get memoryBytes(): number {
    this.#checkOpen();
    return 4096 + this.#numbers * BYTES_PER_KEY;
  }

  get(hash: KeyHash): number {
    this.#checkOpen();
    const number = this.#find(identityOf(hash));
    return number === undefined ? 0 : this.#handle(number);
  }

  put(hash: KeyHash, handle: number): number {
    this.#checkOpen();
    checkHandle(handle);
    const identity = identityOf(hash);
    const known = this.#find(identity);
    const old = known === undefined ? 0 : this.#handle(known);
    const number = known ?? this.#add(identity);
    this.#blockOf(number).handles[number % BLOCK_ENTRIES] = handle;
    return old;
  }

  delete(hash: KeyHash): number {
    this.#checkOpen();
    const identity = identityOf(hash);
    const number = this.#find(identity);
    if (number === undefined) return 0;
    const old = this.#handle(number);
    for (const map of this.#maps) map.delete(identity);
    this.#blockOf(number).identities[number % BLOCK_ENTRIES] = undefined;
    this.#free.push(number);
    this.#size--;
    return old;
  }

  compareAndSwap(hash: KeyHash, expected: number, handle: number): boolean {
    this.#checkOpen();
    checkHandle(handle);
    if (this.get(hash) !== expected) return false;
    this.put(hash, handle);
    return true;
  }

  batchGet(keys: BigUint64Array, handles: Float64Array): number {
    this.#checkOpen();
    checkLength('handles', handles.length, keys.length);
    let hits = 0;
    for (let at = 0; at < keys.length; at++) {
      const handle = this.get(this.#hashOf(keys[at]!));
      handles[at] = handle;
      if (handle !== 0) hits++;
    }
    return hits;
  }

  bulkPut(keys: BigUint64Array, handles: Float64Array, old: Float64Array): void {
    this.#checkOpen();
    checkLength('handles', handles.length, keys.length);
    checkLength('old', old.length, keys.length);
    for (let at = 0; at < keys.length; at++) checkHandle(handles[at]!);
    for (let at = 0; at < keys.length; at++) {
      old[at] = this.put(this.#hashOf(keys[at]!), handles[at]!);
    }
  }

  exportChunk(cursor: number, out: Uint8Array): IndexChunk {
    const { numbers, next } = this.#step(cursor);
    const bytes = numbers.length === 0 ? 0 : GROUP_HEADER_BYTES + numbers.length * ENTRY_BYTES;
    checkLength('out', out.length, bytes);
    if (bytes === 0) return { bytes, next };
    const view = new DataView(out.buffer, out.byteOffset, bytes);
    // One group of the whole range, ascending: identities compare as (h, d, x) does.
    numbers.sort((a, b) => (this.#identity(a)! < this.#identity(b)! ? -1 : 1));
    view.setUint32(0, 0, true);
    view.setUint32(4, 0, true);
    view.setUint32(8, numbers.length, true);
    view.setUint32(12, 0, true);
    for (const [at, number] of numbers.entries()) {
      writeEntry(
        view,
        GROUP_HEADER_BYTES + at * ENTRY_BYTES,
        this.#identity(number)!,
        this.#handle(number),
      );
    }
    return { bytes, next };
  }

  importChunk(bytes: Uint8Array): void {
    this.#checkOpen();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at < bytes.length;) {
      if (bytes.length - at < GROUP_HEADER_BYTES) throw notAChunk();
      const [prefix, depth, count, reserved] = [0, 4, 8, 12].map((field) =>
        view.getUint32(at + field, true),
      );
      at += GROUP_HEADER_BYTES;
      const fits = count! > 0 && count! <= (bytes.length - at) / ENTRY_BYTES;
      if (prefix !== 0 || depth !== 0 || reserved !== 0 || !fits) throw notAChunk();
      let previous = '';
      for (let entry = 0; entry < count!; entry++, at += ENTRY_BYTES) {
        const [hash, handle] = readEntry(view, at);
        const identity = identityOf(hash);
        if (handle === 0 || identity <= previous || this.put(hash, handle) !== 0) {
          throw notAChunk();
        }
        previous = identity;
      }
    }
  }

  handlesFrom(cursor: number, out: Float64Array): IndexHandles {
    const { numbers, next } = this.#step(cursor);
    checkLength('out', out.length, numbers.length);
    for (const [at, number] of numbers.entries()) out[at] = this.#handle(number);
    return { count: numbers.length, next };
  }

  close(): void {
    this.#closed = true;
    this.#maps = [];
    this.#blocks = [];
    this.#free = [];
  }

  #checkOpen(): void {
    if (this.#closed) throw closedError();
  }

  #hashOf(key: bigint): KeyHash {
    this.#hasher.hashU64(Number(key & 0xffff_ffffn), Number(key >> 32n));
    return this.#hasher.words;
  }

  #find(identity: string): number | undefined {
    for (const map of this.#maps) {
      const number = map.get(identity);
      if (number !== undefined) return number;
    }
    return undefined;
  }

  /** Gives an identity that is absent the number of an entry. */
  #add(identity: string): number {
    let map = this.#maps.find(({ size }) => size < this.#mapEntriesMax);
    if (map === undefined) {
      map = new Map();
      this.#maps.push(map);
    }
    const number = this.#free.pop() ?? this.#numbers++;
    if (number === this.#blocks.length * BLOCK_ENTRIES) {
      this.#blocks.push({ identities: [], handles: new Float64Array(BLOCK_ENTRIES) });
    }
    map.set(identity, number);
    this.#blockOf(number).identities[number % BLOCK_ENTRIES] = identity;
    this.#size++;
    return number;
  }

  #blockOf(number: number): Block {
    return this.#blocks[Math.floor(number / BLOCK_ENTRIES)]!;
  }

  #identity(number: number): string | undefined {
    return this.#blockOf(number).identities[number % BLOCK_ENTRIES];
  }

  #handle(number: number): number {
    return this.#blockOf(number).handles[number % BLOCK_ENTRIES]!;
  }

  /** The entries of one block. A cursor is where the block ends; 0 stands for the highest number. */
  #step(cursor: number): { readonly numbers: number[]; readonly next: number } {
    this.#checkOpen();
    const end = this.#blocks.length * BLOCK_ENTRIES;
    if (!(cursor >= 0 && cursor <= end && cursor % BLOCK_ENTRIES === 0)) {
      throw new CairnError('CAIRN_INVALID_ARGUMENT', `${cursor} is no cursor of this index`);
    }
    if (end === 0) return { numbers: [], next: INDEX_CURSOR_END };
    const first = (cursor === 0 ? end : cursor) - BLOCK_ENTRIES;
    const numbers: number[] = [];
    for (let number = first; number < first + BLOCK_ENTRIES; number++) {
      if (this.#identity(number) !== undefined) numbers.push(number);
    }
    return { numbers, next: first === 0 ? INDEX_CURSOR_END : first };
  }
}

/** (h, d, low half of x), in an order of characters that is the order of the numbers. */
function identityOf(hash: KeyHash): string {
  const d = hash[0]!;
  const h = hash[1]!;
  return String.fromCharCode(h >>> 16, h & 0xffff, d >>> 16, d & 0xffff, hash[3]! & 0xffff);
}

function writeEntry(view: DataView, at: number, identity: string, handle: number): void {
  const words = Array.from({ length: 5 }, (_, word) => identity.charCodeAt(word));
  view.setUint16(at, words[1]!, true);
  view.setUint16(at + 2, words[0]!, true);
  view.setUint16(at + 4, words[3]!, true);
  view.setUint16(at + 6, words[2]!, true);
  view.setUint32(at + 8, handle % 2 ** 32, true);
  view.setUint16(at + 12, words[4]!, true);
  view.setUint16(at + 14, Math.floor(handle / 2 ** 32), true);
}

function readEntry(view: DataView, at: number): readonly [hash: KeyHash, handle: number] {
  const hash = new Int32Array(4);
  hash[1] = view.getInt32(at, true);
  hash[0] = view.getInt32(at + 4, true);
  hash[3] = view.getUint16(at + 12, true);
  return [hash, view.getUint16(at + 14, true) * 2 ** 32 + view.getUint32(at + 8, true)];
}

function notAChunk(): CairnError {
  const operation = 'import index';
  return new CairnError('CAIRN_CORRUPTION', `${operation}: not an index chunk`, { operation });
}
