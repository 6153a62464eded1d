import type { FileSet } from '../bindings/file-set.js';
import { asError, CairnError } from '../common/errors.js';
import { PAGE_BYTES } from '../common/units.js';
import { NOT_LOADED } from './bucket-table.js';
import type { Buckets } from './buckets.js';
import { INDEX_CURSOR_END } from './index.js';
import type { IndexChunk, IndexHandles, IndexPages, IndexPagesStats } from './index.js';
import type { KeyHasher, KeyHash } from './key-hash.js';
import {
  adoptPiece,
  BUCKET_BYTES,
  damagedTable,
  settlePending,
  writeCheckpoint,
} from './page-checkpoint.js';
import { PageCopy } from './page-copy.js';
import type { PageFile } from './page-file.js';
import type { SsdIndex } from './ssd-index.js';

/** Buckets that a walk reads ahead. */
const READ_AHEAD = 32;

/** The part of SSD_EXTENDIBLE_HASH that never blocks. */
export class SsdIndexPages implements IndexPages {
  readonly pinsMax: number;
  readonly #index: SsdIndex;
  readonly #fileSet: FileSet;
  readonly #file: PageFile;
  readonly #buckets: Buckets;
  readonly #hasher: KeyHasher;
  #adopting = false;

  constructor(
    index: SsdIndex,
    fileSet: FileSet,
    file: PageFile,
    buckets: Buckets,
    hasher: KeyHasher,
  ) {
    this.#index = index;
    this.#fileSet = fileSet;
    this.#file = file;
    this.#buckets = buckets;
    this.#hasher = hasher;
    this.pinsMax = Math.max(16, Math.floor(buckets.cache.limit / 8));
  }

  get(hash: KeyHash): number {
    this.#index.checkOpen();
    return this.#buckets.get(hash[0]!, hash[1]!, hash[3]! & 0xffff);
  }

  put(hash: KeyHash, handle: number): number {
    this.#index.checkOpen();
    return this.#buckets.put(hash[0]!, hash[1]!, hash[3]! & 0xffff, handle);
  }

  putRows(keys: BigUint64Array, handles: Float64Array, old: Float64Array): void {
    this.#index.checkOpen();
    const halves = halvesOf(keys);
    for (let at = 0; at < keys.length; at++) {
      this.#hasher.hashU64(halves[2 * at]!, halves[2 * at + 1]!);
      old[at] = this.put(this.#hasher.words, handles[at]!);
    }
  }

  onReplaced(callback: (handle: number) => void): void {
    this.#buckets.replaced = callback;
  }

  load(d: number, done: (error?: CairnError) => void): void {
    this.#index.checkOpen();
    this.#buckets.load(d, done);
  }

  loadSync(d: number): void {
    this.#index.checkOpen();
    const { table, cache } = this.#buckets;
    let slot = NOT_LOADED;
    this.#block((done) => {
      this.#buckets.load(d, (error) => {
        slot = table.slot[table.bucketOf(d)]!;
        if (error === undefined) cache.pin(slot);
        done(error);
      });
    });
    // And no read begins that would take its place before the caller has looked.
    cache.unpin(slot);
  }

  /** Brings in the bucket at the cursor and those behind it that a walk may take in one step. */
  loadStepSync(cursor: number): void {
    let loaded = 0;
    const wanted = this.#readAhead(cursor, () => void loaded++);
    this.#waitWhile(() => loaded < wanted);
    this.loadSync(cursor | 0);
  }

  pin(ds: Int32Array): Promise<() => void> {
    this.#index.checkOpen();
    const { table, cache } = this.#buckets;
    const slots: number[] = [];
    return new Promise((resolve, reject) => {
      let left = ds.length + 1;
      let failure: CairnError | undefined;
      const done = (): void => {
        if (--left > 0) return;
        if (failure === undefined) return resolve(() => this.#buckets.unpin(slots));
        this.#buckets.unpin(slots);
        reject(failure);
      };
      for (const d of ds) {
        this.#buckets.load(d, (error) => {
          failure ??= error;
          if (error === undefined) {
            const slot = table.slot[table.bucketOf(d)]!;
            cache.pin(slot);
            slots.push(slot);
          }
          done();
        });
      }
      done();
    });
  }

  admits(count: number, urgent: boolean): boolean {
    return this.#buckets.admits(count, urgent);
  }

  whenAdmitted(count: number, urgent: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#buckets.whenAdmitted(count, urgent, (error) => {
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }

  hold(count: number): () => void {
    return this.#buckets.hold(count);
  }

  admitSync(count: number, urgent: boolean): void {
    this.#index.checkOpen();
    this.#block((done) => this.#buckets.whenAdmitted(count, urgent, done));
  }

  get waitsForCheckpoint(): boolean {
    return this.#file.waiting > 0;
  }

  handlesFrom(cursor: number, out: Float64Array): Promise<IndexHandles> {
    return this.#step(cursor, () => this.#index.handlesLoaded(cursor, out));
  }

  exportChunk(cursor: number, out: Uint8Array): Promise<IndexChunk> {
    return this.#step(cursor, () => this.#index.exportLoaded(cursor, out));
  }

  cursorBehind(cursor: number): number {
    this.#index.checkCursor(cursor);
    const { table } = this.#buckets;
    return cursor + 2 ** (32 - table.depth[table.bucketOf(cursor | 0)]!);
  }

  async adopt(piece: Uint8Array): Promise<void> {
    if (!this.#adopting) {
      await this.#file.openExisting();
      this.#buckets.forget();
    }
    this.#adopting = true;
    adoptPiece(this.#buckets, piece);
  }

  async adopted(): Promise<void> {
    if (!this.#adopting) return this.#index.create();
    if (!this.#buckets.table.adopt()) throw damagedTable();
  }

  settle(): Promise<void> {
    this.#index.checkOpen();
    return settlePending(this.#buckets);
  }

  /** As {@link settle}, blocking; changes whose page cannot be read still wait then. */
  settleSync(): void {
    const { pending } = this.#buckets;
    if (pending.count === 0) return;
    let left = pending.bucketCount;
    this.#buckets.loadPending(() => void left--);
    this.#waitWhile(() => left > 0);
  }

  checkpoint(): Promise<Uint8Array[]> {
    this.#index.checkOpen();
    return writeCheckpoint(this.#buckets);
  }

  checkpointInForce(): void {
    this.#file.captured();
    this.#buckets.freed();
  }

  holdForCopy(): () => void {
    return this.#file.hold();
  }

  copyEntries(): (piece: Uint8Array) => AsyncIterable<Uint8Array> {
    const copy = new PageCopy(this.#file);
    return (piece) => copy.groupsOf(piece);
  }

  get checkpointBytes(): number {
    // Chunks of half a MiB, each of them a page longer at most.
    return this.#buckets.table.count * BUCKET_BYTES * 1.01 + PAGE_BYTES;
  }

  onFailure(callback: (cause: CairnError) => void): void {
    this.#buckets.onFailure = callback;
  }

  get size(): number {
    return this.#buckets.keys + this.#buckets.pending.added();
  }

  stats(): IndexPagesStats {
    const { table, cache, pending } = this.#buckets;
    const { reads, writes } = this.#file.traffic;
    return {
      deviceReads: reads,
      deviceReadBytes: reads * PAGE_BYTES,
      deviceWrites: writes,
      deviceWriteBytes: writes * PAGE_BYTES,
      fileBytes: this.#file.fileBytes,
      pages: table.count,
      cachedPages: cache.used,
      pendingChanges: pending.count,
    };
  }

  /** Runs `take` when the bucket at the cursor is in memory, with those behind it on their way. */
  #step<T>(cursor: number, take: () => T): Promise<T> {
    this.#index.checkCursor(cursor);
    return new Promise((resolve, reject) => {
      this.#readAhead(cursor, () => undefined);
      this.#buckets.load(cursor | 0, (error) => {
        if (error !== undefined) return reject(error);
        try {
          resolve(take());
        } catch (thrown) {
          reject(asError(thrown));
        }
      });
    });
  }

  /** @param done for each bucket: whoever comes to it hears of a failure. @returns how many. */
  #readAhead(cursor: number, done: () => void): number {
    const { table } = this.#buckets;
    const bucketsMax = Math.min(READ_AHEAD, this.pinsMax);
    let ahead = 0;
    for (let at = cursor; ahead < bucketsMax && at < INDEX_CURSOR_END; ahead++) {
      this.#buckets.load(at | 0, done, true);
      at += 2 ** (32 - table.depth[table.bucketOf(at | 0)]!);
    }
    return ahead;
  }

  #block(start: (done: (error?: CairnError) => void) => void): void {
    let ended = false;
    let failure: CairnError | undefined;
    start((error) => {
      ended = true;
      failure = error;
    });
    this.#waitWhile(() => !ended);
    if (failure !== undefined) throw failure;
  }

  #waitWhile(busy: () => boolean): void {
    while (busy()) {
      if (this.#fileSet.channel.wait() || !busy()) continue;
      throw new CairnError('CAIRN_IO', 'the index waits for I/O, and none is under way');
    }
  }
}

/** Low and high half of each key. */
function halvesOf(keys: BigUint64Array): Int32Array {
  return new Int32Array(keys.buffer, keys.byteOffset, 2 * keys.length);
}
