import type { FileSet } from '../bindings/file-set.js';
import { PAGE_BYTES } from '../common/units.js';
import { PAGE_WORDS } from './index-page.js';

const ARENA_PAGES = 64;

/** Used since the hand of the clock came by. */
const USED = 1;
/** Its bucket's page in the file is older. */
const DIRTY = 2;
/** An image of it is on its way to the file. */
const WRITING = 4;
/** The checkpoint that is being written waits for an image of it. */
const WANTED = 8;

const NOBODY = -1;

/** Pages of the index in memory: which are there, which may go, which have to be written first. */
export class PageCache {
  readonly limit: number;
  dirty = 0;
  writing = 0;
  wanted = 0;

  readonly #fileSet: FileSet;
  readonly #bytes: Uint8Array[] = [];
  readonly #words: Int32Array[] = [];
  readonly #free: number[] = [];
  #bucket = new Int32Array(ARENA_PAGES);
  #flags = new Uint8Array(ARENA_PAGES);
  #pins = new Uint16Array(ARENA_PAGES);
  /** Slots made so far. */
  #slots = 0;
  #clock = 0;
  #sweep = 0;

  /** @param limit pages; more are held only as long as none of these may go. */
  constructor(fileSet: FileSet, limit: number) {
    this.#fileSet = fileSet;
    this.limit = limit;
  }

  /** Slots that hold a page, or are about to. */
  get used(): number {
    return this.#slots - this.#free.length;
  }

  get memoryBytes(): number {
    return this.#bytes.length * ARENA_PAGES * PAGE_BYTES + this.#slots * 7;
  }

  words(slot: number): Int32Array {
    return this.#words[Math.floor(slot / ARENA_PAGES)]!;
  }

  /** Where in {@link words} the page begins. */
  at(slot: number): number {
    return (slot % ARENA_PAGES) * PAGE_WORDS;
  }

  /** The page, within the buffer of its arena. */
  bytes(slot: number): Uint8Array {
    const begin = (slot % ARENA_PAGES) * PAGE_BYTES;
    return this.#bytes[Math.floor(slot / ARENA_PAGES)]!.subarray(begin, begin + PAGE_BYTES);
  }

  bucketIn(slot: number): number {
    return this.#bucket[slot]!;
  }

  /** A slot for another page, where the limit allows it or `beyond` says so; else -1. */
  take(beyond: boolean): number {
    if (this.used >= this.limit && !beyond) return NOBODY;
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#slots === this.#bytes.length * ARENA_PAGES) this.#addArena();
    return this.#slots++;
  }

  give(slot: number): void {
    this.#flags[slot] = 0;
    this.#free.push(slot);
  }

  /** The slot holds the bucket's page now; until it is used again it is the first to go. */
  hold(slot: number, bucket: number): void {
    this.#bucket[slot] = bucket;
    this.#flags[slot] = 0;
  }

  /** Whatever is in it is of no more use. */
  drop(slot: number): void {
    if (this.isDirty(slot)) this.dirty--;
    this.#bucket[slot] = NOBODY;
    this.give(slot);
  }

  use(slot: number): void {
    this.#flags[slot]! |= USED;
  }

  /** A page that may go, and goes: its bucket; -1 when there is none. The slot is free then. */
  evict(): number {
    for (let looked = 0; looked < 2 * this.#slots; looked++) {
      const slot = this.#clock;
      this.#clock = slot + 1 === this.#slots ? 0 : slot + 1;
      if (this.#bucket[slot] === NOBODY || this.#pins[slot] !== 0) continue;
      if (this.#flags[slot] === USED) this.#flags[slot] = 0;
      else if (this.#flags[slot] === 0) {
        const bucket = this.#bucket[slot]!;
        this.#bucket[slot] = NOBODY;
        this.give(slot);
        return bucket;
      }
    }
    return NOBODY;
  }

  pin(slot: number): void {
    this.#pins[slot]!++;
  }

  unpin(slot: number): void {
    this.#pins[slot]!--;
  }

  isDirty(slot: number): boolean {
    return (this.#flags[slot]! & DIRTY) !== 0;
  }

  markDirty(slot: number): void {
    if ((this.#flags[slot]! & DIRTY) !== 0) return;
    this.#flags[slot]! |= DIRTY;
    this.dirty++;
  }

  /** Everything that is dirty now has to be written. */
  wantDirty(): void {
    this.wanted = 0;
    for (let slot = 0; slot < this.#slots; slot++) {
      if ((this.#flags[slot]! & DIRTY) === 0) continue;
      this.#flags[slot]! |= WANTED;
      this.wanted++;
    }
  }

  /** The next dirty page that no image is on its way of; -1 when one round finds none. */
  nextDirty(wantedOnly: boolean): number {
    const needed = wantedOnly ? DIRTY | WANTED : DIRTY;
    for (let looked = 0; looked < this.#slots; looked++) {
      const slot = this.#sweep;
      this.#sweep = slot + 1 >= this.#slots ? 0 : slot + 1;
      if ((this.#flags[slot]! & (needed | WRITING)) === needed) return slot;
    }
    return NOBODY;
  }

  isWriting(slot: number): boolean {
    return (this.#flags[slot]! & WRITING) !== 0;
  }

  beginWrite(slot: number): void {
    if ((this.#flags[slot]! & WANTED) !== 0) this.wanted--;
    this.#flags[slot]! &= ~(DIRTY | WANTED);
    this.#flags[slot]! |= WRITING;
    this.dirty--;
    this.writing++;
  }

  endWrite(slot: number): void {
    this.#flags[slot]! &= ~WRITING;
    this.writing--;
  }

  close(): void {
    this.#bytes.length = 0;
    this.#words.length = 0;
  }

  #addArena(): void {
    const { buffer } = this.#fileSet.allocate(ARENA_PAGES * PAGE_BYTES);
    this.#bytes.push(new Uint8Array(buffer));
    this.#words.push(new Int32Array(buffer));
    const slots = this.#bytes.length * ARENA_PAGES;
    if (slots <= this.#bucket.length && this.#bytes.length > 1) return;
    const length = Math.max(slots, Math.ceil(this.#bucket.length * 1.5));
    const bucket = new Int32Array(length).fill(NOBODY);
    bucket.set(this.#bucket.subarray(0, this.#slots));
    const flags = new Uint8Array(length);
    flags.set(this.#flags);
    const pins = new Uint16Array(length);
    pins.set(this.#pins);
    [this.#bucket, this.#flags, this.#pins] = [bucket, flags, pins];
  }
}
