import { addon } from '../bindings/addon.js';
import type { FileId, FileSet } from '../bindings/file-set.js';
import { alignDown, GIB, MIB } from '../common/units.js';
import type { Handle } from './value-store.js';

/** Read, checked and written in one go; a tenth of a millisecond of the event loop. */
const WINDOW_BYTES = MIB;
const WINDOWS_READING = 3;
const WINDOWS_WRITING = 3;
/** Slots begin at multiples of this (native/alloc/allocator.h). */
const UNIT_BYTES = 64;
const HANDLES_PER_UNIT = 256;
/** A bit per unit: 64 MiB of memory for a region, whatever the size of the file. */
const REGION_BYTES = 32 * GIB;
const WORDS_PER_WINDOW = WINDOW_BYTES / UNIT_BYTES / 32;
/** Damage reported for one window; the count is of all. */
const DAMAGE_PER_WINDOW_MAX = 256;

// Numbers of the scan's state (native/binding/record_scan_binding.cc).
const OPEN_OFFSET = 0;
const REMAINING = 1;
const DAMAGED = 5;

/** Where the records that a copy must hold begin, in one region of a values file. */
export class RecordMarks {
  readonly beginBytes: number;
  readonly endBytes: number;
  readonly #words: Uint32Array;
  readonly #firstUnit: number;
  readonly #units: number;

  constructor(beginBytes: number, endBytes: number) {
    const windows = Math.ceil((endBytes - beginBytes) / WINDOW_BYTES);
    this.beginBytes = beginBytes;
    this.endBytes = endBytes;
    this.#words = new Uint32Array(windows * WORDS_PER_WINDOW);
    this.#firstUnit = beginBytes / UNIT_BYTES;
    this.#units = (endBytes - beginBytes) / UNIT_BYTES;
  }

  /** Handles of other regions are passed over. */
  mark(handle: Handle): void {
    const unit = Math.floor(handle / HANDLES_PER_UNIT) - this.#firstUnit;
    if (unit >= 0 && unit < this.#units) this.#words[unit >>> 5]! |= 1 << (unit & 31);
  }

  /** Its record is elsewhere: the log has it. */
  unmark(handle: Handle): void {
    const unit = Math.floor(handle / HANDLES_PER_UNIT) - this.#firstUnit;
    if (unit >= 0 && unit < this.#units) this.#words[unit >>> 5]! &= ~(1 << (unit & 31));
  }

  markAll(handles: Float64Array, count: number): void {
    for (let at = 0; at < count; at++) this.mark(handles[at] as number);
  }

  /** The first window from `offset` on with a mark, or the end of the region. */
  nextWindow(offset: number): number {
    for (let at = offset; at < this.endBytes; at += WINDOW_BYTES) {
      if (this.window(at).some((word) => word !== 0)) return at;
    }
    return this.endBytes;
  }

  window(offset: number): Uint32Array {
    const word = ((offset - this.beginBytes) / WINDOW_BYTES) * WORDS_PER_WINDOW;
    return this.#words.subarray(word, word + WORDS_PER_WINDOW);
  }
}

export interface ValuesCopyOptions {
  readonly storeId: Uint8Array;
  readonly name: string;
  /** Of the source, as far as records reach. */
  readonly bytes: number;
  /** What a record that does not check means; throws to end the copy. */
  readonly onDamage: (offset: number) => void;
  /** After each window, with what it was; throws to end the copy. */
  readonly onWindow: (bytes: number) => void;
  /** Everything before `offset` has been read. */
  readonly onPassed: (offset: number) => void;
}

interface Window {
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly read: Promise<void>;
}

/**
 * Copies the windows of a values file that hold marked records, and checks every one of them on its
 * way. The bytes go from the one ring to the other; this thread only looks at them natively.
 */
export class ValuesCopy {
  readonly #source: FileSet;
  readonly #target: FileSet;
  readonly #options: ValuesCopyOptions;
  readonly #bytes: number;
  readonly #scan = new Float64Array(6);
  readonly #damaged = new Float64Array(DAMAGE_PER_WINDOW_MAX);
  readonly #free: Uint8Array[] = [];
  readonly #writing = new Set<Promise<void>>();
  readonly #reading: Window[] = [];
  #from: FileId = 0;
  #to: FileId = 0;
  #failure: Error | undefined;
  /** Where a record that is longer than the last window goes on. */
  #after = 0;

  constructor(source: FileSet, target: FileSet, options: ValuesCopyOptions) {
    this.#source = source;
    this.#target = target;
    this.#options = options;
    this.#bytes = alignDown(options.bytes, WINDOW_BYTES / 256);
  }

  /**
   * @param fill marks the records of a region; called for one after the other.
   * @returns when everything is durable, the name apart.
   */
  async run(fill: (marks: RecordMarks) => Promise<void>): Promise<void> {
    this.#from = await this.#source.open(this.#options.name, 0);
    try {
      this.#to = await this.#target.open(this.#options.name, 2);
      try {
        for (let begin = 0; begin === 0 || begin < this.#bytes; begin += REGION_BYTES) {
          const marks = new RecordMarks(begin, Math.min(begin + REGION_BYTES, this.#bytes));
          await fill(marks);
          await this.#copyRegion(marks);
        }
        if (this.#scan[REMAINING] !== 0) this.#options.onDamage(this.#scan[OPEN_OFFSET] as number);
        await Promise.all(this.#writing);
        if (this.#failure !== undefined) throw this.#failure;
        await this.#target.sync(this.#to);
      } finally {
        // What is under way owns its memory, but not the files.
        await Promise.allSettled([...this.#writing, ...this.#reading.map(({ read }) => read)]);
        this.#target.close(this.#to);
      }
    } finally {
      this.#source.close(this.#from);
    }
  }

  async #copyRegion(marks: RecordMarks): Promise<void> {
    const { beginBytes, endBytes } = marks;
    // The first window has the header of the file.
    let wanted = beginBytes === 0 && endBytes > 0 ? 0 : marks.nextWindow(beginBytes);
    for (;;) {
      while (wanted < endBytes && this.#reading.length < WINDOWS_READING) {
        this.#reading.push(this.#read(wanted));
        wanted = marks.nextWindow(wanted + WINDOW_BYTES);
      }
      const window = this.#nextWindow(endBytes);
      if (window === undefined) return;
      await window.read;
      this.#check(window, marks);
      this.#after = window.offset + WINDOW_BYTES;
      this.#options.onPassed(this.#after);
      await this.#write(window);
      this.#options.onWindow(window.bytes.length);
    }
  }

  /** The next marked one, or the one before it in which a record goes on. */
  #nextWindow(endBytes: number): Window | undefined {
    const [next] = this.#reading;
    const goesOn = this.#scan[REMAINING] !== 0 && this.#after < endBytes;
    if (goesOn && next?.offset !== this.#after) return this.#read(this.#after);
    return this.#reading.shift();
  }

  #read(offset: number): Window {
    const length = Math.min(WINDOW_BYTES, this.#bytes - offset);
    const buffer = this.#free.pop() ?? this.#source.allocate(WINDOW_BYTES);
    const bytes = buffer.subarray(0, length);
    const read = this.#source.readInto(this.#from, offset, bytes);
    // A copy that ends early leaves reads behind whose failure nobody awaits.
    read.catch(() => undefined);
    return { offset, bytes, read };
  }

  #check(window: Window, marks: RecordMarks): void {
    const { storeId, onDamage } = this.#options;
    const { offset, bytes } = window;
    const before = this.#scan[DAMAGED] as number;
    const words = marks.window(offset);
    const count = addon().scanRecords(storeId, bytes, offset, words, this.#scan, this.#damaged);
    for (let at = 0; at < count; at++) onDamage(this.#damaged[at] as number);
    // What was not listed counts all the same.
    const unlisted = (this.#scan[DAMAGED] as number) - before - count;
    for (let at = 0; at < unlisted; at++) onDamage(offset);
  }

  /** Resolves when there is room for the next one. */
  async #write({ offset, bytes }: Window): Promise<void> {
    const write = this.#target
      .write(this.#to, offset, bytes, { sync: false })
      .catch((error: unknown) => void (this.#failure ??= error as Error))
      .finally(() => {
        this.#writing.delete(write);
        this.#free.push(new Uint8Array(bytes.buffer));
      });
    this.#writing.add(write);
    if (this.#writing.size >= WINDOWS_WRITING) await Promise.race(this.#writing);
    if (this.#failure !== undefined) throw this.#failure;
  }
}
