import { asError } from '../common/errors.js';
import { copyBytes } from '../common/units.js';
import { UNREAD, type IndexPages } from '../index/index.js';
import type { StoreParts } from './parts.js';
import type { Placer } from './placer.js';

/**
 * What a write waits for when the index is on the device: room for its change, and for a delete or a
 * move the page of its key. With an index in memory there is nothing to wait for.
 */
export class PageRoom {
  readonly #parts: StoreParts;
  readonly #pages: IndexPages | undefined;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.#pages = parts.index.pages;
  }

  /** May so many changes be made within this turn? */
  has(count: number, urgent = false): boolean {
    return this.#pages === undefined || this.#pages.admits(count, urgent);
  }

  /** @throws CairnError CAIRN_NO_SPACE when a checkpoint did not help either. */
  async wait(placer: Placer, count: number, urgent = false): Promise<void> {
    const pages = this.#pages;
    while (pages !== undefined && !pages.admits(count, urgent)) {
      await placer.withSpace(() => pages.whenAdmitted(count, urgent));
    }
  }

  /** Waits, then keeps the room until `task` has ended. */
  async holding(
    placer: Placer,
    count: number,
    urgent: boolean,
    task: () => Promise<void>,
  ): Promise<void> {
    await this.wait(placer, count, urgent);
    const release = this.#pages?.hold(count);
    try {
      await task();
    } finally {
      release?.();
    }
  }

  waitSync(count: number, urgent = false): void {
    if (!this.has(count, urgent)) this.#pages?.admitSync(count, urgent);
  }

  /** Is it known whether the codec's key is there? */
  get known(): boolean {
    const { index, keys } = this.#parts;
    return index.pages === undefined || index.pages.get(keys.hash) !== UNREAD;
  }

  /**
   * For a record of the codec's key that moves: undefined when it can be moved now. Does not ask for
   * room to be made, because moving records is how it is made.
   */
  waitToMove(): Promise<void> | undefined {
    const pages = this.#pages;
    if (pages === undefined) return undefined;
    if (!pages.admits(1, false)) return pages.whenAdmitted(1, false);
    return this.known ? undefined : loadPage(pages, this.#parts.keys.hash[0] as number);
  }

  /** Begins to read the page of the codec's key. */
  prefetch(): void {
    // Whoever needs it asks again, and hears of a failure.
    this.#pages?.load(this.#parts.keys.hash[0] as number, () => undefined);
  }

  /** Resolves when the page of the key is in memory, as {@link loadPage}. */
  async load(key: Uint8Array): Promise<void> {
    const { keys, index } = this.#parts;
    for (;;) {
      keys.encodeStored(key, key.length);
      if (index.pages === undefined || this.known) return;
      await loadPage(index.pages, keys.hash[0] as number);
    }
  }

  /** Blocks until {@link known}, with the key in the codec. */
  loadSync(key: Uint8Array): void {
    const { keys, index } = this.#parts;
    keys.encodeStored(key, key.length);
    if (this.known) return;
    index.pages?.loadSync(keys.hash[0] as number);
    keys.encodeStored(key, key.length);
  }
}

/**
 * Resolves when the page of the keys with this d is in memory, where it stays for this turn: reads
 * that wait for its place would else take it before whoever awaits this has looked, again and again.
 */
export async function loadPage(pages: IndexPages, d: number): Promise<void> {
  setImmediate(await pages.pin(Int32Array.of(d)));
}

/** What the index names for stored keys; their pages are read at the same time. */
export async function handlesOf(
  parts: Pick<StoreParts, 'keys' | 'index'>,
  keys: readonly Uint8Array[],
): Promise<number[]> {
  const handles = new Array<number>(keys.length).fill(0);
  const reading: Promise<void>[] = [];
  for (const [at, key] of keys.entries()) {
    const looking = usingHandle(parts, key, key.length, (handle) => void (handles[at] = handle));
    if (looking !== undefined) reading.push(looking);
  }
  if (reading.length > 0) await Promise.all(reading);
  return handles;
}

/**
 * Looks a stored key up and gives its handle to `use`, with the key in the codec and before anything
 * else can happen to the record: within the call when no page has to be read.
 */
export function usingHandle<T>(
  { keys, index }: Pick<StoreParts, 'keys' | 'index'>,
  key: Uint8Array,
  length: number,
  use: (handle: number) => T | Promise<T>,
): T | Promise<T> {
  keys.encodeStored(key, length);
  const { pages } = index;
  if (pages === undefined) return use(index.get(keys.hash));
  const now = pages.get(keys.hash);
  if (now !== UNREAD) return use(now);
  const copy = copyBytes(key, length);
  return new Promise((resolve, reject) => {
    pages.load(keys.hash[0] as number, (error) => {
      if (error !== undefined) return reject(error);
      try {
        keys.encodeStored(copy, copy.length);
        resolve(use(pages.get(keys.hash)));
      } catch (thrown) {
        reject(asError(thrown));
      }
    });
  });
}
