import { addon } from '../bindings/addon.js';
import type { FileId, FileSet } from '../bindings/file-set.js';
import { assert } from '../common/assert.js';
import { CairnError } from '../common/errors.js';
import { PAGE_BYTES } from '../common/units.js';

/** Name of the index file; docs/FORMAT.md "Index file". */
export const INDEX_FILE = 'index';

const OPEN_EXISTING = 0;
const OPEN_OR_CREATE = 2;
const VALID = 0;
const OTHER_VERSION = 2;
/** The file grows by a quarter, but by no less than this. */
const GROW_PAGES_MIN = 16;
/**
 * Added to the highest write number of a checkpoint: images that a crash made useless never have the
 * number of one that is looked for.
 */
const WRITE_NUMBER_GAP = 2 ** 32;

export interface PageFileOptions {
  readonly storeId: Uint8Array;
  readonly readOnly: boolean;
  /** Space reserved ahead of need in one step. */
  readonly growBytesMax: number;
}

export interface PageTraffic {
  reads: number;
  writes: number;
}

/**
 * Where images of pages lie in the index file. No image is written over another that a checkpoint
 * names: each goes to a page of its own, and the one that it replaces is free when the checkpoint in
 * force no longer names it.
 */
export class PageFile {
  readonly traffic: PageTraffic = { reads: 0, writes: 0 };
  readonly #fileSet: FileSet;
  readonly #options: PageFileOptions;
  #file: FileId | undefined;
  /** A bit per page of the file: taken. Page 0 is the header. */
  #taken = new Uint32Array(1);
  #pages = 0;
  #free = 0;
  #next = 1;
  #writeNumber = 0;
  /** Images up to this number may be in a checkpoint. */
  #captured = 0;
  /** Pages of images that were replaced: since the last capture, and before it. */
  #later: number[] = [];
  #current: number[] = [];
  #holds = 0;
  #growing = false;

  constructor(fileSet: FileSet, options: PageFileOptions) {
    this.#fileSet = fileSet;
    this.#options = options;
  }

  get fileBytes(): number {
    return this.#pages * PAGE_BYTES;
  }

  /** Pages that can be written to. */
  get free(): number {
    return this.#free;
  }

  /** Pages that a checkpoint would free. */
  get waiting(): number {
    return this.#later.length + this.#current.length;
  }

  get growing(): boolean {
    return this.#growing;
  }

  get memoryBytes(): number {
    return this.#taken.byteLength;
  }

  /** The file has images that a checkpoint names. @throws CairnError CAIRN_CORRUPTION. */
  async openExisting(): Promise<void> {
    if (!this.#fileSet.list().includes(INDEX_FILE)) throw this.#damaged(0, 'it is gone');
    this.#opened(await this.#fileSet.open(INDEX_FILE, OPEN_EXISTING));
    if (this.#file === undefined || this.#pages < 1) throw this.#damaged(0, 'it is cut off');
    const page = await this.#fileSet.read(this.#file, 0, PAGE_BYTES);
    const check = addon().checkIndexHeader(this.#options.storeId, page, 0);
    if (check === OTHER_VERSION) throw otherVersion(0);
    if (check !== VALID) throw this.#damaged(0, 'it is not of this store, or damaged');
  }

  /**
   * No checkpoint names what is in the file, if there is one; those to come may. Its name is durable
   * before anything else is made: what another failed sync of the directory lost would stay lost.
   */
  async create(): Promise<void> {
    const file = this.#file ?? (await this.#fileSet.open(INDEX_FILE, OPEN_OR_CREATE));
    const page = this.#fileSet.allocate(PAGE_BYTES);
    addon().encodeIndexHeader(this.#options.storeId, page, 0);
    await this.#fileSet.write(file, 0, page, { sync: true });
    await this.#fileSet.syncName(INDEX_FILE);
    this.#opened(file);
  }

  /** The image at `page` is in the checkpoint in force. @returns false when that cannot be. */
  adopt(page: number, writeNumber: number): boolean {
    if (page < 1 || page >= this.#pages || this.#isTaken(page)) return false;
    if (writeNumber < 1 || writeNumber > Number.MAX_SAFE_INTEGER - 2 * WRITE_NUMBER_GAP) {
      return false;
    }
    this.#take(page);
    this.#captured = Math.max(this.#captured, writeNumber);
    this.#writeNumber = this.#captured + WRITE_NUMBER_GAP;
    return true;
  }

  /** A page for a new image, and the image's number. Only while {@link free} is above 0. */
  allocate(): { readonly page: number; readonly writeNumber: number } {
    assert(this.#free > 0, 'a free page of the index file');
    while (this.#isTaken(this.#next))
      this.#next = this.#next + 1 >= this.#pages ? 1 : this.#next + 1;
    this.#take(this.#next);
    return { page: this.#next, writeNumber: ++this.#writeNumber };
  }

  /** The image is replaced, and nobody reads it. */
  release(page: number, writeNumber: number): void {
    if (writeNumber <= this.#captured) this.#later.push(page);
    else this.#give(page);
  }

  /** A checkpoint names what is in use now. */
  capture(): void {
    this.#captured = this.#writeNumber;
    // A checkpoint that failed leaves its pages in #current; this one does their work.
    for (const page of this.#later) this.#current.push(page);
    this.#later = [];
  }

  /** It is in force. */
  captured(): void {
    // Whoever copies an earlier one reads its pages: the next checkpoint frees them.
    if (this.#holds > 0) return;
    for (const page of this.#current) this.#give(page);
    this.#current = [];
  }

  /** No page of the checkpoint in force is used again until the returned function is called. */
  hold(): () => void {
    this.#holds++;
    let held = true;
    return () => {
      if (held) this.#holds--;
      held = false;
    };
  }

  /** Reads and checks an image of a checkpoint that is held. @throws CairnError. */
  async readImage(
    page: number,
    writeNumber: number,
    prefix: number,
    depth: number,
  ): Promise<Uint8Array> {
    this.traffic.reads++;
    const bytes = await this.#fileSet.read(this.#file as FileId, page * PAGE_BYTES, PAGE_BYTES);
    const failure = this.check(bytes, page, writeNumber, prefix, depth);
    if (failure !== undefined) throw failure;
    return bytes;
  }

  /** Sees to it that `count` pages are free some time after. Not while it is {@link growing}. */
  grow(count: number, done: (error: Error | undefined) => void): void {
    this.#growing = true;
    const grown = (error: Error | undefined): void => {
      this.#growing = false;
      done(error);
    };
    const least = Math.max(1, this.#pages) + count - this.#free;
    const step = Math.max(GROW_PAGES_MIN, Math.floor(this.#pages / 4));
    const stepMax = Math.floor(this.#options.growBytesMax / PAGE_BYTES);
    const wanted = Math.max(least, this.#pages + Math.min(step, stepMax));
    this.#growTo(wanted, (error) => {
      // What is needed may still fit.
      if (error !== undefined && least < wanted) this.#growTo(least, grown);
      else grown(error);
    });
  }

  read(page: number, bytes: Uint8Array, done: (error: Error | undefined) => void): void {
    this.traffic.reads++;
    this.#fileSet.startRead(this.#file as FileId, page * PAGE_BYTES, bytes, done);
  }

  /** Is it the image of this bucket that was written with this number? Else why not. */
  check(
    bytes: Uint8Array,
    page: number,
    writeNumber: number,
    prefix: number,
    depth: number,
  ): CairnError | undefined {
    const { storeId } = this.#options;
    const check = addon().checkIndexPage(storeId, bytes, 0, page, writeNumber, prefix >>> 0, depth);
    if (check === VALID) return undefined;
    const offset = page * PAGE_BYTES;
    return check === OTHER_VERSION
      ? otherVersion(offset)
      : this.#damaged(offset, 'the page does not check');
  }

  seal(bytes: Uint8Array, at: number, page: number, writeNumber: number): void {
    addon().sealIndexPage(this.#options.storeId, bytes, at, page, writeNumber);
  }

  /** Pages that follow each other, from `page` on. */
  write(page: number, bytes: Uint8Array, done: (error: Error | undefined) => void): void {
    this.traffic.writes += bytes.length / PAGE_BYTES;
    this.#fileSet.startWrite(this.#file as FileId, page * PAGE_BYTES, bytes, done);
  }

  /** Everything that was written is durable when it resolves. */
  sync(): Promise<void> {
    return this.#fileSet.sync(this.#file as FileId);
  }

  #growTo(pages: number, done: (error: Error | undefined) => void): void {
    if (this.#file === undefined) return this.#openFirst(pages, done);
    if (pages <= this.#pages) return done(undefined);
    this.#fileSet.startGrow(this.#file, pages * PAGE_BYTES, (error) => {
      if (error === undefined) this.#setPages(pages);
      done(error);
    });
  }

  /** No checkpoint names what is in the file, if there is one: all of it is free. */
  #openFirst(pages: number, done: (error: Error | undefined) => void): void {
    this.#fileSet.startOpen(INDEX_FILE, OPEN_OR_CREATE, (file, error) => {
      if (error !== undefined) return done(error);
      this.#opened(file);
      this.#growTo(pages, done);
    });
  }

  #opened(file: FileId): void {
    this.#file = file;
    this.#setPages(Math.floor(this.#fileSet.sizeOf(file) / PAGE_BYTES));
  }

  #setPages(pages: number): void {
    if (pages <= this.#pages) return;
    const words = Math.ceil(pages / 32);
    if (words > this.#taken.length) {
      const taken = new Uint32Array(Math.ceil(words * 1.25));
      taken.set(this.#taken);
      this.#taken = taken;
    }
    this.#free += pages - Math.max(1, this.#pages);
    this.#pages = pages;
    this.#taken[0]! |= 1;
  }

  #isTaken(page: number): boolean {
    return (this.#taken[page >>> 5]! & (1 << (page & 31))) !== 0;
  }

  #take(page: number): void {
    this.#taken[page >>> 5]! |= 1 << (page & 31);
    this.#free--;
  }

  #give(page: number): void {
    this.#taken[page >>> 5]! &= ~(1 << (page & 31));
    this.#free++;
  }

  #damaged(offset: number, why: string): CairnError {
    return new CairnError('CAIRN_CORRUPTION', `reading ${INDEX_FILE}: ${why}`, {
      operation: 'read',
      file: INDEX_FILE,
      offset,
    });
  }
}

function otherVersion(offset: number): CairnError {
  return new CairnError(
    'CAIRN_INCOMPATIBLE',
    `reading ${INDEX_FILE}: its format is of another version`,
    { operation: 'read', file: INDEX_FILE, offset },
  );
}
