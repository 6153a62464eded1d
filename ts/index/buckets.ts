import type { FileSet } from '../bindings/file-set.js';
import type { CairnError } from '../common/errors.js';
import { closedError, noSpaceError } from './checks.js';
import { BucketTable, maskOf, NOT_LOADED } from './bucket-table.js';
import { clearPage, countOf, deleteEntry, findEntry, putEntry, splitPage } from './index-page.js';
import { Loads } from './load-queue.js';
import { PageCache } from './page-cache.js';
import type { PageFile } from './page-file.js';
import { PageWriter } from './page-writer.js';
import { PendingChanges } from './pending-changes.js';

/** Reads on their way at once. */
const LOADS_MAX = 128;
/** More pages to be written than the cache may have, by splits between one look at it and the next. */
const BEYOND_MAX = 64;
/** Free pages that only deletes may take, but no more than there are buckets: see #lacks. */
const RESERVE_PAGES_MAX = 256;
/** Beyond this directories and pages are of no more use: 2.5 * 10^9 keys in 2^24 buckets. */
const KEYS_MAX = 2.5e9;

type Done = (error?: CairnError) => void;

interface Waiter {
  readonly count: number;
  readonly urgent: boolean;
  readonly done: Done;
}

export interface BucketsOptions {
  /** Pages of the cache, 8 or more. */
  readonly cachePages: number;
  /** A bucket with more entries splits; at most PAGE_LIMIT. */
  readonly entriesMax: number;
  /** Nothing is written: what changes stays in memory. */
  readonly readOnly: boolean;
}

/**
 * The buckets of SSD_EXTENDIBLE_HASH: brings their pages into memory and out of it, holds changes
 * until their page is there, splits, and sees to the space for what has to be written.
 */
export class Buckets {
  readonly table = new BucketTable();
  readonly cache: PageCache;
  readonly pending = new PendingChanges();
  readonly writer: PageWriter;
  readonly file: PageFile;
  /** Keys in the pages, changes that wait left out. */
  keys = 0;
  /** Hears the handles that changes replaced when their page came in. */
  replaced: (handle: number) => void = () => undefined;
  failure: CairnError | undefined;
  onFailure: (cause: CairnError) => void = () => undefined;
  readonly pendingMax: number;

  readonly #options: BucketsOptions;
  readonly #loads: Loads;
  /** Who waits for a bucket; one that is being read is among them, and none that is in memory. */
  readonly #loading = new Map<number, Done[]>();
  readonly #reading = new Set<number>();
  #waiters: Waiter[] = [];
  #watchers: ((short: CairnError | undefined) => void)[] = [];
  /** Why the last page that changes wait for did not come in. */
  #loadFailure: CairnError | undefined;
  /** The file cannot grow: what is dirty stays in memory, beyond the limit if need be. */
  #stuck = false;
  #closed = false;
  /** Pages that changes will take which were allowed and not made yet. */
  #held = 0;

  constructor(fileSet: FileSet, file: PageFile, options: BucketsOptions) {
    this.#options = options;
    this.file = file;
    this.cache = new PageCache(fileSet, options.cachePages);
    const loadsMax = Math.min(LOADS_MAX, Math.floor(options.cachePages / 4));
    this.#loads = new Loads(loadsMax, (bucket, d) => this.#isWanted(bucket, d));
    this.pendingMax = Math.min(65_536, options.cachePages * 16);
    this.writer = new PageWriter(fileSet, this.cache, this.table, file, {
      progressed: () => this.#progressed(),
      failed: (error) => this.fail(error),
      short: (error) => this.#short(error as CairnError),
    });
    this.#begin();
  }

  /** Begins with one bucket. */
  #begin(): void {
    this.table.add(0);
    const slot = this.cache.take(true);
    clearPage(this.cache.words(slot), this.cache.at(slot), 0, 0);
    this.#install(0, slot);
    this.cache.markDirty(slot);
    this.table.split.add(0);
  }

  /** Ends the bucket of the beginning: others are adopted. */
  forget(): void {
    this.cache.drop(this.table.slot[0]!);
    this.table.clear();
  }

  isLoaded(d: number): boolean {
    return this.table.slot[this.table.bucketOf(d)]! >= 0;
  }

  countIn(slot: number): number {
    return countOf(this.cache.words(slot), this.cache.at(slot));
  }

  /** @returns the handle, 0 when absent, -1 when it has to be read. */
  get(d: number, h: number, x: number): number {
    const slot = this.table.slot[this.table.bucketOf(d)]!;
    if (slot < 0) return this.pending.find(d, h, x)?.handle ?? -1;
    this.cache.use(slot);
    return findEntry(this.cache.words(slot), this.cache.at(slot), d, h, x);
  }

  /** @returns the old handle; 0 when there was none, or it is not known yet. */
  put(d: number, h: number, x: number, handle: number): number {
    const bucket = this.table.bucketOf(d);
    const slot = this.table.slot[bucket]!;
    if (slot >= 0) {
      this.cache.use(slot);
      return this.#change(slot, d, h, x, handle);
    }
    const change = this.pending.find(d, h, x);
    if (change !== undefined) {
      const old = change.handle;
      change.handle = handle;
      return old;
    }
    const first = !this.pending.has(bucket);
    const room = Math.max(0, this.#options.entriesMax - this.table.entries[bucket]!);
    this.pending.add(bucket, room, d, h, x, handle);
    if (first) this.load(d, nobody, true);
    return 0;
  }

  /** @param background behind what others wait for. */
  load(d: number, done: Done, background = false): void {
    if (this.#closed) return done(closedError());
    const bucket = this.table.bucketOf(d);
    if (this.table.slot[bucket]! >= 0) return done();
    const waiting = this.#loading.get(bucket);
    if (waiting === undefined) this.#loading.set(bucket, [done]);
    else waiting.push(done);
    if (this.#reading.has(bucket) || (background && waiting !== undefined)) return;
    this.#loads.push(bucket, d, background);
    this.#pump();
  }

  /** Begins to bring in what changes wait for; `done` runs for each bucket. */
  loadPending(done: Done): void {
    const { pending } = this;
    for (const bucket of pending.buckets()) this.load(pending.firstOf(bucket), done, true);
  }

  /** Resolves when a page came or was written; with an error when there is no space for one. */
  progress(): Promise<CairnError | undefined> {
    return new Promise((resolve) => this.#watchers.push(resolve));
  }

  admits(count: number, urgent: boolean): boolean {
    if (this.#options.readOnly || this.failure !== undefined) return true;
    const { pending, cache } = this;
    if (this.#loadFailure !== undefined && pending.count === 0) this.#loadFailure = undefined;
    if (pending.count > 0 && pending.count + count > this.pendingMax) return false;
    // Those that are kept for reads do not count: whoever blocks the thread keeps them from going.
    if (cache.dirty + cache.writing > cache.limit + BEYOND_MAX && !this.#stuck) return false;
    if (this.keys + pending.count + count > KEYS_MAX && !urgent) return false;
    return this.#lacks(count, urgent) <= 0;
  }

  /** `done` runs when {@link admits} says so, or with the reason why it will not. */
  whenAdmitted(count: number, urgent: boolean, done: Done): void {
    if (this.#closed) return done(closedError());
    if (this.admits(count, urgent)) return done();
    if (this.keys + this.pending.count + count > KEYS_MAX && !urgent) {
      return done(noSpaceError('more than 2.5 * 10^9 keys', undefined));
    }
    this.#loadFailure = undefined;
    this.#waiters.push({ count, urgent, done });
    this.#relieve();
  }

  /** Keeps the space for changes that {@link admits} allowed until the returned function is called. */
  hold(count: number): () => void {
    const pages = this.#pagesFor(count);
    this.#held += pages;
    return () => {
      this.#held -= pages;
      this.#progressed();
    };
  }

  /** Pages that were kept may go again. */
  unpin(slots: readonly number[]): void {
    for (const slot of slots) this.cache.unpin(slot);
    this.#progressed();
  }

  /** What the last checkpoint named is free. */
  freed(): void {
    this.#progressed();
  }

  /** Whoever waits for a page, or for room, hears that it will not come. */
  close(): void {
    this.#closed = true;
    for (const watcher of this.#watchers.splice(0)) watcher(undefined);
    const waiting = [...this.#loading.values(), this.#waiters.map(({ done }) => done)].flat();
    for (const done of waiting) done(closedError());
    this.writer.close();
    this.cache.close();
    this.pending.clear();
  }

  /** A page for each bucket that is changed, and as many for splits; more when much goes to few. */
  #pagesFor(count: number): number {
    return 2 * Math.min(count, this.table.count) + this.#moreSplits(count);
  }

  /** Beyond one for each: much goes to few buckets, or all that one has goes to one half. */
  #moreSplits(count: number): number {
    return Math.ceil((4 * count) / this.#options.entriesMax);
  }

  /** Pages that are missing for so many changes; 0 or less: there are enough. */
  #lacks(count: number, urgent: boolean): number {
    const { table, cache, pending, file } = this;
    const reserve = Math.min(table.count, RESERVE_PAGES_MAX);
    // Deletes split nothing.
    const needed = urgent ? Math.min(count, table.count) : this.#pagesFor(count) + 1 + reserve;
    const splits = pending.beyondRoom + this.#moreSplits(pending.count);
    return cache.dirty + pending.bucketCount + splits + this.#held + needed - file.free;
  }

  #change(slot: number, d: number, h: number, x: number, handle: number): number {
    const { cache } = this;
    const words = cache.words(slot);
    const page = cache.at(slot);
    if (handle === 0) {
      const old = deleteEntry(words, page, d, h, x);
      if (old === 0) return 0;
      this.keys--;
      cache.markDirty(slot);
      return old;
    }
    if (countOf(words, page) >= this.#options.entriesMax && findEntry(words, page, d, h, x) === 0) {
      return this.#change(this.#split(d), d, h, x, handle);
    }
    cache.markDirty(slot);
    const old = putEntry(words, page, d, h, x, handle);
    if (old === 0) this.keys++;
    return old;
  }

  /** @returns the slot of the half that d belongs to. */
  #split(d: number): number {
    const { table, cache } = this;
    const bucket = table.bucketOf(d);
    const slot = table.slot[bucket]!;
    const depth = table.depth[bucket]!;
    // Before a slot is looked for: what is dirty stays.
    cache.markDirty(slot);
    const otherSlot = this.#takeSlot(true);
    const other = table.splitAt(d);
    splitPage(
      cache.words(slot),
      cache.at(slot),
      cache.words(otherSlot),
      cache.at(otherSlot),
      depth,
    );
    this.#install(other, otherSlot);
    cache.markDirty(otherSlot);
    this.#flushIfDue();
    return table.slot[table.bucketOf(d)]!;
  }

  #install(bucket: number, slot: number): void {
    this.cache.hold(slot, bucket);
    this.table.slot[bucket] = slot;
  }

  #pump(): void {
    while (!this.#closed) {
      // Looked for before a page has to go for it.
      const queue = this.#loads.next();
      if (queue === undefined) return;
      const slot = this.#takeSlot(false);
      if (slot < 0) return;
      const { bucket, d } = queue;
      this.#read(bucket, d, slot, this.#loads.begin(queue));
    }
  }

  /** The bucket may have been split since, or have come. */
  #isWanted(bucket: number, d: number): boolean {
    return (
      this.#loading.has(bucket) && !this.#reading.has(bucket) && this.table.bucketOf(d) === bucket
    );
  }

  #read(bucket: number, d: number, slot: number, ended: () => void): void {
    const { table, file, cache } = this;
    const page = table.page[bucket]!;
    const number = table.writeNumber[bucket]!;
    const depth = table.depth[bucket]!;
    const bytes = cache.bytes(slot);
    this.#reading.add(bucket);
    file.read(page, bytes, (error) => {
      ended();
      this.#reading.delete(bucket);
      if (this.#closed) return;
      const failure =
        (error as CairnError | undefined) ??
        file.check(bytes, page, number, d & maskOf(depth), depth);
      this.#loaded(bucket, slot, failure);
      this.#progressed();
    });
  }

  #loaded(bucket: number, slot: number, failure: CairnError | undefined): void {
    const waiting = this.#loading.get(bucket) ?? [];
    this.#loading.delete(bucket);
    if (failure !== undefined) {
      this.cache.give(slot);
      if (this.pending.has(bucket)) this.#loadFailure = failure;
      for (const done of waiting) done(failure);
      return;
    }
    this.#install(bucket, slot);
    // Whoever waits may need other pages, and this one must not make room for them.
    this.cache.pin(slot);
    for (const { d, h, x, handle } of this.pending.take(bucket)) {
      const at = this.table.slot[this.table.bucketOf(d)]!;
      const old = this.#change(at, d, h, x, handle);
      if (old !== 0) this.replaced(old);
    }
    for (const done of waiting) done();
    this.cache.unpin(slot);
    this.#flushIfDue();
  }

  /** A slot for a page to come, -1 when one has to be written first. */
  #takeSlot(beyond: boolean): number {
    const { cache, table } = this;
    while (cache.used >= cache.limit) {
      const bucket = cache.evict();
      if (bucket < 0) break;
      table.slot[bucket] = NOT_LOADED;
    }
    const slot = cache.take(beyond || this.#mayExceed());
    if (slot < 0) this.writer.flush();
    return slot;
  }

  /** Nothing that is under way would make a page go. */
  #mayExceed(): boolean {
    const { cache } = this;
    if (this.#options.readOnly || this.#stuck || this.failure !== undefined) return true;
    return cache.dirty === 0 && cache.writing === 0 && this.#loads.reads === 0;
  }

  #flushIfDue(): void {
    if (this.#options.readOnly || this.failure !== undefined) return;
    if (this.cache.dirty > this.cache.limit / 2) this.writer.flush();
  }

  #progressed(): void {
    if (this.#closed) return;
    this.#stuck = false;
    for (const watcher of this.#watchers.splice(0)) watcher(undefined);
    this.#flushIfDue();
    this.#pump();
    this.#relieve();
  }

  /** Runs the waiters that need not wait any more, and does what the others wait for. */
  #relieve(): void {
    if (this.#waiters.length === 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    let missing = 0;
    for (const waiter of waiters) {
      if (this.admits(waiter.count, waiter.urgent)) waiter.done();
      else if (this.#loadFailure !== undefined && this.#loads.reads === 0)
        waiter.done(this.#loadFailure);
      else {
        this.#waiters.push(waiter);
        missing = Math.max(missing, this.#lacks(waiter.count, waiter.urgent));
      }
    }
    if (this.#waiters.length === 0) return;
    this.#flushIfDue();
    if (this.pending.count > 0 && this.#loads.reads === 0) this.loadPending(nobody);
    if (missing > 0 && !this.file.growing) {
      this.file.grow(this.file.free + missing, (error) => {
        if (error === undefined) this.#progressed();
        else this.#short(error as CairnError);
      });
    }
  }

  /** There is no space for pages: who needs some hears of it, and asks again for a next try. */
  #short(cause: CairnError): void {
    if (this.#closed) return;
    this.#stuck = true;
    for (const watcher of this.#watchers.splice(0)) watcher(cause);
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (this.admits(waiter.count, waiter.urgent)) waiter.done();
      else if (this.#lacks(waiter.count, waiter.urgent) > 0) {
        waiter.done(noSpaceError('there is no space for its pages', cause));
      } else this.#waiters.push(waiter);
    }
    this.#pump();
  }

  /** What is in the file is unknown, but for what checkpoints name: nothing is written any more. */
  fail(error: Error): void {
    if (this.#closed) return;
    if (this.failure === undefined) {
      this.failure = error as CairnError;
      this.onFailure(this.failure);
    }
    // Also of a later one: each write that ends is waited for.
    for (const watcher of this.#watchers.splice(0)) watcher(undefined);
    this.#pump();
    this.#relieve();
  }
}

function nobody(): void {
  // Changes that wait for a page ask for nothing more.
}
