import { GROUP_HEADER_BYTES, writeGroup } from './index-groups.js';
import { entriesOf } from './index-page.js';
import { BUCKET_BYTES, bucketAt } from './page-checkpoint.js';
import type { PageFile } from './page-file.js';

/** Pages that are read at the same time. */
const READS = 32;
const ENTRY_BYTES = 16;

/**
 * Reads the pages that the pieces of a checkpoint's table name, in order, and gives their entries as
 * groups (docs/FORMAT.md "Index entries"): what another store is made from. The pages are held.
 */
export class PageCopy {
  readonly #file: PageFile;
  /** Of the next bucket. */
  #prefix = 0;

  constructor(file: PageFile) {
    this.#file = file;
  }

  /** @throws CairnError CAIRN_CORRUPTION, CAIRN_IO. */
  async *groupsOf(piece: Uint8Array): AsyncGenerator<Uint8Array> {
    const view = new DataView(piece.buffer, piece.byteOffset, piece.length);
    for (let from = 0; from < piece.length; from += READS * BUCKET_BYTES) {
      const reading: Promise<Uint8Array>[] = [];
      const end = Math.min(from + READS * BUCKET_BYTES, piece.length);
      for (let at = from; at < end; at += BUCKET_BYTES) reading.push(this.#groupAt(view, at));
      const groups = (await Promise.all(reading)).filter(({ length }) => length > 0);
      if (groups.length > 0) yield Buffer.concat(groups);
    }
  }

  #groupAt(view: DataView, at: number): Promise<Uint8Array> {
    const { page, depth, writeNumber } = bucketAt(view, at);
    const prefix = this.#prefix;
    this.#prefix += 2 ** (32 - depth);
    return this.#group(page, writeNumber, prefix, depth);
  }

  async #group(
    page: number,
    writeNumber: number,
    prefix: number,
    depth: number,
  ): Promise<Uint8Array> {
    const bytes = await this.#file.readImage(page, writeNumber, prefix, depth);
    const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    const entries = entriesOf(words, 0);
    if (entries.length === 0) return new Uint8Array(0);
    const group = new Uint8Array(GROUP_HEADER_BYTES + entries.length * ENTRY_BYTES);
    writeGroup(new DataView(group.buffer), 0, prefix, depth, entries);
    return group;
  }
}
