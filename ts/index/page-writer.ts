import type { FileSet } from '../bindings/file-set.js';
import { PAGE_BYTES } from '../common/units.js';
import type { BucketTable } from './bucket-table.js';
import { countOf } from './index-page.js';
import type { PageCache } from './page-cache.js';
import type { PageFile } from './page-file.js';

/** Pages that are copied and written together. */
export const RUN_PAGES = 64;
/** Runs on their way at once, but for those of {@link PageWriter.writeAll}. */
const RUNS_MAX = 4;

/** What happens to those who wait for pages to be written. */
export interface PageWriterEvents {
  /** Pages can go now, or the file has grown. */
  progressed(): void;
  /** A write failed: what is in the file is unknown, but for what checkpoints name. */
  failed(error: Error): void;
  /** There is no space for an image. */
  short(error: Error): void;
}

/**
 * Writes images of dirty pages, each to a free page of the file. The table names an image as soon as
 * it is on its way: until it is there the page stays in memory.
 */
export class PageWriter {
  readonly #fileSet: FileSet;
  readonly #cache: PageCache;
  readonly #table: BucketTable;
  readonly #file: PageFile;
  readonly #events: PageWriterEvents;
  /** Not in use. One is there from the beginning, so that without memory for more runs still end. */
  readonly #buffers: Uint8Array[];
  /** Numbers of the runs on their way. */
  readonly #runs = new Set<number>();
  #started = 0;
  #failed = false;

  constructor(
    fileSet: FileSet,
    cache: PageCache,
    table: BucketTable,
    file: PageFile,
    events: PageWriterEvents,
  ) {
    this.#fileSet = fileSet;
    this.#cache = cache;
    this.#table = table;
    this.#file = file;
    this.#events = events;
    this.#buffers = [fileSet.allocate(RUN_PAGES * PAGE_BYTES)];
  }

  /** Runs so far. */
  get started(): number {
    return this.#started;
  }

  /** Is one of the first `count` runs on its way? */
  busyBefore(count: number): boolean {
    for (const run of this.#runs) if (run < count) return true;
    return false;
  }

  get memoryBytes(): number {
    return this.#buffers.length * RUN_PAGES * PAGE_BYTES;
  }

  /** Begins to write dirty pages, as many as may be on their way at once. */
  flush(wantedOnly = false): void {
    while (!this.#failed && this.#runs.size < RUNS_MAX && this.#hasBuffer()) {
      const slots: number[] = [];
      while (slots.length < Math.min(RUN_PAGES, this.#file.free)) {
        const slot = this.#cache.nextDirty(wantedOnly);
        if (slot < 0 || slots.includes(slot)) break;
        slots.push(slot);
      }
      if (slots.length === 0) break;
      this.#start(slots);
    }
    if (this.#file.free === 0 && this.#cache.dirty > 0 && !this.#file.growing) this.#grow();
  }

  /**
   * Copies all of these within the call. There are as many free pages.
   *
   * @throws CairnError when there is no memory for that: then none is copied.
   */
  writeAll(slots: readonly number[]): void {
    while (this.#buffers.length * RUN_PAGES < slots.length) this.#addBuffer();
    for (let at = 0; at < slots.length; at += RUN_PAGES) {
      this.#start(slots.slice(at, at + RUN_PAGES));
    }
  }

  close(): void {
    this.#failed = true;
  }

  /** Whoever has no memory waits for a run to end. */
  #hasBuffer(): boolean {
    if (this.#buffers.length > 0) return true;
    try {
      this.#addBuffer();
      return true;
    } catch {
      return false;
    }
  }

  #addBuffer(): void {
    this.#buffers.push(this.#fileSet.allocate(RUN_PAGES * PAGE_BYTES));
  }

  #grow(): void {
    this.#file.grow(Math.min(this.#cache.dirty, RUN_PAGES), (error) => {
      if (error === undefined) this.#events.progressed();
      else this.#events.short(error);
    });
  }

  #start(slots: readonly number[]): void {
    const buffer = this.#buffers.pop()!;
    const pages = slots.map((slot, at) => this.#stage(slot, buffer, at));
    const run = this.#started++;
    this.#runs.add(run);
    let left = 1;
    let failure: Error | undefined;
    const done = (error: Error | undefined): void => {
      failure ??= error;
      if (--left > 0) return;
      this.#runs.delete(run);
      this.#buffers.push(buffer);
      this.#ended(slots, failure);
    };
    for (let from = 0; from < slots.length;) {
      let to = from + 1;
      while (to < slots.length && pages[to] === pages[to - 1]! + 1) to++;
      left++;
      const bytes = buffer.subarray(from * PAGE_BYTES, to * PAGE_BYTES);
      this.#file.write(pages[from]!, bytes, done);
      from = to;
    }
    done(undefined);
  }

  /** Copies an image that others may not change any more. @returns where it goes. */
  #stage(slot: number, buffer: Uint8Array, at: number): number {
    const cache = this.#cache;
    const table = this.#table;
    const bucket = cache.bucketIn(slot);
    buffer.set(cache.bytes(slot), at * PAGE_BYTES);
    const { page, writeNumber } = this.#file.allocate();
    this.#file.seal(buffer, at * PAGE_BYTES, page, writeNumber);
    if (table.page[bucket] !== 0) {
      this.#file.release(table.page[bucket]!, table.writeNumber[bucket]!);
    }
    table.page[bucket] = page;
    table.writeNumber[bucket] = writeNumber;
    table.entries[bucket] = countOf(cache.words(slot), cache.at(slot));
    table.split.delete(bucket);
    cache.beginWrite(slot);
    return page;
  }

  #ended(slots: readonly number[], failure: Error | undefined): void {
    for (const slot of slots) {
      this.#cache.endWrite(slot);
      // Its newest image is the one in memory.
      if (failure !== undefined) this.#cache.markDirty(slot);
    }
    if (failure === undefined) return this.#events.progressed();
    this.#failed = true;
    this.#events.failed(failure);
  }
}
