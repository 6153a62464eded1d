import type { FileSet } from '../bindings/file-set.js';
import { CairnError } from '../common/errors.js';
import { Buckets } from './buckets.js';
import { checkHandle, checkLength, closedError } from './checks.js';
import { INDEX_CURSOR_END, UNREAD } from './index.js';
import type { Index, IndexCapabilities, IndexChunk, IndexHandles } from './index.js';
import { exportBuckets, GROUP_HEADER_BYTES, importGroups } from './index-groups.js';
import { copyHandles, PAGE_ENTRIES, PAGE_LIMIT } from './index-page.js';
import { KeyHasher, type KeyHash } from './key-hash.js';
import { PageFile } from './page-file.js';
import { SsdIndexPages } from './ssd-index-pages.js';

/** Buckets of one step of a walk. */
const STEP_BUCKETS = 32;
const ENTRY_BYTES = 16;

export interface SsdIndexOptions {
  /** 16 bytes: the key of the store's hash. */
  readonly hashKey: Uint8Array;
  /** 16 bytes that checksums are bound to. */
  readonly storeId: Uint8Array;
  /** Pages in memory: 8 or more. */
  readonly cachePages: number;
  /** For tests: a page with more entries splits. */
  readonly entriesMax?: number | undefined;
  /** Checkpoints name pages of the file; else it holds what the cache does not, until close. */
  readonly persistent: boolean;
  /** Nothing is written: what changes stays in memory. */
  readonly readOnly: boolean;
  /** Space of the file reserved ahead of need in one step. */
  readonly growBytesMax: number;
}

/**
 * SSD_EXTENDIBLE_HASH: buckets of a page each in the file `index`, a directory of 19 to 27 B per
 * bucket and a bounded cache of pages in memory. See docs/ARCHITECTURE.md "The index on the device".
 *
 * The methods here block when they have to read. What the engine uses is {@link pages}.
 */
export class SsdIndex implements Index {
  readonly capabilities: IndexCapabilities;
  readonly pages: SsdIndexPages;
  readonly #buckets: Buckets;
  readonly #hasher: KeyHasher;
  readonly #file: PageFile;
  readonly #writesFile: boolean;
  #closed = false;

  constructor(fileSet: FileSet, options: SsdIndexOptions) {
    const { hashKey, readOnly, persistent, cachePages, entriesMax = PAGE_LIMIT } = options;
    this.#hasher = new KeyHasher(hashKey);
    this.#writesFile = persistent && !readOnly;
    this.#file = new PageFile(fileSet, options);
    this.#buckets = new Buckets(fileSet, this.#file, {
      cachePages: Math.floor(cachePages),
      entriesMax,
      readOnly,
    });
    this.capabilities = {
      ordered: false,
      persistent,
      chunkBytesMax: STEP_BUCKETS * (GROUP_HEADER_BYTES + PAGE_ENTRIES * ENTRY_BYTES),
      handlesPerStepMax: STEP_BUCKETS * PAGE_ENTRIES,
      comparesWholeHash: true,
    };
    this.pages = new SsdIndexPages(this, fileSet, this.#file, this.#buckets, this.#hasher);
  }

  /** Exact when no changes wait for their pages, for which it blocks; see {@link IndexPages}. */
  get size(): number {
    this.checkOpen();
    this.pages.settleSync();
    // Of a page that cannot be read it is not known which keys it has.
    return this.pages.size;
  }

  get memoryBytes(): number {
    this.checkOpen();
    const { cache, table, pending, writer } = this.#buckets;
    const pages = cache.memoryBytes + writer.memoryBytes;
    return pages + table.memoryBytes + pending.memoryBytes + this.#file.memoryBytes;
  }

  get(hash: KeyHash): number {
    this.checkOpen();
    const handle = this.#buckets.get(hash[0]!, hash[1]!, hash[3]! & 0xffff);
    if (handle !== UNREAD) return handle;
    const [d, h, x] = [hash[0]!, hash[1]!, hash[3]! & 0xffff];
    this.pages.loadSync(d);
    return this.#buckets.get(d, h, x);
  }

  put(hash: KeyHash, handle: number): number {
    this.checkOpen();
    checkHandle(handle);
    return this.#change(hash, handle);
  }

  delete(hash: KeyHash): number {
    this.checkOpen();
    return this.#change(hash, 0);
  }

  compareAndSwap(hash: KeyHash, expected: number, handle: number): boolean {
    this.checkOpen();
    checkHandle(handle);
    if (this.get(hash) !== expected) return false;
    this.#change(hash, handle);
    return true;
  }

  batchGet(keys: BigUint64Array, handles: Float64Array): number {
    this.checkOpen();
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
    this.checkOpen();
    checkLength('handles', handles.length, keys.length);
    checkLength('old', old.length, keys.length);
    for (let at = 0; at < keys.length; at++) checkHandle(handles[at]!);
    for (let at = 0; at < keys.length; at++) {
      old[at] = this.#change(this.#hashOf(keys[at]!), handles[at]!);
    }
  }

  exportChunk(cursor: number, out: Uint8Array): IndexChunk {
    this.#loadAt(cursor);
    return this.exportLoaded(cursor, out);
  }

  importChunk(bytes: Uint8Array): void {
    this.checkOpen();
    importGroups(bytes, (hash, handle) => this.put(hash, handle));
  }

  handlesFrom(cursor: number, out: Float64Array): IndexHandles {
    this.#loadAt(cursor);
    return this.handlesLoaded(cursor, out);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#buckets.close();
  }

  /** Makes the file that checkpoints are to name. */
  async create(): Promise<void> {
    if (this.#writesFile) await this.#file.create();
  }

  checkOpen(): void {
    if (this.#closed) throw closedError();
  }

  /** {@link exportChunk} of the buckets from the cursor on that are in memory: the first one is. */
  exportLoaded(cursor: number, out: Uint8Array): IndexChunk {
    return exportBuckets(this.#buckets, cursor, out);
  }

  handlesLoaded(cursor: number, out: Float64Array): IndexHandles {
    const { table, cache } = this.#buckets;
    let count = 0;
    let next = cursor;
    while (next < INDEX_CURSOR_END) {
      const bucket = table.bucketOf(next | 0);
      const slot = table.slot[bucket]!;
      if (slot < 0) break;
      const entries = this.#buckets.countIn(slot);
      if (count + entries > out.length) {
        if (next === cursor) throw invalid(`out: ${out.length} places for ${entries} handles`);
        break;
      }
      count = copyHandles(cache.words(slot), cache.at(slot), out, count);
      next += 2 ** (32 - table.depth[bucket]!);
    }
    return { count, next };
  }

  /** @throws CairnError CAIRN_INVALID_ARGUMENT: no bucket begins there. */
  checkCursor(cursor: number): void {
    this.checkOpen();
    const { table } = this.#buckets;
    const begins =
      Number.isInteger(cursor) &&
      cursor >= 0 &&
      cursor < INDEX_CURSOR_END &&
      table.prefixOf(cursor | 0) === (cursor | 0);
    if (!begins) throw invalid(`${cursor} is no cursor of this index`);
  }

  #loadAt(cursor: number): void {
    this.checkCursor(cursor);
    this.pages.loadStepSync(cursor);
  }

  #change(hash: KeyHash, handle: number): number {
    const [d, h, x] = [hash[0]!, hash[1]!, hash[3]! & 0xffff];
    while (!this.#buckets.isLoaded(d) || !this.#buckets.admits(1, handle === 0)) {
      this.pages.admitSync(1, handle === 0);
      this.pages.loadSync(d);
    }
    return this.#buckets.put(d, h, x, handle);
  }

  #hashOf(key: bigint): KeyHash {
    this.#hasher.hashU64(Number(key & 0xffff_ffffn), Number(key >> 32n));
    return this.#hasher.words;
  }
}

function invalid(message: string): CairnError {
  return new CairnError('CAIRN_INVALID_ARGUMENT', message);
}
