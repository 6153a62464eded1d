import { closeSync, ftruncateSync, openSync, readSync, statSync, writeSync } from 'node:fs';

const PAGE_BYTES = 4096;
const WINDOW_BYTES = 1 << 20;
/** Small stores take the lowest places. */
const READ_BYTES_MAX = 24 << 20;

/** The bytes of a pool file, which is mostly holes. */
export interface PoolSnapshot {
  readonly size: number;
  /** Pages that are not zeros. */
  readonly pages: ReadonlyMap<number, Buffer>;
}

export function readPool(path: string): PoolSnapshot {
  const { size } = statSync(path);
  const file = openSync(path, 'r');
  const window = Buffer.alloc(WINDOW_BYTES);
  const zeros = Buffer.alloc(PAGE_BYTES);
  const pages = new Map<number, Buffer>();
  for (let at = 0; at < Math.min(size, READ_BYTES_MAX); at += WINDOW_BYTES) {
    const bytes = readSync(file, window, 0, WINDOW_BYTES, at);
    for (let page = 0; page < bytes; page += PAGE_BYTES) {
      const content = window.subarray(page, page + PAGE_BYTES);
      if (!content.equals(zeros)) pages.set(at + page, Buffer.from(content));
    }
  }
  closeSync(file);
  return { size, pages };
}

export function writePool(path: string, pool: PoolSnapshot): void {
  const file = openSync(path, 'w');
  ftruncateSync(file, pool.size);
  for (const [at, page] of pool.pages) writeSync(file, page, 0, page.length, at);
  closeSync(file);
}

/** A copy with one bit of the byte at `offset` turned. */
export function flipped(pool: PoolSnapshot, offset: number): PoolSnapshot {
  const at = offset - (offset % PAGE_BYTES);
  const page = Buffer.from(pool.pages.get(at) ?? Buffer.alloc(PAGE_BYTES));
  page[offset - at]! ^= 1 << (offset % 8);
  return { size: pool.size, pages: new Map(pool.pages).set(at, page) };
}
