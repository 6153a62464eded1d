import { handleAt, isEmpty, isEntry, setHandle } from './hash-entry.js';

// A bucket of SSD_EXTENDIBLE_HASH as it lies in memory and in the index file: native/index/index_page.h.

/** 32-bit words of a page. */
export const PAGE_WORDS = 1024;
export const PAGE_ENTRIES = 253;
/** A bucket with more entries splits: 0.95, where a probe that finds nothing is still cheap beside a read. */
export const PAGE_LIMIT = 240;
export const DEPTH_MAX = 24;

const DEPTH_WORD = 2;
const COUNT_WORD = 3;
const PREFIX_WORD = 9;
const FIRST_ENTRY = 12;
const ENTRIES_WORDS = PAGE_ENTRIES * 4;

/** An entry as numbers: what a probe compares, and the handle. */
export interface Entry {
  readonly d: number;
  readonly h: number;
  /** 0 to 0xffff. */
  readonly x: number;
  readonly handle: number;
}

/** Makes the page at word `page` an empty bucket. */
export function clearPage(words: Int32Array, page: number, prefix: number, depth: number): void {
  words.fill(0, page, page + PAGE_WORDS);
  words[page + DEPTH_WORD] = depth << 16;
  words[page + PREFIX_WORD] = prefix;
}

export function countOf(words: Int32Array, page: number): number {
  return words[page + COUNT_WORD]!;
}

export function prefixOf(words: Int32Array, page: number): number {
  return words[page + PREFIX_WORD]!;
}

/** @returns the handle, 0 when absent. */
export function findEntry(
  words: Int32Array,
  page: number,
  d: number,
  h: number,
  x: number,
): number {
  return handleAt(words, seek(words, page, d, h, x));
}

/**
 * Inserts or replaces; a new entry needs a count below {@link PAGE_LIMIT}.
 *
 * @returns the old handle, 0 when the entry is new.
 */
export function putEntry(
  words: Int32Array,
  page: number,
  d: number,
  h: number,
  x: number,
  handle: number,
): number {
  const at = seek(words, page, d, h, x);
  const old = handleAt(words, at);
  if (old === 0) {
    words[at] = h;
    words[at + 1] = d;
    words[page + COUNT_WORD]!++;
  }
  setHandle(words, at, handle, x);
  return old;
}

/** @returns the handle that was there, 0 when absent. */
export function deleteEntry(
  words: Int32Array,
  page: number,
  d: number,
  h: number,
  x: number,
): number {
  const at = seek(words, page, d, h, x);
  const old = handleAt(words, at);
  if (old === 0) return 0;
  closeGap(words, page, at);
  words[page + COUNT_WORD]!--;
  return old;
}

/** Copies every handle to `out`, from `index` on. @returns the index behind the last. */
export function copyHandles(
  words: Int32Array,
  page: number,
  out: Float64Array,
  index: number,
): number {
  for (let at = page + FIRST_ENTRY, end = at + ENTRIES_WORDS; at < end; at += 4) {
    if (!isEmpty(words, at)) out[index++] = handleAt(words, at);
  }
  return index;
}

/** Ascending by (h, d, x), as checkpoints have them. */
export function entriesOf(words: Int32Array, page: number): Entry[] {
  const entries: Entry[] = [];
  for (let at = page + FIRST_ENTRY, end = at + ENTRIES_WORDS; at < end; at += 4) {
    if (isEmpty(words, at)) continue;
    const d = words[at + 1]!;
    entries.push({ d, h: words[at]!, x: words[at + 3]! & 0xffff, handle: handleAt(words, at) });
  }
  return entries.sort(compareEntries);
}

export function compareEntries(a: Entry, b: Entry): number {
  return (a.h >>> 0) - (b.h >>> 0) || (a.d >>> 0) - (b.d >>> 0) || a.x - b.x;
}

/**
 * Splits the bucket at `page`, of depth `depth`: what has the next bit of d set goes to the one at
 * `other`, which is cleared first.
 */
export function splitPage(
  words: Int32Array,
  page: number,
  otherWords: Int32Array,
  other: number,
  depth: number,
): void {
  const prefix = prefixOf(words, page);
  const bit = 1 << (31 - depth);
  const entries = words.slice(page + FIRST_ENTRY, page + PAGE_WORDS);
  clearPage(words, page, prefix, depth + 1);
  clearPage(otherWords, other, prefix | bit, depth + 1);
  for (let at = 0; at < ENTRIES_WORDS; at += 4) {
    if (isEmpty(entries, at)) continue;
    const d = entries[at + 1]!;
    const x = entries[at + 3]! & 0xffff;
    const handle = handleAt(entries, at);
    if ((d & bit) === 0) putEntry(words, page, d, entries[at]!, x, handle);
    else putEntry(otherWords, other, d, entries[at]!, x, handle);
  }
}

/** In words from the first entry on. */
function homeOf(h: number): number {
  return (Math.imul(h >>> 16, PAGE_ENTRIES) >>> 16) << 2;
}

/** The entry of these words, or the empty one where it belongs: one is always empty. */
function seek(words: Int32Array, page: number, d: number, h: number, x: number): number {
  const begin = page + FIRST_ENTRY;
  const end = begin + ENTRIES_WORDS;
  for (let at = begin + homeOf(h); ;) {
    if (isEntry(words, at, d, h, x) || isEmpty(words, at)) return at;
    at += 4;
    if (at === end) at = begin;
  }
}

/** Takes the entry at `gap` out; entries behind it that may lie nearer to their home move up. */
function closeGap(words: Int32Array, page: number, gap: number): void {
  const begin = page + FIRST_ENTRY;
  for (let at = gap; ;) {
    at += 4;
    if (at === begin + ENTRIES_WORDS) at = begin;
    if (isEmpty(words, at)) break;
    const home = begin + homeOf(words[at]!);
    if (distance(home, at) < distance(gap, at)) continue;
    words.copyWithin(gap, at, at + 4);
    gap = at;
  }
  words.fill(0, gap, gap + 4);
}

/** Words from one place of a page forward to another. */
function distance(from: number, to: number): number {
  return to >= from ? to - from : to - from + ENTRIES_WORDS;
}
